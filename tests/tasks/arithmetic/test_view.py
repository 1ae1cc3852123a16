"""Tasks without their work: blank or absent, the same answer asked for, against the whole line."""

import json

import numpy as np
import pytest
import scratchpad_oracle
from column_oracle import low_first, rows_of

from arithtf.tasks import (
    IGNORE,
    NO_ID,
    Address,
    Calculator,
    Comparison,
    Coupling,
    Division,
    Draw,
    Level,
    ModularAddition,
    Multiplication,
    Operands,
    Parity,
    Place,
    ResidueAddition,
    RunningSum,
    Subtraction,
    View,
    task_from_dict,
    task_to_dict,
)

SUBJECTS = [
    Parity(),
    Comparison(),
    Comparison(3),
    ResidueAddition(101),
    ModularAddition(8),
    Subtraction(),
    Subtraction(16),
    RunningSum(),
    RunningSum(terms=2),
    Multiplication(),
    Division(4),
]
SCRATCHPADS = ["blank", "absent"]


def line_of(task, numbers):
    """All tokens of a problem, (segment, token, left, row), by integers; the distance of rows."""
    if isinstance(task, (RunningSum, Multiplication, Division)):
        tokens, stride = scratchpad_oracle.ORACLES[type(task)](task.base, *numbers)
        return [(s, token, left, row) for s, token, left, _, row in tokens], stride
    words, rows = task.vocabulary, rows_of(task, [low_first(n, task.base)[::-1] for n in numbers])
    operands = [low_first(n, task.base)[::-1] for n in numbers]
    if isinstance(task, ResidueAddition):
        longest = max(map(len, operands))
        operands = [[0] * (longest - len(digits)) + digits for digits in operands]
    tokens = [("bos", words.bos, 0, 0)]
    for name, digits in zip("ab", operands, strict=False):
        tokens += [(task.sign, words.id(task.sign), 0, 0)] if name == "b" else []
        tokens += [(name, digit, i, 0) for i, digit in enumerate(digits)]
    tokens.append(("=", words.equals, 0, 0))
    for segment, written in rows:
        first = len(tokens) - tokens.index(("=", words.equals, 0, 0)) - 1
        begin = first if segment == "sign" else 0  # it goes on counting
        tokens += [(segment, token, begin + i, 0) for i, token in enumerate(written)]
    return tokens, 0


def parts_of(task, numbers):
    """The prompt, the work and the answer of a problem, and the distance of rows."""
    tokens, stride = line_of(task, numbers)
    prompt = [t[0] for t in tokens].index("=") + 1
    if isinstance(task, Subtraction):
        begin = [t[0] for t in tokens].index("sign")
    elif isinstance(task, RunningSum):
        begin = max(i for i, t in enumerate(tokens) if t[:2] == ("row", task.base + 5)) + 1
    elif isinstance(task, (Multiplication, Division)):
        begin = [t[0] for t in tokens].index("answer")
    else:
        begin = len(tokens) - 2  # the last token before EOS
    return tokens[:prompt], tokens[prompt:begin], tokens[begin:], stride


def coupling_of(task):
    names = task.segments.names
    key = {s: Place(offset=k, left=100, row=7, index=13, row_stride=3) for k, s in enumerate(names)}
    query = {s: Place(offset=-k, left=9, row=-5, index=2, cell=1) for k, s in enumerate(names)}
    return Coupling("all", (Level(name="a", key=key, query=query, start=(1, 6)),))


def expected_row(task, view, numbers, columns, start, begin):
    """Tokens, targets, query ids and key ids, token by token."""
    prompt, work, answer, stride = parts_of(task, numbers)
    pad = task.vocabulary.pad
    if view.scratchpad == "absent":
        cut = answer[0][2] if answer[0][0] == "answer" else 0  # indices in a cut row begin anew
        answer = [(s, t, i - cut, row) for s, t, i, row in answer]
        work = []
    shown = [*prompt, *((s, pad, i, row) for s, _, i, row in work), *answer]
    tokens, targets = np.full(columns, pad), np.full(columns, IGNORE)
    ids = np.full((2, columns), NO_ID)
    (level,) = coupling_of(task).levels
    at = [0, *range(start + 2 - len(prompt), columns)]
    for n, (segment, token, left, row) in enumerate(shown):
        tokens[at[n]] = token
        if n >= len(prompt) + len(work):
            targets[at[n - 1]] = token
        for side, form, column in ((1, level.key, at[n]), (0, level.query, at[max(n - 1, 0)])):
            if side == 1 or n > 0:
                p = form[segment]
                value = p.offset + p.left * left + p.row * row + p.index * n + begin
                ids[side, column] = value + (p.row_stride + p.cell * row) * stride
    return tokens, targets, *ids


def some_numbers(task, seed=0):
    base, rng = task.base, np.random.default_rng(seed)
    arity = task.arity
    lengths = [(1,) * arity, *rng.integers(1, 5, (12, arity)).tolist()]
    drawn = [tuple(int(rng.integers(base ** (k - 1), base**k)) for k in row) for row in lengths]
    return [*drawn, (base**3 - 1,) * arity, (base**4, *(1,) * (arity - 1))]


def operands_of(task, numbers):
    return Operands.from_ints(numbers, base=task.base, arity=task.arity)


each_view = pytest.mark.parametrize("scratchpad", SCRATCHPADS)
each_task = pytest.mark.parametrize("task", SUBJECTS, ids=lambda task: f"{task.name}-{task.base}")


@each_view
@each_task
def test_lines_token_by_token(task, scratchpad):
    view, numbers = View(task, scratchpad), some_numbers(task)
    for how in ({}, {"max_length": 9}):
        made = view.instances(operands_of(task, numbers), **how)
        ids = coupling_of(task).ids(made)
        rows = (made.tokens, made.targets, ids.query[:, 0], ids.key[:, 0])
        for i, problem in enumerate(numbers):
            right = expected_row(task, view, problem, made.tokens.shape[1], made.start, begin=1)
            for name, array, row in zip(
                ("tokens", "targets", "query", "key"), rows, right, strict=True
            ):
                np.testing.assert_array_equal(array[i], row, err_msg=f"{name} of {problem}")


@each_view
@each_task
def test_samples_are_the_lines_of_their_problems(task, scratchpad):
    view, draw = View(task, scratchpad), Draw((1, 5), 40)
    coupling = coupling_of(task)
    for split in ("train", "test"):
        made = view.sample(Address(3, split, 1), draw, threads=2)
        operands = view.operands(Address(3, split, 1), draw)
        assert (view.in_test_split(operands) == (split == "test")).all()
        given = view.instances(operands, max_length=5)
        np.testing.assert_array_equal(made.tokens, given.tokens)
        np.testing.assert_array_equal(made.targets, given.targets)
        # Random starts are those of the whole task.
        whole = coupling.ids(task.sample(Address(3, split, 1), draw)).key
        np.testing.assert_array_equal(coupling.ids(made).key[:, 0, 0], whole[:, 0, 0])


@each_view
@each_task
def test_answers_are_read_without_their_work(task, scratchpad):
    view, numbers = View(task, scratchpad), some_numbers(task, 1)
    operands = operands_of(task, numbers)
    for i, (problem, tokens) in enumerate(zip(numbers, view.answer(operands), strict=True)):
        right = [t[1] for t in parts_of(task, problem)[2]]
        assert [*tokens.tolist(), task.vocabulary.eos] == right
        truth = view.truth(*(f"{n:b}" if task.strings else n for n in problem))
        assert view.render(right) == (truth if isinstance(truth, str) else view.text(truth))
        assert view.problem_text(operands, i) == task.problem_text(operands, i)
    with pytest.raises(ValueError, match="the answer is empty"):
        view.render([task.vocabulary.eos])


@each_task
def test_a_decoder_finds_the_answers_ids(task):
    """Where the work is absent its length still says which segment comes first."""
    view, numbers = View(task), some_numbers(task)
    coupling = coupling_of(task)
    solved, open_ = (view.instances(operands_of(task, numbers), solved=s) for s in (True, False))
    assert (open_.tokens[:, open_.start + 1 :] == task.vocabulary.pad).all()
    assert (open_.targets == IGNORE).all()
    width = solved.tokens.shape[1]
    assert open_.tokens.shape[1] >= width
    for one, other in zip(coupling.ids(solved), coupling.ids(open_), strict=True):
        used = one != NO_ID
        assert (one[used] == other[:, :, :width][used]).all()
    with pytest.raises(ValueError, match="solved=True"):
        View(task, "blank").instances(operands_of(task, numbers), solved=False)


def test_views_of_the_calculator():
    task = Calculator()
    problems = [task.parse(line) for line in ("57-68", "12*34", "7+8", "100/7")]
    operands = Operands.from_digits(problems, arity=3)
    view = View(task)
    words = [view.vocabulary.text(tokens) for tokens in view.answer(operands)]
    assert words == ["-11", "8040", "51100", "410#2"]
    assert view.problem_text(operands, 3) == "100/7=14 r 2"
    assert not view.in_test_split(view.operands(Address(0, "train"), Draw((1, 3), 16))).any()
    made = view.instances(operands)
    asked = [row[row != IGNORE] for row in made.targets]
    assert [view.vocabulary.text(row) for row in asked] == [word + "$" for word in words]
    with pytest.raises(ValueError, match="which operation it was"):
        view.render(view.answer(operands)[1])


def test_what_is_no_view():
    with pytest.raises(ValueError, match="'blank' or 'absent', got 'full'"):
        View(Parity(), "full")
    view = View(ResidueAddition(7, base=2), "blank")
    assert task_from_dict(json.loads(json.dumps(task_to_dict(view)))) == view
