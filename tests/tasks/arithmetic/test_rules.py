"""A column task of two rows that says nothing but its rule: what follows, and what is refused."""

from dataclasses import dataclass

import numpy as np
import pytest

from arithtf.tasks import Address, ColumnTask, Draw, Operands, Pass, Rule


@dataclass(frozen=True)
class Larger(ColumnTask):
    """The larger of two numbers: a running comparison, then the number that it names."""

    base: int = 10
    absent: int = 0  # what is written where the number has ended

    name = "larger"
    sign = ","
    symbols = ("<", ">")
    example = "129,64"

    def rule(self):
        token = self.vocabulary.id

        def compare(sign, column):
            a, b = column
            sign = "<" if a < b else ">" if a > b else sign
            return sign, token(sign)

        def copy(sign, column):
            return sign, max(column[sign == "<"], self.absent)

        row = Pass(start="=", step=compare, finish=lambda s: (token(s),), row="signs", end="sign")
        return Rule(passes=(row, Pass(start=lambda sign: sign, step=copy)), numbers=2, related=True)

    def truth(self, *operands):
        return max(operands)


@pytest.mark.parametrize("base", [2, 10])
def test_the_last_row_is_the_answer(base):
    task = Larger(base)
    operands = task.operands(Address(3, "all", 5), Draw((1, 7), 200))
    for i, answer in enumerate(task.answer(operands)):
        a, b = (int("".join(map(str, digits)), base) for digits in operands.problem(i))
        assert int(task.render(answer), base) == max(a, b) == task.truth(a, b)
        work = task.scratchpad_length(answer)
        signs = {task.vocabulary.id(sign) for sign in "<=>"}
        assert set(answer[:work].tolist()) <= signs
        assert signs.isdisjoint(answer[work:].tolist())
        assert len(answer) == 2 * work - 1


def test_rows_of_one_instance():
    task = Larger()
    (answer,) = task.answer(Operands.from_digits([([1, 2, 9], [6, 4])]))
    assert task.vocabulary.text(answer) == "><>>921"
    assert task.render(np.append(answer, task.vocabulary.eos)) == "129"
    assert [digits.tolist() for digits in task.parse("129, 064")] == [[1, 2, 9], [6, 4]]


def test_a_step_must_give_a_token_for_every_state_and_column():
    message = r"row 'answer': expected a token 0..16 for the state '.' and the column .*, got -1"
    with pytest.raises(ValueError, match=message):
        Larger(absent=-1).sample(Address(0, "train", 1), Draw((1, 3), 4))
