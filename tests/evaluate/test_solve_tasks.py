"""Lines of every task: answered, shown with their work, or named as another task's."""

import io
import re
from dataclasses import replace

import numpy as np
import pytest

from arithtf.evaluate import Solver
from arithtf.evaluate.adversarial import Maker, choose
from arithtf.recipes import RECIPES, get_recipe
from arithtf.tasks import TASKS, Batch, ModularAddition, Operands, ResidueAddition, Subtraction
from arithtf.train import train


@pytest.fixture(scope="module")
def reverser():
    recipe = get_recipe("reverse")
    return train(recipe), recipe


@pytest.mark.parametrize("name", [name for name in TASKS if name != "view"])
def test_every_task_takes_its_example(name):
    task = TASKS[name]()
    problem = task.parse(task.example)
    assert task.is_valid(problem)
    assert task.vocabulary.base > max(digits.max() for digits in problem)


def test_strings_keep_their_zeros(reverser):
    lines = ["0110", "007", "9", "1234567890" * 30]
    answers = Solver(*reverser).solve(lines)
    assert [answer.text for answer in answers] == [line[::-1] for line in lines]


@pytest.mark.parametrize(
    ("recipe", "line", "other"),
    [
        ("addition", "12*3", "multiplication"),
        ("addition", "7-12", "subtraction"),
        ("addition", "5<7", "comparison"),
        ("addition", "(1+2)%1000", "modular-addition"),
        ("subtraction", "7+12", "addition"),
        ("multiplication", "7-12", "subtraction"),
        ("reverse", "1+2", "addition"),
    ],
)
def test_a_line_of_another_task_is_named(recipe, line, other):
    short = replace(get_recipe(recipe), steps=1, batch=4)
    (answer,) = Solver(train(short), short).solve([line])
    assert answer.text is None
    assert other in answer.error.partition("this is a line of")[2]
    assert f"this run does {recipe} (lines like {short.task.example})" in answer.error


def test_a_line_of_the_own_task_is_not_called_another(reverser):
    (answer,) = Solver(*reverser).solve(["12a"])
    assert "'a'" in answer.error
    assert "another" not in answer.error
    assert "this run does" not in answer.error


@pytest.mark.parametrize("task", [ModularAddition(1000), ResidueAddition(101)])
def test_modular_forms(task):
    p = task.modulus
    for line in ("12+34", f"(12+34)%{p}", f" ( 12 + 34 ) % {p} "):
        assert [digits.tolist() for digits in task.parse(line)] == [[1, 2], [3, 4]]
    for line in ("(12+34)%7", f"12+34%{p}", "(12+34)"):
        with pytest.raises(ValueError, match=rf"like \(12\+34\)%{p}, got '{re.escape(line)}'"):
            task.parse(line)
    assert task.problem_text(Operands.from_ints([(12, 34)]), 0) == f"(12+34)%{p}=46"


@pytest.mark.parametrize(("a", "b"), [(7, 12), (12, 7), (1000, 1), (5, 5), (0, 99999)])
def test_the_work_of_a_difference(a, b):
    task = Subtraction()
    (tokens,) = task.answer(Operands.from_ints([(a, b)]))
    width = max(len(str(a)), len(str(b)))
    assert task.shown_work([*tokens, task.vocabulary.eos, 3]) == [
        f"difference  {(a - b) % 10**width:0{width}}",
        f"sign        {'-' if a < b else '+':>{width}}",
        f"answer      {abs(a - b):0{width}}",
    ]


def test_work_is_shown_between_a_line_and_its_answer(reverser):
    solver = Solver(*reverser, show_work=True)
    output, errors = io.BytesIO(), io.StringIO()
    assert not solver.solve_stream(io.BytesIO(b"012\n1+2\n"), output, errors)
    assert output.getvalue().decode() == "012\n  written  210\n= 210\n1+2\n= error\n"
    assert errors.getvalue().startswith("line 2: ")


# A batch of a joint task has the columns of the parts that are in it.
ALONE = [name for name in RECIPES if name == get_recipe(name).task.name != "calculator"]


@pytest.mark.parametrize("name", ALONE)
def test_answers_have_the_columns_that_they_need(name):
    recipe = get_recipe(name)
    task = recipe.task
    for length in (1, 2, 9):
        problems = {
            shape: choose(task.is_valid, Maker(task, 0).families(shape), 30)
            for shape in task.stress_lengths(length)
        }
        for shape, found in problems.items():
            operands = Operands.from_digits(
                [p for kind in found.values() for p in kind], arity=len(shape)
            )
            batch = Batch.of(task.instances(operands, solved=False), recipe.coupling)
            lengths = np.array([shape])
            assert batch.tokens.shape[1] == task.sequence_length(lengths)[0]
            assert batch.tokens.shape[1] - 1 - batch.start == task.max_answer_tokens(lengths)[0]
            longest = max(len(answer) for answer in task.answer(operands))
            assert longest + 1 <= task.max_answer_tokens(lengths)[0]


def test_sums_of_any_number_of_operands_and_no_division_by_zero():
    sums, division = get_recipe("running-sum"), get_recipe("division")
    for recipe, lines in ((sums, ["1+2+3", "4+5", "1+2+3+4+5", "6+7+8"]), (division, ["7/0"])):
        short = replace(recipe, steps=1, batch=4)
        model = train(short)
        together = Solver(model, short).solve(lines)
        alone = [Solver(model, short).solve([line])[0] for line in lines]
        assert together == alone
    assert "divisor of at least 1" in together[0].error


def test_a_joint_task_reads_the_lines_of_its_parts():
    recipe = replace(get_recipe("calculator"), steps=1, batch=8)
    answers = Solver(train(recipe), recipe).solve(["1+2", "7-12", "3*4", "9/2", "5<7", "1+2+3"])
    # An untrained model may write what is no answer, but the lines are read.
    for answer in answers[:4]:
        assert "operand" not in str(answer.error)
        assert "this is a line of" not in str(answer.error)
    assert "this is a line of comparison" in answers[4].error
    assert "this is a line of" not in answers[5].error
