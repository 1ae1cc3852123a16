"""Column tasks as people write them: lines, answers, and what is refused."""

import numpy as np
import pytest

from arithtf.tasks import (
    Address,
    Batch,
    Comparison,
    Copy,
    Draw,
    Increment,
    ModularAddition,
    Operands,
    Parity,
    ResidueAddition,
    Reverse,
    Subtraction,
    TimesDigit,
    couplings,
)


@pytest.mark.parametrize(
    ("task", "line", "operands"),
    [
        (Subtraction(), " 7 -12", ("7", "12")),
        (Comparison(), "5<07", ("5", "7")),
        (Comparison(), "5=7", ("5", "7")),
        (Comparison(), "5?7", ("5", "7")),
        (Increment(), "129", ("129",)),
        (Increment(), "129 + 1", ("129",)),
        (TimesDigit(), "1234*7", ("1234", "7")),
        (ModularAddition(), "12+34", ("12", "34")),
        (ResidueAddition(), "12+34", ("12", "34")),
        (Copy(), "0012", ("0012",)),
        (Reverse(16), "0a", ("0a",)),
        (Parity(), "0110", ("0110",)),
    ],
)
def test_parse(task, line, operands):
    parsed = task.parse(line)
    assert tuple("".join(np.base_repr(d, 36).lower() for d in p) for p in parsed) == operands


@pytest.mark.parametrize(
    ("task", "line", "message"),
    [
        (Subtraction(), "7+12", "one '-'"),
        (Subtraction(), "7--12", "got 2"),
        (Comparison(), "5<<7", "got 2"),
        (Increment(), "129+2", r"\+2"),
        (TimesDigit(), "12*34", "single digit"),
        (Parity(), "012", "'2' at character 3"),
        (Copy(), "", "empty"),
        (ModularAddition(), "12", "one '\\+'"),
    ],
)
def test_parse_says_what_is_wrong(task, line, message):
    with pytest.raises(ValueError, match=message):
        task.parse(line)


def test_render_refuses_what_is_no_answer():
    minus = Subtraction().vocabulary.id("-")
    for tokens, message in [
        ([], "empty"),
        ([3, minus], "2 rows of as many"),
        ([minus], "2 rows of as many"),
        ([3, 3, 1], "expected a sign"),
        ([0, minus, 0], "negative zero"),
        ([3, minus, minus], "'-' where a digit"),
        ([minus, minus, 3], "'difference' has '-'"),
    ]:
        with pytest.raises(ValueError, match=message):
            Subtraction().render(np.array(tokens))
    with pytest.raises(ValueError, match="'answer' has '1', which it is never"):
        Comparison().render([1])
    with pytest.raises(ValueError, match="'answer' has '2', which it is never"):
        Parity(10).render([2])
    with pytest.raises(ValueError, match="'answer' has '_', which it is never"):
        ResidueAddition(51).render([50, 51])
    for tokens in ([20, 3], [3, 25], [3, 4, 26], [3, 28]):
        with pytest.raises(
            ValueError, match="not below 25, or a column's sum that is not below 20"
        ):
            ModularAddition(250).render(tokens)


@pytest.mark.parametrize(
    ("modulus", "tokens", "result"),
    [
        (8, [0], "0"),
        (8, [1, 2, 7], "7"),
        (250, [13], "13"),
        (250, [13, 4], "43"),
        (250, [3, 4, 24], "243"),
        (400, [19, 10], "109"),
    ],
)
def test_a_running_residue_is_read_off(modulus, tokens, result):
    task = ModularAddition(modulus)
    assert task.render([*tokens, task.vocabulary.eos, 0]) == result
    if task.form.digits == 0:
        assert task.scratchpad_length(np.array(tokens, np.uint8)) == len(tokens) - 1


def test_values_that_do_not_exist_are_refused():
    for modulus in (101, 75, 1, 0, -8, 1000.0):
        with pytest.raises(ValueError, match="residue-addition takes any"):
            ModularAddition(modulus)
    for modulus, needed in ((256, "256"), (625, "625"), (2560, "256")):
        with pytest.raises(ValueError, match=f"at most 240 tokens.* needs {needed}"):
            ModularAddition(modulus)
    with pytest.raises(ValueError, match=r"2\.\.240"):
        ResidueAddition(241)
    with pytest.raises(ValueError, match="single digit"):
        TimesDigit().answer(Operands.from_ints([(12, 34)]))
    with pytest.raises(ValueError, match="expected 1 operands, got 2"):
        Copy().answer(Operands.from_ints([(12, 34)]))
    tables = couplings.lookups(Subtraction())
    with pytest.raises(ValueError, match="segments"):
        Batch.of(Comparison().sample(Address(0, "all", 0), Draw((1, 2), 1)), tables)
