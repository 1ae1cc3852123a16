"""Column tasks against Python integers: answers, and layouts token by token."""

import numpy as np
import pytest
from column_oracle import TASKS, as_operands, named, result_of, rich, rows_of, some_problems, whole

from arithtf.tasks import IGNORE, NO_ID, Batch, Comparison, Operands, ResidueAddition, Subtraction


@pytest.mark.parametrize("task", TASKS, ids=named)
def test_answers_and_results_are_those_of_integers(task):
    problems = some_problems(task)
    operands = as_operands(task, problems)
    answers = task.answer(operands)
    for i, (problem, answer) in enumerate(zip(problems, answers, strict=True)):
        expected = [token for _, tokens in rows_of(task, problem) for token in tokens]
        assert [*answer.tolist(), task.vocabulary.eos] == expected, problem
        assert task.render(answer) == result_of(task, problem)
        if i < 30 and not isinstance(task, Comparison):
            assert task.problem_text(operands, i).endswith("=" + result_of(task, problem))


def parts_of(task, problem):
    """(segment, tokens, first index, length) of every run of an instance."""
    words = task.vocabulary
    if isinstance(whole(task), ResidueAddition):
        n = max(map(len, problem))
        problem = [[0] * (n - len(digits)) + digits for digits in problem]
    parts = [("bos", [words.bos])]
    for digits, segment in zip(problem, task.segments.names[1::2], strict=False):
        parts.append((segment, list(digits)))
        following = task.segments.names[task.segments.names.index(segment) + 1]
        parts.append((following, [words.equals if following == "=" else words.id(following)]))
    return parts, list(rows_of(task, problem))


def form_id(level, form, i, r, n):
    if form is None:
        return NO_ID
    value = form.offset + form.left * i + form.right * r + form.index * n + level.start[0]
    return value % level.period if level.period else value


def expected_row(task, coupling, problem, batch, solved):
    """Tokens, ids and targets of an instance, token by token."""
    prompt, rows = parts_of(task, problem)
    columns, start = batch.tokens.shape[1], batch.start
    if not solved:
        known = sum(len(tokens) for _, tokens in rows[:-1])
        room = columns - start - 1 - known
        rows = [(s, [task.vocabulary.pad] * len(t)) for s, t in rows[:-1]]
        rows.append(("answer", [task.vocabulary.pad] * room))
    tokens = np.full(columns, task.vocabulary.pad)
    targets = np.full(columns, IGNORE)
    key = np.full((len(coupling.levels), columns), NO_ID)
    query = key.copy()
    flat = [(s, t, i, len(ts) - 1 - i) for s, ts in prompt for i, t in enumerate(ts)]
    places = [0, *range(start - len(flat) + 2, columns)]
    first = {"sign": len(rows[0][1])}
    written = [(s, t, i + first.get(s, 0), 0) for s, ts in rows for i, t in enumerate(ts)]
    for n, (segment, token, i, r) in enumerate([*flat, *written]):
        tokens[places[n]] = token
        if n >= len(flat) and solved:
            targets[places[n] - 1] = token
        for k, level in enumerate(coupling.levels):
            key[k, places[n]] = form_id(level, level.key.get(segment), i, r, n)
            if n > 0:
                query[k, places[n - 1]] = form_id(level, level.query.get(segment), i, r, n)
    return tokens, query, key, targets


@pytest.mark.parametrize("task", TASKS, ids=named)
@pytest.mark.parametrize("solved", [True, False])
def test_layout_token_by_token(task, solved):
    problems = some_problems(task, longest=7, count=12)
    coupling = rich(task)
    for width in (None, 9):
        batch = Batch.of(
            task.instances(as_operands(task, problems), solved=solved, max_length=width), coupling
        )
        for i, problem in enumerate(problems):
            row = expected_row(task, coupling, [list(d) for d in problem], batch, solved)
            for name, array, right in zip(batch._fields[:4], batch[:4], row, strict=True):
                np.testing.assert_array_equal(array[i], right, err_msg=f"{name} of {problem}")


def test_a_difference_of_a_million_digits():
    n = 10**6
    power = np.zeros(n + 1, np.uint8)
    power[0] = 1
    (answer,) = Subtraction().answer(Operands.from_digits([([1], power)]))
    words = Subtraction().vocabulary
    assert answer.size == 2 * (n + 1) + 1
    assert answer[: n + 2].tolist() == [1, *[0] * (n - 1), 9, words.id("-")]
    assert (answer[n + 2 : -1] == 9).all()
    assert answer[-1] == 0
