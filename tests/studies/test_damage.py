"""What cannot be written, cannot be read, or is no row: what is said, and that the others go on."""

import errno
import os
import re

import pytest

from arithtf.runs import RunError, files
from arithtf.studies import Outcome, Shard, board_of, measured, run_study, status_of
from arithtf.studies.cells import look
from arithtf.studies.claims import Claims
from arithtf.train import train


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_stops_the_worker_and_is_no_failure_of_the_cell(
    study, sizes, contents, tmp_path, monkeypatch, number
):
    whole = study(sizes, widths=(8,))
    run_study(whole, tmp_path / "whole")
    cells, folder, write, told = whole.cells(), tmp_path / "full", files._write, []

    def full(path, content):
        if path == folder / cells[1].name / "model.safetensors":
            raise OSError(number, os.strerror(number))
        write(path, content)

    with monkeypatch.context() as patch:
        patch.setattr(files, "_write", full)
        expected = f"{os.strerror(number)} in width 8, seed 1: .*safetensors; make room, then the"
        with pytest.raises(RunError, match=expected):
            run_study(whole, folder, tell=told.append)
    assert len(told) == 1
    assert [look(whole, folder, cell).state for cell in cells] == ["finished", "begun", "waiting"]
    assert Claims(folder / ".claims").holder(cells[1].name).free
    assert run_study(whole, folder) == Outcome(3, 0, 0)
    assert contents(folder, whole) == contents(tmp_path / "whole", whole)


DAMAGE = (
    ("cell.json", "{", "cell.json is not valid JSON"),
    ("cell.json", "[]", "cell.json is damaged: expected an object, got"),
    ("cell.json", '{"format": 9}', "cell.json of format 1, got 9"),
    (
        "cell.json",
        '{"format": 1, "study": "t", "code": 5}',
        "a list, each item an object with version.* as 'code', got 5",
    ),
    ("eval.jsonl", "no\n", "line 1 of .*eval.jsonl is not valid JSON"),
    (
        "eval.jsonl",
        '{"measure": "one", "evaluation": "one", "value": "x"}\n',
        "as 'value', got .x.",
    ),
    (
        "timing.json",
        "{}",
        "timing.json is damaged: expected a finite number as 'seconds', got none",
    ),
    ("failure.json", "{}", "failure.json is damaged: expected a text as 'error', got none"),
)


def one(run):
    yield measured("one", 1)


@pytest.mark.parametrize(("file", "text", "message"), DAMAGE)
def test_a_damaged_cell_is_named_and_the_others_go_on(study, tmp_path, file, text, message):
    made, told = study(one, widths=(8,), trained=False), []
    first = made.cells()[0]
    run_study(made, tmp_path, shard=Shard(0, 3))
    (tmp_path / first.name / file).write_text(text)
    assert run_study(made, tmp_path, retry=True, tell=told.append) == Outcome(2, 1, 0)
    assert [line.partition(": ")[2][:8] for line in told] == ["finished", "finished", "damaged:"]
    assert re.search(f"{message}.*; move .*{first.name} away and run the study again", told[-1])
    (left,) = board_of(made, tmp_path).open
    assert (left.cell, left.state) == (first.name, "damaged")
    assert [status.state for status in status_of(made, tmp_path)] == ["damaged", *["finished"] * 2]
    (tmp_path / first.name).rename(tmp_path / "away")
    assert run_study(made, tmp_path) == Outcome(3, 0, 0)


def test_a_damaged_checkpoint_is_a_failure_that_says_what_to_do(study, tmp_path):
    made, told = study(seeds=(0,), widths=(8,)), []
    run = tmp_path / made.cells()[0].name
    train(made.cells()[0].recipe, run, device="cpu")
    (run / "state.pt").write_bytes(b"no checkpoint")
    assert run_study(made, tmp_path, tell=told.append) == Outcome(0, 1, 0)
    assert "state.pt is damaged" in told[0]
    assert "remove the run directory and train again" in told[0]


@pytest.mark.parametrize(
    "rows", [None, ["exact"], [{"measure": "exact"}], [measured("exact", 1.0), 3]]
)
def test_an_evaluation_that_yields_no_rows_is_told_so(study, tmp_path, rows):
    def odd(run):
        return rows

    made, told = study(odd, seeds=(0,), widths=(8,)), []
    assert run_study(made, tmp_path, tell=told.append) == Outcome(0, 1, 0)
    assert "failed: TypeError: expected test_an_evaluation" in told[0]
    assert f"yield rows as `measured` makes them, got {(rows or [None])[-1]!r}" in told[0]
