"""`arithtf study`: what it prints, refuses and exits with."""

import json

import pytest

from arithtf.studies import STUDIES

FILE = """
from arithtf.recipes import get_recipe
from arithtf.studies import Study, measured

def recipes():
    yield get_recipe("parity", "steps=3", "batch=4", "model.width=8", "model.heads=2")

def row(run):
    if "-s1-" in run.name:
        raise RuntimeError("no luck")
    yield measured("luck", 0.5, grade="sampled", unit="share", hits=1, count=2)

study = Study(name="luck", recipes=recipes, seeds=range(2), evaluations=(row,))
"""


@pytest.fixture
def luck(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "luck.py").write_text(FILE)
    return "luck.py"


def test_list(arithtf):
    ended = arithtf("study", "list")
    assert ended.code == 0
    assert "recipes=addition seeds=16" in ended.out
    assert [row["name"] for row in json.loads(arithtf("study", "list", "--json").out)] == [*STUDIES]


def test_a_study_that_partly_fails(arithtf, luck, tmp_path, monkeypatch):
    ended = arithtf("study", "run", luck)
    assert ended.code == 1
    assert "parity, seed 1: failed: RuntimeError: no luck" in ended.out
    assert "1 finished, 1 failed" in ended.out
    assert arithtf("study", "run", luck).code == 1
    with monkeypatch.context() as patch:
        patch.setenv("TORCHELASTIC_RUN_ID", "none")  # torchrun would end the other workers
        assert arithtf("study", "run", luck).code == 0
    status = arithtf("study", "status", luck)
    assert status.code == 0
    assert "1 failed, 1 finished" in status.out
    states = json.loads(arithtf("study", "status", luck, "--json").out)
    assert [(s["seed"], s["state"]) for s in states] == [(0, "finished"), (1, "failed")]
    board = arithtf("study", "board", luck, "--markdown", "b.md", "--html", "b.html")
    assert board.code == 0
    assert "50.0 % [9.45 %, 90.5 %]" in board.out or "50.0 % [9.5 %, 90.5 %]" in board.out
    assert "failed: parity, seed 1: RuntimeError: no luck" in board.out
    assert (tmp_path / "b.md").read_text().startswith("# luck\n")
    assert (tmp_path / "b.html").read_text().startswith("<!doctype html>")
    assert json.loads(arithtf("study", "board", luck, "--json").out)["cells"] == 2
    assert arithtf("study", "run", luck, "--out", tmp_path / "other", "--shard", "0/2").code == 0
    assert len(list((tmp_path / "other").glob("*/cell.json"))) == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["run"], "expected a study to run; `arithtf study list` lists"),
        (["list", "seeds"], "list takes no study"),
        (["run", "sed"], "no study is named 'sed'; did you mean seeds"),
        (["run", "seeds", "recipe=parity"], "no field 'recipe'; did you mean recipes"),
        (["run", "seeds", "recipes=nope"], "no recipe is named 'nope'"),
        (["run", "seeds", "--shard", "2/2"], "expected a shard i/n with i from 0"),
        (["run", "seeds", "--json"], "--json goes with board or status or list, not with run"),
        (["board", "seeds", "--shard", "0/2"], "--shard goes with run, not with board"),
        (["predict", "seeds"], "predicts nothing"),
        (["run", "luck.py", "seeds=3"], "takes no settings"),
    ],
)
def test_misuse(arithtf, luck, tmp_path, arguments, message):
    ended = arithtf("study", *arguments)
    assert ended.code == 2
    assert message in ended.err
    assert "Traceback" not in ended.err
    assert not (tmp_path / "studies").exists()


def test_other_predictions_are_refused(arithtf, luck, tmp_path):
    text = FILE.replace("evaluations=(row,)", "predictions=lambda recipe: [measured('luck', 1.0)]")
    (tmp_path / "a.py").write_text(text)
    (tmp_path / "b.py").write_text(text.replace("1.0", "0.5"))
    first = arithtf("study", "predict", "a.py")
    assert first.code == 0
    assert "predicted: 1 figures, in studies/luck/predictions.json" in first.out
    second = arithtf("study", "predict", "b.py")
    assert second.code == 1
    assert "holds other predictions" in second.err
