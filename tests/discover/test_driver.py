"""From a task to a certificate: files, recipes, interruptions."""

import json
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from arithtf.certify import certify
from arithtf.certify.contexts import enumerate_contexts
from arithtf.cli import main
from arithtf.commands import discover as command
from arithtf.discover import Discoverer, NothingFound, recipe_of
from arithtf.discover.driver import FORMAT
from arithtf.recipes import get_recipe
from arithtf.runs import load_model, read_json, write_json
from arithtf.tasks import (
    Addition,
    Copy,
    Coupling,
    Level,
    Multiplication,
    Parity,
    Place,
    Subtraction,
    couplings,
    task_to_dict,
)
from arithtf.train import train


def levels(data):
    return data["coupling"]["levels"]


def test_addition_is_found_as_published():
    """Position coupling's alignment, with nothing but the operands seen (arXiv 2405.20671)."""
    task = Addition()
    discovery = Discoverer(task).run()
    ready = couplings.operand_columns(task)
    assert [(x.key, x.query) for x in discovery.coupling.levels] == [
        (x.key, x.query) for x in ready.levels
    ]
    assert discovery.windows == ((1, 0),)
    known = enumerate_contexts(task, ready, ((1, 0),))
    contexts, conflicts = known.contexts, known.conflicts
    assert discovery.contexts == len(contexts.target)
    assert conflicts == []
    assert discovery.finished
    assert discovery.log_space > 10


def test_the_command_finds_trains_and_certifies(tmp_path, capsys, monkeypatch):
    assert main(["discover", "parity", "--out", str(tmp_path)]) == 0
    printed = capsys.readouterr().out
    assert "certified: exact at every operand length" in printed
    data = read_json(tmp_path / "discovery.json")
    assert data["finished"]
    assert data["examples"]["conflicts"] == 0
    model, recipe = load_model(tmp_path)
    assert recipe.coupling == Coupling.from_dict(data["coupling"])
    assert read_json(tmp_path / "certificate.json")["contexts"] == data["contexts"] == 8
    assert certify(model, recipe.task, recipe.coupling).certified
    # A second call searches no more and trains no more.
    monkeypatch.setattr(command, "Discoverer", None)
    weights = (tmp_path / "model.safetensors").read_bytes()
    assert main(["discover", "parity", "--out", str(tmp_path)]) == 0
    assert "found before" in capsys.readouterr().out
    assert (tmp_path / "model.safetensors").read_bytes() == weights
    assert main(["discover", "copy", "--out", str(tmp_path)]) == 1
    assert "another task or seed" in capsys.readouterr().err


def test_a_search_is_deterministic(tmp_path):
    for name in ("one", "two"):
        arguments = ["discover", "comparison", "--no-train", "--seed", "4"]
        assert main([*arguments, "--out", str(tmp_path / name)]) == 0
    first, second = ((tmp_path / n / "discovery.json").read_bytes() for n in ("one", "two"))
    assert first == second
    assert not (tmp_path / "one" / "config.json").exists()


@pytest.mark.parametrize("calls", [0, 1, 3])
def test_an_interrupted_search_keeps_its_best(tmp_path, monkeypatch, capsys, calls):
    def reporter():
        left = [calls]

        def report(what, done, total):
            if not left[0]:
                raise KeyboardInterrupt
            left[0] -= done == total and not what.startswith("segments")

        return report

    monkeypatch.setattr(command, "_reporter", reporter)
    arguments = ["discover", "subtraction", "--out", str(tmp_path)]
    assert main(arguments) == 130
    said = capsys.readouterr().err
    assert "interrupted" in said
    path = tmp_path / "discovery.json"
    if not calls:
        assert "before any table" in said
        assert not path.exists()
        return
    data = json.loads(path.read_text())
    assert not data["finished"]
    assert data["contexts"] is None
    assert data["examples"]["conflicts"] > 0
    assert f"{data['examples']['conflicts']} conflicts" in said
    assert levels(data)
    assert {file.name for file in tmp_path.iterdir()} == {"discovery.json"}


def test_what_was_cut_off_is_searched_again(tmp_path, capsys):
    task = Parity()
    data = {"format": FORMAT, "task": task_to_dict(task), "seed": 0, "finished": False}
    write_json(tmp_path / "discovery.json", data)
    assert main(["discover", "parity", "--no-train", "--out", str(tmp_path)]) == 0
    assert "found in" in capsys.readouterr().out
    assert read_json(tmp_path / "discovery.json")["finished"]


def test_unknown_tasks_are_misuse(tmp_path, capsys):
    assert main(["discover", "poetry", "--out", str(tmp_path)]) == 2
    assert "subtraction" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_couplings_that_are_refused_but_for_a_few_tables(monkeypatch):
    """Where single lookups are enumerable but no solution is, nothing is accepted."""
    monkeypatch.setattr("arithtf.discover.search.GENERATIONS", 2)

    def picky(task, coupling, windows):
        if any(level.key["a"].left for level in coupling.levels if "a" in level.key):
            raise ValueError("the string is not to be seen from the left")

    monkeypatch.setattr("arithtf.discover.driver.check_enumerable", picky)
    discoverer = Discoverer(Parity())
    with pytest.raises(NothingFound, match=r"parity.*passed over"):
        discoverer.run()


def test_couplings_that_are_all_refused(monkeypatch, tmp_path, capsys):
    """The best on the examples is returned, trained and sampled, and never called certified."""

    def refuse(task, coupling, windows):
        raise ValueError("no proof")

    monkeypatch.setattr("arithtf.discover.driver.check_enumerable", refuse)
    monkeypatch.setattr("arithtf.certify.contexts.covering_set", refuse)
    assert main(["discover", "parity", "--out", str(tmp_path)]) == 1
    printed = capsys.readouterr().out
    assert "cannot be enumerated: no proof" in printed
    assert "not certified" in printed
    assert "sampled" in printed
    data = read_json(tmp_path / "discovery.json")
    assert data["finished"]
    assert data["contexts"] is None
    assert data["examples"]["conflicts"] == 0
    assert read_json(tmp_path / "certificate.json")["verdict"] == "refused"


def test_recipes_take_sizes_and_nothing_else():
    task = Subtraction()
    place = Place(left=1)
    names = ("one", "two", "three")
    made = [
        Level(name=n, key={"a": Place(right=1)}, query={"difference": place, "answer": place})
        for n in names
    ]
    windows = ((3, 0), (0, 0), (0, 2))
    recipe = recipe_of(task, Coupling("found", tuple(made)), windows, seed=5)
    ready = get_recipe("subtraction")
    assert (recipe.model.width, recipe.steps) == (ready.model.width, ready.steps)
    assert recipe.seed == 5
    assert recipe.coupling != ready.coupling
    assert recipe.model.encoding.windows == windows
    assert recipe.model.encoding.mechanism.reach == 3
    heads = recipe.model.encoding.head_levels
    assert len(heads) == recipe.model.heads
    # Level "one" shows 4 tokens, "two" one, "three" 3.
    assert np.bincount(heads).tolist() == [4, 1, 3]


def test_more_levels_than_heads():
    task = Copy()
    many = [
        Level(name=str(n), key={"a": Place(left=1, offset=n)}, query={"answer": Place(left=1)})
        for n in range(6)
    ]
    recipe = recipe_of(task, Coupling("many", tuple(many)), ((0, 0),) * 6, seed=0)
    assert recipe.model.heads == 8
    train(replace(recipe, steps=2, batch=4), device="cpu")


def test_a_part_that_takes_long_says_how_far_it_is(monkeypatch, capsys):
    clock = iter([0.0, 1.0, 2.9, 3.1, 4.0, 7.0, 7.5])
    monkeypatch.setattr(command, "time", SimpleNamespace(perf_counter=lambda: next(clock)))
    report = command._reporter()
    for what, done in (("a", 1), ("a", 2), ("a", 3), ("a", 4), ("b", 9)):
        report(what, done, 9)
    report("nothing", 0, 0)
    assert capsys.readouterr().out.splitlines() == [
        "a: 3 of 9, 3.1 s since the start",
        "b: 9 of 9, 7.0 s since the start",
    ]


def test_a_found_coupling_of_a_sheet_is_trained_on_more_than_the_ready_one():
    """Its contexts are others: short operands show some that long ones have not."""
    task = Multiplication()
    ready = get_recipe("multiplication")
    coupling = couplings.lookups(task)
    windows = ((0, 0),) * len(coupling.levels)
    recipe = recipe_of(task, coupling, windows, seed=3)
    assert recipe.lengths == (1, ready.lengths[1])
    assert recipe.local_batches > ready.local_batches
    assert recipe.model.hidden > ready.model.hidden
    assert (recipe.local, recipe.steps, recipe.seed) == (ready.local, ready.steps, 3)
    assert recipe.model.encoding.head_levels == tuple(range(8))
