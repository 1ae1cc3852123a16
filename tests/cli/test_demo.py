"""`arithtf demo`: the whole story, with a recipe cut short."""

import json
from dataclasses import replace

import pytest

from arithtf.commands import demo
from arithtf.recipes import get_recipe
from arithtf.report.evidence import results


@pytest.fixture
def quick(monkeypatch):
    """The demo with a few steps of training: it must say no."""
    short = replace(get_recipe("addition"), steps=5, log_every=5, batch=16)
    monkeypatch.setattr(demo, "get_recipe", lambda _: short)
    monkeypatch.setattr(demo, "LENGTHS", (2, 5))
    monkeypatch.setattr(demo, "COUNT", 10)


@pytest.mark.usefixtures("quick")
def test_an_uncertified_model_is_1_and_every_number_has_a_grade(arithtf, tmp_path):
    out = tmp_path / "demo"
    ended = arithtf("demo", "--out", out, "--max-digits", 20)
    assert ended.code == 1
    assert "not certified" in ended.err
    assert "evaluate 1/2  2 digits: " in ended.out
    assert "evaluate 2/2  5 digits: " in ended.out
    assert "adversarial problems came out wrong" in ended.err
    summary = json.loads((out / "summary.json").read_text())
    assert {row["grade"] for row in summary["rows"]} == {"sampled", "stressed", "not certified"}
    for row in summary["rows"]:
        assert set(row) == {"what", "value", "unit", "grade", "detail"}
        assert row["what"] in ended.out
    assert summary["facts"]["trained_on_digits"] == [1, 10]
    for name in ("model.safetensors", "certificate.json", "eval.jsonl", "report.html"):
        assert (out / name).exists(), name
    again = arithtf("demo", "--out", out, "--max-digits", 20)
    assert again.code == 1
    assert len((out / "metrics.jsonl").read_text().splitlines()) == 1


def test_what_a_certificate_adds(trained_run):
    from arithtf.certify import certify

    rows = results([], certify(trained_run).to_dict())
    assert {row.grade for row in rows} == {"certified"}
    assert (rows[0].what, rows[0].value, rows[0].shown) == ("every length", 1.0, "100 %")
    assert rows[1].value > 0


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("name", ["notes.txt", "config.json", "model.safetensors"])
def test_what_no_demo_made_is_not_touched(arithtf, tmp_path, name):
    (tmp_path / name).write_text("mine")
    ended = arithtf("demo", "--out", tmp_path)
    assert ended.code == 2
    assert "choose another --out" in ended.err
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [(name, "mine")]


@pytest.mark.usefixtures("quick")
def test_a_file_is_not_a_place(arithtf, tmp_path):
    (tmp_path / "file").write_text("mine")
    assert arithtf("demo", "--out", tmp_path / "file").code == 2


@pytest.mark.usefixtures("quick")
def test_foreign_files_in_a_demo_stay(arithtf, tmp_path):
    (tmp_path / "summary.json").write_text('{"rows": [], "facts": {}}')
    (tmp_path / "notes.txt").write_text("mine")
    demo.prepare(tmp_path)
    assert (tmp_path / "notes.txt").read_text() == "mine"
