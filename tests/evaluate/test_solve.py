"""Text in, text out: the model's own answers, line by line."""

import io
import random

import numpy as np
import pytest
import torch

from arithtf.encodings import Encoding, Learned
from arithtf.evaluate import Solver, greedy
from arithtf.evaluate.groups import SHORT, groups
from arithtf.model import ModelConfig, Transformer
from arithtf.recipes import Recipe
from arithtf.tasks import Addition, Address, Batch, Draw, Operands, couplings

MALFORMED = {
    b"": "expected one '+'",
    b"   ": "expected one '+'",
    b"12": "expected one '+'",
    b"1+2+3": "expected one '+'",
    b"+5": "first operand is empty",
    b"5+": "second operand is empty",
    b"-1+2": "sign",
    b"1+-2": "sign",
    b"1-2": "operation '-'",
    b"12*3": "operation '*'",
    b"a+1": "'a'",
    b"1 2+3": "' '",
    b"1.5+2": "'.'",
    b"1e3+2": "'e'",
    b"\xff+1": "not UTF-8",
    b"1+\x00": "expected digits",
    "\u0661+\u0662".encode(): "U+0661",
    b"1+2=3": "'='",
}


class Trickle(io.RawIOBase):
    """A pipe that gives a few bytes at a time."""

    def __init__(self, data, seed=0):
        self.data, self.random = data, random.Random(seed)

    def read1(self, size):
        size = min(size, self.random.choice([1, 2, 3, 50]))
        part, self.data = self.data[:size], self.data[size:]
        return part


def stream(solver, source):
    output, errors = io.BytesIO(), io.StringIO()
    source = io.BytesIO(source) if isinstance(source, bytes) else source
    good = solver.solve_stream(source, output, errors)
    return good, output.getvalue().decode().split("\n"), errors.getvalue().splitlines()


@pytest.fixture(scope="module")
def solver(trained):
    return Solver(*trained)


def test_answers_are_right_and_in_order(solver):
    rng = random.Random(0)
    lengths = [*range(1, 60), 300, 2, 1000, 1] * 2
    rng.shuffle(lengths)
    pairs = [(rng.randrange(10**n), rng.randrange(10 ** rng.choice([1, n]))) for n in lengths]
    answers = solver.solve(f"{a}+{b}" for a, b in pairs)
    assert [answer.text for answer in answers] == [str(a + b) for a, b in pairs]
    assert all(answer.error is None for answer in answers)


@pytest.mark.parametrize(
    ("line", "answer"),
    [
        ("0+0", "0"),
        ("007+3", "10"),
        (" 12 +\t30 ", "42"),
        ("999+1", "1000"),
        ("1+2\r\n", "3"),
        (b"5+5", "10"),
        ("000+00", "0"),
    ],
)
def test_as_a_person_writes_it(solver, line, answer):
    assert str(solver.solve([line])[0]) == answer


@pytest.mark.parametrize("line", MALFORMED)
def test_malformed_lines_are_named(solver, line):
    before, answer, after = solver.solve(["1+1", line, "2+2"])
    assert (str(before), str(answer), str(after)) == ("2", "error", "4")
    assert answer.text is None
    assert MALFORMED[line] in answer.error


def test_one_text_for_several_is_refused(solver):
    for one in ("1+2", b"1+2"):
        with pytest.raises(TypeError, match=r"pass \[b?'1\+2'\]"):
            solver.solve(one)
    with pytest.raises(TypeError, match=r"such as '12\+34', got 7"):
        solver.solve(["1+2", 7])


def test_a_stream_answers_every_line(solver):
    lines = [b"1+1", b"x", b"20+22", b"", b"\xff+1", b"9+9"]
    for end in (b"\n", b"\r\n"):
        good, answers, errors = stream(solver, end.join(lines) + end)
        assert not good
        assert answers == ["2", "error", "42", "error", "error", "18", ""]
        assert [error.split(":")[0] for error in errors] == ["line 2", "line 4", "line 5"]


@pytest.mark.parametrize(
    ("data", "answers"),
    [
        (b"", [""]),
        (b"1+2", ["3", ""]),
        (b"1+2\n", ["3", ""]),
        (b"1+2\r\n3+4", ["3", "7", ""]),
        (b"\xef\xbb\xbf1+2\n3+4\n", ["3", "7", ""]),
        (b"\n", ["error", ""]),
        (b"1+2\n\n", ["3", "error", ""]),
    ],
)
def test_ends_of_lines_and_files(solver, data, answers):
    good, found, errors = stream(solver, data)
    assert found == answers
    assert good == ("error" not in answers) == (errors == [])
    assert stream(solver, Trickle(data)) == (good, found, errors)


def test_a_slow_pipe_gives_the_same(solver):
    rng = random.Random(3)
    lines = [f"{rng.randrange(10**30)}+{rng.randrange(10**9)}" for _ in range(60)]
    lines[7], lines[31] = "nonsense", ""
    data = "\r\n".join(lines).encode()
    assert stream(solver, Trickle(data, 1)) == stream(solver, data)


def test_lines_are_answered_as_they_arrive(solver):
    """A reader that asks for the next piece has the answers to all lines before it."""
    output, seen = io.BytesIO(), []

    class Conversation(io.RawIOBase):
        pieces = iter([b"1+", b"1\n2+2\n3", b"+3\r", b"\n", b"4+4"])

        def read1(self, _):
            seen.append(output.getvalue())
            return next(self.pieces, b"")

    assert solver.solve_stream(Conversation(), output, io.StringIO())
    assert seen == [b"", b"", b"2\n4\n", b"2\n4\n", b"2\n4\n6\n", b"2\n4\n6\n"]
    assert output.getvalue() == b"2\n4\n6\n8\n"


def test_files_larger_than_the_buffers(solver, monkeypatch):
    monkeypatch.setattr("arithtf.evaluate.solve.PENDING", 100)
    monkeypatch.setattr("arithtf.evaluate.solve.READ", 64)
    pairs = [(i * 7919, 10 ** (i % 40)) for i in range(300)]
    good, answers, errors = stream(solver, "\n".join(f"{a}+{b}" for a, b in pairs).encode())
    assert good
    assert not errors
    assert answers[:-1] == [str(a + b) for a, b in pairs]


def test_a_line_of_many_digits(solver):
    n = 100_000
    good, answers, _ = stream(solver, b"9" * n + b"+1\n1+1\n")
    assert good
    assert answers == ["1" + "0" * n, "2", ""]


@pytest.mark.parametrize("name", ["damaged", "broken", "random"])
def test_the_answer_is_the_models_own_whatever_the_company(trained, models, name):
    model, recipe = models[name], trained[1]
    task, eos = recipe.task, recipe.task.vocabulary.eos
    operands = task.operands(Address(4, "all", 0), Draw((1, 40), 50))
    lines = [task.problem_text(operands, i).split("=")[0] for i in range(50)]
    together = Solver(model, recipe).solve(lines)
    wrong = 0
    for i, answer in enumerate(together):
        batch = Batch.of(task.instances(operands.select([i]), solved=False), recipe.coupling)
        written = greedy(model, batch, eos=eos)[0]
        if answer.text is None:
            ended = (written == eos).any()
            assert "does not end" in answer.error or ended
            if ended:
                with pytest.raises(ValueError, match=r"the answer (has|is empty)"):
                    task.render(written)
        else:
            assert answer.text == task.render(written)
        wrong += answer.text != task.problem_text(operands, i).split("=")[1]
    assert Solver(model, recipe).solve(lines[:1]) == together[:1]
    assert wrong > 0 or name == "damaged"


def test_weights_that_are_no_numbers_are_refused(trained, tools):
    model = tools.damage(trained[0], 0.0)
    with torch.no_grad():
        model.embedding.weight[3, 3] = torch.inf
    with pytest.raises(ValueError, match=r"embedding\.weight"):
        Solver(model, trained[1])


def test_models_with_a_cache_and_a_limit_of_their_own():
    task = Addition()
    coupling = couplings.position_coupling(task, 12)
    encoding = Encoding(embedding=Learned(max_position=20))
    config = ModelConfig(vocabulary=task.vocabulary.size, width=16, hidden=16, encoding=encoding)
    recipe = Recipe(name="test", task=task, coupling=coupling, model=config)
    model = Transformer(config, seed=1).eval()
    # An answer token the model cannot help writing: EOS after whatever it has seen.
    with torch.no_grad():
        model.unembedding.weight[:] = 0
    answers = Solver(model, recipe).solve(["1+2", "9" * 40 + "+1", "12+34"])
    assert "cannot read" in answers[1].error
    assert "max_position" in answers[1].error
    assert all("does not end" in answers[i].error for i in (0, 2))  # zeros for ever


def test_groups_hold_every_problem_once():
    """Problems of a group have at most twice the columns of the shortest, or few."""
    rng = np.random.default_rng(0)
    lengths = rng.integers(1, 4000, 300)
    columns = 2 * lengths + 6  # ^a+b= with one digit of b, a carry and EOS
    operands = Operands.from_digits([(np.ones(n, np.uint8), np.ones(1, np.uint8)) for n in lengths])
    found = list(groups(Addition(), operands, 20_000))
    assert sorted(np.concatenate(found)) == list(range(300))
    for group in found:
        most = columns[group].max()
        assert len(group) == 1 or most * len(group) <= 20_000
        assert most <= max(2 * columns[group].min(), SHORT)
    assert 20 < len(found) < 150
