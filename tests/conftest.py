"""Fixtures for all rooms."""

from pathlib import Path

import pytest

from arithtf.recipes import get_recipe
from arithtf.train import train


@pytest.fixture(scope="session")
def trained_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run directory of the recipe "addition", trained to the end. Copy it to change it."""
    run = tmp_path_factory.mktemp("runs") / "addition"
    train(get_recipe("addition"), run, device="cpu")
    return run
