"""A run that takes a twentieth of a second, and what is compared of it."""

from dataclasses import replace

import pytest
import torch

from arithtf.recipes import get_recipe

COMPARED = ("config.json", "hashes.json", "metrics.jsonl", "model.safetensors", "state.pt")


@pytest.fixture(scope="session")
def tiny():
    recipe = get_recipe("addition")
    model = replace(recipe.model, width=16, heads=2, hidden=16)
    return replace(
        recipe,
        model=model,
        lengths=(1, 2),
        batch=4,
        steps=7,
        warmup=2,
        log_every=2,
        checkpoint_every=4,
    )


@pytest.fixture(scope="session")
def contents():
    """The bytes of what a run leaves that depend on the recipe and the thread count alone."""
    return lambda run: {name: (run / name).read_bytes() for name in COMPARED}


@pytest.fixture
def threads():
    """Sets torch's number of threads for one test."""
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)
