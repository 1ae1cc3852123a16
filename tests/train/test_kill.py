"""A run that is killed at any moment and resumed ends in the same bytes as one that is not."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

FILES = {
    "config.json",
    "hashes.json",
    "metrics.jsonl",
    "model.safetensors",
    "state.pt",
    "timing.json",
    ".lock",
}


@pytest.fixture(scope="module")
def killed(tiny, tmp_path_factory):
    """The folder of all runs, and what happened in each."""
    folder = tmp_path_factory.mktemp("killed")
    (folder / "recipe.json").write_text(json.dumps(tiny.to_dict()))
    result = subprocess.run(
        [sys.executable, Path(__file__).with_name("killer.py"), folder / "recipe.json", folder],
        env=os.environ | {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    return folder, [json.loads(line) for line in result.stdout.splitlines()]


def test_all_runs_end_in_the_same_bytes(killed, contents):
    folder, runs = killed
    whole = contents(folder / "whole")
    different = [
        (row["run"], row["deaths"], name)
        for row in runs
        for name, data in contents(folder / row["run"]).items()
        if data != whole[name]
    ]
    assert different == []


def test_nothing_is_left_behind(killed):
    folder, runs = killed
    for row in runs:
        assert {path.name for path in (folder / row["run"]).iterdir()} == FILES, row


def test_deaths_were_real_and_everywhere(killed):
    """Guards the two tests above: a killer that does not kill would let them pass."""
    _, runs = killed
    deaths = [row["deaths"][0] for row in runs if row["run"].startswith("event-")]
    for name in ("config.json", "hashes.json", "metrics.jsonl", "state.pt", "model.safetensors"):
        for what in ("fsync", "os.chmod", "os.rename"):
            assert any(death.startswith(f"{what} .{name}.") for death in deaths), (what, name)
    assert sum(death.startswith("os.rename .state.pt.") for death in deaths) == 2
    assert "open metrics.jsonl" in deaths
    inside = [row["deaths"][0] for row in runs if row["run"].startswith("size-")]
    assert len(inside) == 8
    assert None not in inside
    times = [death for row in runs if row["run"].startswith("time-") for death in row["deaths"]]
    assert any(death is not None for death in times)
