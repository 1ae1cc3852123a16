"""Running commands in this process."""

import io
import sys
from dataclasses import replace
from typing import NamedTuple

import pytest

from arithtf.cli import main
from arithtf.recipes import get_recipe
from arithtf.train import train


class Ended(NamedTuple):
    """How a command ended."""

    code: int
    out: str
    err: str


@pytest.fixture
def arithtf(capfdbinary, monkeypatch):
    """Call a command: arithtf("solve", run, stdin=b"1+1\\n")."""

    def call(*argv, stdin=b""):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        capfdbinary.readouterr()
        code = main([str(argument) for argument in argv])
        sys.stdout.flush()
        out, err = capfdbinary.readouterr()
        return Ended(code, out.decode(), err.decode())

    return call


@pytest.fixture(scope="session")
def raw_run(tmp_path_factory):
    """A run that was hardly trained: its answers are wrong."""
    run = tmp_path_factory.mktemp("runs") / "raw"
    train(replace(get_recipe("addition"), steps=3, log_every=1, batch=8), run, device="cpu")
    return run
