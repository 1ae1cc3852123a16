"""What can go wrong while training: divergence, a full disk, a second process, damaged files."""

import errno
import os
import random
import resource
import subprocess
import sys
from dataclasses import replace

import pytest
import torch

from arithtf.model import Transformer
from arithtf.runs import FILES, RunError, load_state, read_lines
from arithtf.train import TrainingDiverged, train


def poison(monkeypatch, step, change):
    """Apply `change` to the model at the beginning of the step-th forward pass."""
    forward, passes = Transformer.forward, []

    def poisoned(model, *args, **kwargs):
        passes.append(None)
        if len(passes) == step:
            with torch.no_grad():
                change(model)
        return forward(model, *args, **kwargs)

    monkeypatch.setattr(Transformer, "forward", poisoned)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_a_loss_that_is_not_finite_stops_the_run(tiny, tmp_path, monkeypatch, contents, value):
    with monkeypatch.context() as patch:
        poison(patch, 6, lambda model: model.unembedding.weight[3, 2].fill_(value))
        with pytest.raises(TrainingDiverged, match=r"by step 6: .*checkpoint in .* is kept.*Lower"):
            train(tiny, tmp_path / "bad", device="cpu")
    state = load_state(tmp_path / "bad" / "state.pt", torch.device("cpu"))
    assert state["step"] == 4
    assert all(torch.isfinite(weight).all() for weight in state["model"].values())
    assert [row["step"] for row in read_lines(tmp_path / "bad" / "metrics.jsonl")] == [2, 4]
    assert not (tmp_path / "bad" / "model.safetensors").exists()
    # Loadable, and as good as ever: without the poison the run goes on to the usual end.
    train(tiny, tmp_path / "bad", resume=True, device="cpu")
    train(tiny, tmp_path / "good", device="cpu")
    assert contents(tmp_path / "bad") == contents(tmp_path / "good")


def test_divergence_before_any_checkpoint_says_so(tiny, tmp_path, monkeypatch):
    poison(monkeypatch, 1, lambda model: model.embedding.weight.fill_(float("nan")))
    with pytest.raises(TrainingDiverged, match=r"by step 1: .*no checkpoint had been written"):
        train(tiny, tmp_path, device="cpu")
    assert not (tmp_path / "state.pt").exists()


def test_an_update_to_infinity_is_not_checkpointed(tiny, tmp_path):
    """Loss and gradient of step 1 are finite, its update is not: that state is worth nothing."""
    recipe = replace(tiny, learning_rate=3e38, warmup=0, weight_decay=3.0, checkpoint_every=1)
    with pytest.raises(TrainingDiverged, match="by step 1"):
        train(recipe, tmp_path, device="cpu")
    assert not (tmp_path / "state.pt").exists()


def test_a_huge_learning_rate_diverges_in_memory_too(tiny):
    with pytest.raises(TrainingDiverged, match="no checkpoint"):
        train(replace(tiny, learning_rate=1e38, warmup=0), device="cpu")


def test_what_cannot_be_trained_or_written_to(tiny, tmp_path):
    with pytest.raises(TypeError, match=r"expected a Recipe, got str; .*get_recipe"):
        train("addition")
    (tmp_path / "file").touch()
    with pytest.raises(RunError, match="file is not a directory; choose another --out"):
        train(tiny, tmp_path / "file")


def full_disk(monkeypatch, name, after):
    """The disk is full from the `after`-th write of file `name` on, noticed while flushing."""
    fsync, writes = os.fsync, []

    def failing(fd):
        if f"/.{name}." in os.readlink(f"/proc/self/fd/{fd}"):
            writes.append(None)
            if len(writes) >= after:
                raise OSError(errno.ENOSPC, "No space left on device")
        fsync(fd)

    monkeypatch.setattr(os, "fsync", failing)


@pytest.mark.parametrize(
    ("name", "after"),
    [
        ("config.json", 1),
        ("hashes.json", 1),
        ("hashes.json", 2),
        ("state.pt", 1),
        ("state.pt", 2),
        ("timing.json", 2),
        ("model.safetensors", 1),
    ],
)
def test_a_full_disk_leaves_the_old_files(tiny, tmp_path, monkeypatch, contents, name, after):
    run = tmp_path / "run"
    with monkeypatch.context() as patch:
        full_disk(patch, name, after)
        with pytest.raises(OSError, match=f"No space left.*{name}"):
            train(tiny, run, device="cpu")
    assert {path.name for path in run.iterdir()} <= {*FILES, ".lock"}
    assert (run / name).exists() == (after > 1)
    if (run / "state.pt").exists():
        expected = 4 if (name, after) in (("state.pt", 2), ("timing.json", 2)) else 7
        assert load_state(run / "state.pt", torch.device("cpu"))["step"] == expected
    train(tiny, run, resume=True, device="cpu")
    train(tiny, tmp_path / "whole", device="cpu")
    assert contents(run) == contents(tmp_path / "whole")


def test_a_write_cut_off_by_the_kernel_leaves_the_old_files(tiny, tmp_path, contents):
    """A limit on the size of files stops state.pt half-way, after part of it was written."""
    recipe = replace(tiny, model=replace(tiny.model, width=64, hidden=128))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    try:
        with pytest.raises(OSError, match="File too large"):
            train(recipe, tmp_path / "run", device="cpu")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    names = {path.name for path in (tmp_path / "run").iterdir()}
    assert names == {".lock", "config.json", "hashes.json", "metrics.jsonl", "timing.json"}
    train(recipe, tmp_path / "run", resume=True, device="cpu")
    train(recipe, tmp_path / "whole", device="cpu")
    assert contents(tmp_path / "run") == contents(tmp_path / "whole")


HOLD = """
import sys
from pathlib import Path
from arithtf.runs import lock
with lock(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_second_process_is_refused_until_the_first_ends(tiny, tmp_path):
    command = [sys.executable, "-c", HOLD, tmp_path]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as first:
        assert first.stdout.readline() == b"held\n"
        for resume in (False, True):
            with pytest.raises(RunError, match="another process is writing"):
                train(tiny, tmp_path, resume=resume, device="cpu")
        assert [path.name for path in tmp_path.iterdir()] == [".lock"]
        first.kill()
    train(tiny, tmp_path, device="cpu")


def test_damaged_checkpoints_are_refused(tiny, tmp_path):
    """Cut short, emptied, overwritten or with one bit changed: RunError, or the same state."""
    train(tiny, tmp_path, device="cpu")
    path, cpu = tmp_path / "state.pt", torch.device("cpu")
    whole, rng = path.read_bytes(), random.Random(0)
    good = load_state(path, cpu)
    damaged = [b"", b"PK\x03\x04", b"\x80\x02]q\x00.", rng.randbytes(1000)]
    damaged += [whole[: rng.randrange(len(whole))] for _ in range(20)]
    for _ in range(120):
        flipped = bytearray(whole)
        flipped[rng.randrange(len(whole))] ^= 1 << rng.randrange(8)
        damaged.append(bytes(flipped))
    refused = 0
    for data in damaged:
        path.write_bytes(data)
        try:
            state = load_state(path, cpu)
        except RunError:
            refused += 1
            continue
        assert str(state) == str(good)
        assert all(torch.equal(state["model"][name], w) for name, w in good["model"].items())
    assert refused > 100
    path.write_bytes(damaged[-1][:-100])
    with pytest.raises(RunError, match=r"state\.pt is damaged.*train again"):
        train(tiny, tmp_path, resume=True, device="cpu")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": 99}, "expected format"),
        ({"model": {}}, "Missing key"),
        ({"optimizer": {}}, "param_groups"),
    ],
)
def test_a_checkpoint_of_something_else_is_refused(tiny, tmp_path, change, message):
    train(tiny, tmp_path, device="cpu")
    state = load_state(tmp_path / "state.pt", torch.device("cpu"))
    torch.save(state | change, tmp_path / "state.pt")
    with pytest.raises(RunError, match=rf"(?s)cannot be resumed: .*{message}"):
        train(tiny, tmp_path, resume=True, device="cpu")


def test_a_checkpoint_cannot_run_code(tiny, tmp_path):
    """state.pt is read with weights_only=True."""
    train(tiny, tmp_path, device="cpu")
    torch.save({"format": 1, "model": print}, tmp_path / "state.pt")
    with pytest.raises(RunError, match="is damaged"):
        train(tiny, tmp_path, resume=True, device="cpu")
