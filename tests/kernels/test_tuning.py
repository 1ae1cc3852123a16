"""The search for tiles with a timer that is made up, and the command where there is no GPU."""

import json

import pytest
import torch

from arithtf.cli import main
from arithtf.kernels.configs import KERNELS, SPLIT, WHOLE, Tiles, table_of
from arithtf.kernels.tuning import candidates, fastest, text_of, tune

NOW = Tiles(64, 32, 4, 2)


def test_finds_the_least_time():
    def time(_kernel, _entry, tiles):
        return abs(tiles.bm - 128) + abs(tiles.bn - 64) + abs(tiles.warps - 8) + tiles.stages

    best, seconds, before = fastest("forward", "2,64", NOW, time)
    assert best == Tiles(128, 64, 8, 1)
    assert (seconds, before) == (1, 64 + 32 + 4 + 2)


def test_what_does_not_run_is_passed_over():
    def time(_kernel, _entry, tiles):
        if tiles.bm > 64:
            raise RuntimeError("out of resource: shared memory")
        return 100 - tiles.bm

    assert fastest("forward", "2,64", NOW, time)[0] == NOW

    def never(*_):
        raise RuntimeError("out of resource")

    with pytest.raises(RuntimeError, match="forward 2,64 does not run as configured: out of"):
        fastest("forward", "2,64", NOW, never)


def test_noise_changes_nothing():
    assert fastest("keys", "2,64", NOW, lambda *a: 1.0 - 0.015 * (a[2] != NOW))[0] == NOW


@pytest.mark.parametrize("kernel", [*KERNELS, *WHOLE, *SPLIT])
def test_candidates_are_tiles(kernel):
    for entry, now in table_of("sm_90")[kernel].items():
        found = list(candidates(kernel, entry, Tiles(*now)))
        assert found[0] == Tiles(*now)
        assert len(found) == len(set(found)) > 1
        for bm, bn, warps, stages in found:
            assert 16 <= bm <= 128
            assert 16 <= bn <= 128
            assert warps in (1, 2, 4, 8)
            assert 1 <= stages <= 3
            assert kernel not in WHOLE or bn == now[1]


def test_only_chosen_entries_change():
    table = table_of("sm_90")
    kept = json.dumps(table)
    asked = []

    def time(kernel, entry, tiles):
        asked.append((kernel, entry))
        return 1.0 / tiles.warps

    lines = []
    new = tune(table, time, ("queries",), ("4",), lambda *line: lines.append(line))
    assert json.dumps(table) == kept
    assert set(asked) == {("queries", entry) for entry in table["queries"] if entry[:2] == "4,"}
    assert [line[1] for line in lines] == [e for e in table["queries"] if e[:2] == "4,"]
    changed = {k for k in new if new[k] != table[k]}
    assert changed == {"queries"}
    assert {tuple(entry)[2] for key, entry in new["queries"].items() if key[:2] == "4,"} == {8}


@pytest.mark.parametrize("name", ["sm_80", "sm_90", "gfx942", "interpreter"])
def test_shipped_files_are_written_by_this(name):
    from importlib.resources import files

    text = (files("arithtf.kernels") / "configs" / f"{name}.json").read_text(encoding="utf-8")
    assert text == text_of(json.loads(text)["about"], table_of(name))


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_without_a_gpu(capsys, monkeypatch):
    monkeypatch.delenv("TRITON_INTERPRET", raising=False)
    assert main(["tune"]) == 2
    said = capsys.readouterr().err
    assert "kernels can be tuned on a GPU only" in said
    assert "run this on a machine with one" in said
