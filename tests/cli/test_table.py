"""`arithtf table`: every run under runs/, or those named."""

import shutil


def test_runs_are_found_and_written(arithtf, raw_run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("one", "two"):
        shutil.copytree(raw_run, tmp_path / "runs" / name)
    (tmp_path / "runs" / "no-run").mkdir()
    ended = arithtf("table", "--out", "table.md")
    assert ended.code == 0, ended.err
    lines = ended.out.splitlines()
    assert lines[0].split()[:2] == ["task", "trained"]
    assert [line.split()[:2] for line in lines[2:4]] == [
        ["addition,", "runs/one"],
        ["addition,", "runs/two"],
    ]
    page = (tmp_path / "table.md").read_text()
    assert "\n| addition, runs/one |" in page
    assert "\n| addition, runs/two |" in page
    assert "--verify checks each" in page
    assert "--verify checks each" not in arithtf("table", "runs/one", "--verify").out


def test_a_damaged_run_is_named_and_the_others_are_shown(arithtf, raw_run, tmp_path):
    good, bad = tmp_path / "good", tmp_path / "bad"
    for run in (good, bad):
        shutil.copytree(raw_run, run)
    (bad / "config.json").write_text("null")
    ended = arithtf("table", good, bad)
    assert ended.code == 1
    assert str(bad) in ended.err
    assert "addition" in ended.out
