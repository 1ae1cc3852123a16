"""Fixtures for all rooms."""

from pathlib import Path

import pytest

from arithtf.model import Transformer
from arithtf.recipes import Recipe, get_recipe
from arithtf.runs import load_model
from arithtf.train import train


@pytest.fixture(scope="session")
def trained_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run directory of the recipe "addition", trained to the end. Copy it to change it."""
    run = tmp_path_factory.mktemp("runs") / "addition"
    train(get_recipe("addition"), run, device="cpu")
    return run


@pytest.fixture(scope="session")
def trained(trained_run: Path) -> tuple[Transformer, Recipe]:
    """Model and recipe of `trained_run`. Copy the model to change it."""
    return load_model(trained_run)
