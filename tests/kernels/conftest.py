"""Tier A: kernels interpreted on the CPU in float32, against the reference in float64.

Triton decides when it is imported whether it interprets, so that is done here, first of all. On a
machine with a GPU it compiles instead, and only the tests marked `gpu` run in such a process;
TRITON_INTERPRET=1 in the environment asks for the interpreter there too.
"""

import importlib.util
import os
import sys
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(Path(__file__).parent)]
from bench.checkout import ensure_kernels  # noqa: E402

HAVE_TRITON = importlib.util.find_spec("triton") is not None
INTERPRET = not torch.cuda.is_available() or os.environ.get("TRITON_INTERPRET") == "1"

ensure_kernels()
from arithtf.kernels import configs  # noqa: E402

if HAVE_TRITON and INTERPRET:
    before = os.environ.get("TRITON_INTERPRET")
    os.environ["TRITON_INTERPRET"] = "1"
    from arithtf.kernels.compat import interprets, modules

    modules()
    INTERPRET = interprets()
    if before is None:
        del os.environ["TRITON_INTERPRET"]


def pytest_collection_modifyitems(items):
    shard, _, shards = os.environ.get("ARITHTF_SHARD", "0/1").partition("/")
    items[:] = items[int(shard) :: int(shards)]
    if os.environ.get("ARITHTF_THOROUGH") != "1":
        skipped = pytest.mark.skip(reason="one of many alike; ARITHTF_THOROUGH=1 runs all")
        for item in items:
            if item.get_closest_marker("thorough"):
                item.add_marker(skipped)


@pytest.fixture
def interpreted(monkeypatch):
    """Kernels run interpreted; what they do not write is NaN or nonsense."""
    if not HAVE_TRITON:
        pytest.skip("triton is not installed")
    if not INTERPRET:
        pytest.skip("triton compiles in this process; set TRITON_INTERPRET=1")
    monkeypatch.setenv("TRITON_INTERPRET", "1")
    for name in ("empty", "empty_like"):
        monkeypatch.setattr(torch, name, poisoning(getattr(torch, name)))


@pytest.fixture
def general(monkeypatch, interpreted):
    """No sequence counts as short."""
    monkeypatch.setattr(configs, "short_limits", lambda *_: ())


@pytest.fixture(params=["general", "short"])
def both(request, interpreted):
    """Once with the general kernels, once with those for short sequences where they apply."""
    if request.param == "general":
        request.getfixturevalue("general")
    # A graph holds what one kind of kernels keeps for its backward; limits do not change elsewhere.
    torch._dynamo.reset()


def poisoning(make):
    def made(*args, **kwargs):
        new = make(*args, **kwargs)
        return new.fill_(float("nan") if new.is_floating_point() else -7)

    return made
