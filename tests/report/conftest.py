"""A run that took a second: enough for every figure, not enough to be right."""

import shutil
from dataclasses import replace

import pytest

from arithtf.certify import certify
from arithtf.recipes import get_recipe
from arithtf.report import build_page
from arithtf.runs import append_line, load_model, weights_hash
from arithtf.train import train


@pytest.fixture(scope="session")
def short_run(tmp_path_factory):
    """A run directory with weights and metrics, and nothing else."""
    run = tmp_path_factory.mktemp("runs") / "short"
    train(replace(get_recipe("addition"), steps=12, log_every=3, batch=16), run, device="cpu")
    return run


@pytest.fixture(scope="session")
def evaluated_run(short_run, tmp_path_factory):
    """A copy of it with a certificate that says no, and results of every suite; to be read only."""
    run = tmp_path_factory.mktemp("runs") / "evaluated"
    shutil.copytree(short_run, run)
    certify(run, tour=False).save(run / "certificate.json")
    weights = weights_hash(load_model(run)[0])
    for row in rows():
        append_line(run / "eval.jsonl", {**row, "weights": weights})
    return run


@pytest.fixture
def own_run(evaluated_run, tmp_path):
    """A copy of the evaluated run that a test may change."""
    shutil.copytree(evaluated_run, tmp_path / "own")
    return tmp_path / "own"


@pytest.fixture(scope="session")
def page(evaluated_run):
    """The evaluated run's page."""
    return build_page(evaluated_run)


def rows():
    """Rows of every suite, with the keys that the figures read."""
    for length, exact in ((5, 50), (20, 49), (100, 0)):
        yield row("sampled", "uniform", length, 50, exact, left=length, right=length, seed=0)
    for length in (10, 1000, 100000):
        yield row("ladder", "ripple", length, 2, 1, left=length)
    for chain, exact in ((1, 4), (12, 4), (130, 2)):
        for place in (0, 40):
            yield row("carry", "chain", 200, 4, exact, chain=chain, place=place)
    yield row("carry", "uniform", 200, 4, 4)
    for left in (1, 10):
        for right in (1, 10, 100):
            yield row("grid", "mixed", max(left, right), 3, 3, left=left, right=right)
    yield row("tour", "tour", 60, 12, 12, contexts=900, covered=900)


def row(suite, kind, length, count, exact, **facts):
    """One row as the evaluator writes it."""
    grade = "sampled" if suite == "sampled" else "stressed"
    empty = {"left": None, "right": None, "chain": None, "place": None}
    known = {
        "suite": suite,
        "distribution": kind,
        "grade": grade,
        "length": length,
        "count": count,
        "exact": exact,
    }
    return known | empty | facts
