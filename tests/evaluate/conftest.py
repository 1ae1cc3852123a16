"""Models that are wrong in many ways, and decoding without any cleverness."""

import copy

import numpy as np
import pytest
import torch

from arithtf.model import Transformer


def damage(model, noise, seed=0):
    """A copy with normal noise on all weights, relative to each weight's size."""
    damaged = copy.deepcopy(model)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for weight in damaged.parameters():
            scale = noise * weight.pow(2).mean().sqrt()
            weight += scale * torch.randn(weight.shape, generator=generator)
    return damaged


def recompute(model, batch, eos):
    """Greedy decoding by a whole forward pass of the reference for every token."""
    tokens = torch.from_numpy(batch.tokens.copy())
    query_ids, key_ids = torch.from_numpy(batch.query_ids), torch.from_numpy(batch.key_ids)
    over = np.zeros(len(tokens), bool)
    for column in range(batch.start, tokens.shape[1] - 1):
        end = column + 1
        with torch.no_grad():
            logits = model(
                tokens[:, :end], query_ids[..., :end], key_ids[..., :end], impl="reference"
            )
        for row in np.flatnonzero(~over):
            tokens[row, end] = int(np.argmax(logits[row, -1].numpy()))
            over[row] = int(tokens[row, end]) == eos
    return tokens[:, batch.start + 1 :].numpy()


@pytest.fixture(scope="session")
def models(trained):
    """The trained adder, ones that err now and then, and one that never learnt anything."""
    model, _ = trained
    return {
        "trained": model,
        "damaged": damage(model, 0.2),
        "broken": damage(model, 0.5),
        "random": Transformer(model.config, seed=5).eval(),
    }


@pytest.fixture(scope="session")
def tools():
    """Functions for tests of this folder."""

    class Tools:
        pass

    Tools.damage = staticmethod(damage)
    Tools.recompute = staticmethod(recompute)
    return Tools
