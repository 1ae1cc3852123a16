"""A model of somebody's own, from a file: trained, loaded, evaluated, decoded, not certified."""

import numpy as np
import pytest
import torch

from arithtf.certify import certify
from arithtf.evaluate import Solver, load
from arithtf.evaluate.decode import greedy
from arithtf.model import Model, ModelConfig, Transformer
from arithtf.recipes import Recipe, get_recipe
from arithtf.runs import load_model
from arithtf.tasks import Address, Batch, Draw
from arithtf.train import train

MODEL = """
from dataclasses import dataclass
import torch
from torch import nn
from arithtf.model import Model, ModelConfig

class Recurrent(Model):
    def __init__(self, config, seed):
        super().__init__(config)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.embedding = nn.Embedding(config.vocabulary, config.width)
            self.memory = nn.GRU(config.width, config.hidden, batch_first=True)
            self.out = nn.Linear(config.hidden, config.vocabulary)

    def forward(self, tokens, query_ids, key_ids, *, start=0, stop=None, impl="auto"):
        return self.out(self.memory(self.embedding(tokens.int()))[0][:, start:stop])

@dataclass(frozen=True, kw_only=True)
class RecurrentConfig(ModelConfig):
    extra: int = 5

    def build(self, *, seed=0):
        return Recurrent(self, seed)
"""


@pytest.fixture(scope="module")
def recipe(tmp_path_factory):
    file = tmp_path_factory.mktemp("models") / "recurrent.py"
    file.write_text(MODEL)
    return get_recipe(
        "increment", f"model={file}", "model.extra=7", "steps=3", "batch=8", "model.hidden=12"
    )


def test_sizes_are_kept_and_fields_of_its_own_set(recipe):
    before = get_recipe("increment").model
    assert type(recipe.model).__name__ == "RecurrentConfig"
    assert (recipe.model.width, recipe.model.encoding) == (before.width, before.encoding)
    assert (recipe.model.extra, recipe.model.hidden) == (7, 12)
    assert recipe.to_dict()["model"]["name"] == "recurrent.py:RecurrentConfig"
    assert get_recipe("increment").to_dict()["model"]["name"] == "transformer"
    assert Recipe.from_dict(recipe.to_dict()) == recipe
    assert before.windowed
    assert not recipe.model.windowed  # of other people's models nothing is known
    with pytest.raises(ValueError, match="local > 0 needs predictions that depend on local"):
        Recipe.from_dict({**recipe.to_dict(), "local": 8})


def test_it_is_trained_loaded_decoded_and_not_certified(recipe, tmp_path):
    trained = train(recipe, tmp_path / "run", device="cpu")
    model, read = load_model(tmp_path / "run")
    assert read == recipe
    assert isinstance(model, Model)
    assert not isinstance(model, Transformer)
    for name, weight in trained.state_dict().items():
        assert torch.equal(weight, model.state_dict()[name])
    assert len(load(tmp_path / "run").solve(["129+1", "7+1"])) == 2
    certificate = certify(tmp_path / "run", tour=False)
    assert certificate.verdict == "refused"
    assert "Recurrent is a model of somebody's own" in certificate.reason


def test_decoding_reads_all_columns_anew(recipe):
    """Against a loop that asks the model for each token by itself."""
    model = recipe.model.build(seed=3).eval()
    task = recipe.arithmetic
    operands = task.operands(Address(0, "all", 1), Draw((1, 5), 6))
    batch = Batch.of(task.instances(operands, solved=False), recipe.coupling)
    eos = task.vocabulary.eos
    decoded = greedy(model, batch, eos=eos)
    for i in range(len(operands)):
        tokens = torch.from_numpy(batch.tokens[i : i + 1].astype(np.int64))
        for column in range(batch.start, tokens.shape[1] - 1):
            read = tokens[:, : column + 1]
            following = int(model(read, None, None)[0, -1].argmax())
            tokens[0, column + 1] = following
            assert decoded[i, column - batch.start] == following
            if following == eos:
                break
    assert Solver(model, recipe).solve(["12+1"])[0] is not None


def test_a_config_of_ones_own_builds_a_transformer_unless_it_says_otherwise():
    config = get_recipe("increment").model
    assert isinstance(config.build(seed=1), Transformer)
    assert ModelConfig.registry.resolve("transformer") is ModelConfig
