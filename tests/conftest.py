"""Settings and fixtures for all folders."""

from pathlib import Path

import hypothesis
import pytest
import torch

from arithtf.model import Transformer
from arithtf.recipes import Recipe, get_recipe
from arithtf.runs import load_model
from arithtf.train import train

# No deadline: a busy machine is no failure. The same examples every time: red runs can be repeated.
hypothesis.settings.register_profile("arithtf", deadline=None, derandomize=True)
hypothesis.settings.load_profile("arithtf")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip tests marked gpu where there is none."""
    if torch.cuda.is_available():
        return
    skip = pytest.mark.skip(reason="needs a CUDA device")
    for item in items:
        if "gpu" in item.keywords:
            item.add_marker(skip)


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
