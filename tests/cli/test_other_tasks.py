"""A task that is not on operands, from a file: trained, shown, evaluated, reported."""

import json

import pytest

RETRIEVAL = '''
from dataclasses import dataclass

import numpy as np

from arithtf.encodings import Encoding
from arithtf.recipes import Recipe, build, recipe
from arithtf.tasks import Coupling, Instances, Level, Place, Segments, Task, Vocabulary


@dataclass(frozen=True)
class Retrieval(Task):
    """Keys and values in turn, then a key: its value."""

    keys: int = 8

    name = "retrieval"

    @property
    def vocabulary(self):
        return Vocabulary([*(f"k{i}" for i in range(self.keys)), *"01", "_"])

    @property
    def segments(self):
        return Segments(("key", "value", "asked", "answer"), ("key", "value", "asked"))

    def sample(self, address, draw, *, threads=0):
        rng = np.random.default_rng([address.seed, address.step, address.split == "test"])
        pairs = rng.integers(*draw.lengths, draw.size, endpoint=True)
        problems = []
        for n in pairs:
            keys, values = rng.choice(self.keys, n, replace=False), rng.integers(0, 2, n)
            problems.append((keys, values, rng.integers(n)))
        return self.instances(problems)

    def instances(self, problems, *, solved=True):
        words, width = self.vocabulary, 2 * max(len(keys) for keys, _, _ in problems) + 2
        tokens = np.full((len(problems), width), words.pad, words.dtype)
        targets = np.full_like(tokens, np.iinfo(words.dtype).max)
        segment = np.full(tokens.shape, -1)
        for i, (keys, values, asked) in enumerate(problems):
            n = 2 * len(keys)
            tokens[i, 0:n:2], tokens[i, 1:n:2] = keys, values + self.keys
            tokens[i, n] = keys[asked]
            tokens[i, n + 1] = targets[i, n] = values[asked] + self.keys
            segment[i, : n + 2] = [*[0, 1] * (n // 2), 2, 3]
        start = 2 * min(len(keys) for keys, _, _ in problems)
        return Instances.of(tokens, targets, segment, self.segments, start=start)

    def parse(self, line):
        raise ValueError("expected no text")

    def render(self, answer_tokens):
        return self.vocabulary.text(answer_tokens)


@recipe(Retrieval())
def retrieval(task: Retrieval) -> Recipe:
    own = {name: Place(index=1) for name in ("key", "value", "asked")}
    asking = {"answer": Place(index=1)}
    level = Level(name="index", key=own, query=asking)
    sizes = {"width": 16, "heads": 2, "hidden": 32}
    return build(task, Coupling("index", (level,)), Encoding(), **sizes, lengths=(1, 1), steps=30)
'''


@pytest.fixture
def outside(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "retrieval.py").write_text(RETRIEVAL)
    return tmp_path


@pytest.mark.parametrize("keys", [8, 300], ids=["bytes", "words"])
def test_a_task_without_operands_goes_through_the_commands(arithtf, outside, keys):
    setting = f"task.keys={keys}"
    shown = arithtf("data", "retrieval.py", setting, "--show", 2)
    assert shown.code == 0, shown.err
    assert "trained on length 1, 30 steps of 64 problems" in shown.out
    first, second = (part.splitlines() for part in shown.out.split("\n\n")[1:])
    words = first[0].replace(",", "").split()
    assert words[::2] == ["key", "value", "asked", "answer"]
    assert words[1] == words[5] != words[3] == words[7]
    assert second[2].split() == ["token", *second[0].replace(",", "").split()[1::2]]

    trained = arithtf("train", "retrieval.py", setting, "--out", "run")
    assert trained.code == 0, trained.err
    assert "not checked for conflicts: retrieval is no task on operands" in trained.out
    assert "on length 1: " in trained.out

    few = arithtf("evaluate", "run", "--lengths", "1,3", "--count", 40)
    assert few.code == 0, few.err
    assert ["length", "right"] in [line.split()[:2] for line in few.out.splitlines()]
    assert "digit" not in few.out
    usual = arithtf("evaluate", "run", "--count", 50)
    assert "50 of 50" in usual.out
    rows = [json.loads(line) for line in (outside / "run" / "eval.jsonl").read_text().splitlines()]
    assert [(row["length"], row["count"], row["tokens"]) for row in rows] == [
        (1, 40, 40),
        (3, 40, 40),
        (1, 50, 50),
    ]
    assert {row["grade"] for row in rows} == {"sampled"}
    assert all(row["accuracy"] == row["exact"] / row["count"] for row in rows)
    assert rows[1]["exact"] < 40, "three pairs were never shown"

    reported = arithtf("report", "run")
    assert reported.code == 0, reported.err
    page = (outside / "run" / "report.html").read_text()
    assert "Only tasks on operands can be certified" in page
    assert "arithtf stress" not in page
    assert "arithtf certify" not in page
    assert "random problems, length 3" in page
