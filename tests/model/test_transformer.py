"""The transformer against its formulas in NumPy, and the identities its shortcuts rest on."""

import json
import math

import numpy as np
import pytest
import torch

from arithtf.certify import enumerate_contexts
from arithtf.certify.cover import covering_set
from arithtf.encodings import Encoding, Table
from arithtf.model import ModelConfig, Transformer, context_logits
from arithtf.model.blocks import ByToken, Pass
from arithtf.plain import from_plain, to_plain
from arithtf.recipes import RECIPES, get_recipe
from arithtf.tasks import NO_ID, Addition, Address, Batch, Draw, couplings

TASK = Addition()
WINDOW = Encoding(mechanism=Table(reach=1), windows=((1, 0),), sinks=1)


def config(**changes: object) -> ModelConfig:
    base = {"vocabulary": 15, "width": 16, "heads": 2, "hidden": 24, "encoding": WINDOW}
    return ModelConfig(**{**base, **changes})


def batch(size: int = 5, lengths: tuple[int, int] = (1, 6), coupling=None):
    coupling = coupling or couplings.operand_columns(TASK)
    made = Batch.of(TASK.sample(Address(3, "all", 0), Draw(lengths, size)), coupling)
    return *inputs_of(made), made


def inputs_of(made: Batch) -> list[torch.Tensor]:
    return [torch.from_numpy(a) for a in (made.tokens, made.query_ids, made.key_ids)]


def spread(model: Transformer) -> Transformer:
    """Parameters that start at zero or one, away from there, so that a test sees them."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.3 * torch.randn(parameter.shape, generator=generator)
    return model.eval()


def norm(x, gain):
    return x / np.sqrt((x * x).mean(-1, keepdims=True) + 1e-6) * gain


def by_formulas(model: Transformer, tokens, query_ids, key_ids):
    """Logits [T, V] of one instance, one query and one head at a time, in float64."""
    w = {name: p.detach().double().numpy() for name, p in model.named_parameters()}
    heads, x = model.config.heads, w["embedding.weight"][tokens]
    dim = x.shape[1] // heads
    for i, kind in enumerate(model.config.blocks):
        n = norm(x, w[f"blocks.{i}.norm.weight"])
        if kind == "mlp":
            hidden = np.maximum(n @ w[f"blocks.{i}.up.weight"].T, 0)
            x = x + hidden @ w[f"blocks.{i}.down.weight"].T
            continue
        q, k, v = (n @ w[f"blocks.{i}.{part}.weight"].T for part in ("query", "key", "value"))
        mixed = np.zeros_like(x)
        for t in range(len(tokens)):
            for h in range(heads):
                part = slice(h * dim, (h + 1) * dim)
                score = {0: q[t, part] @ k[0, part] / math.sqrt(dim)}  # the sink
                for s in range(1, t + 1):
                    if NO_ID in (query_ids[t], key_ids[s]):
                        continue
                    difference = int(key_ids[s]) - int(query_ids[t])
                    if -1 <= difference <= 0:
                        table = w[f"blocks.{i}.mechanism.table"]
                        bias = table[h, difference + 1]
                        score[s] = q[t, part] @ k[s, part] / math.sqrt(dim) + bias
                top = max(score.values())
                weight = {s: math.exp(value - top) for s, value in score.items()}
                total = sum(weight.values())
                mixed[t, part] = sum(p / total * v[s, part] for s, p in weight.items())
        x = x + mixed @ w[f"blocks.{i}.out.weight"].T
    return norm(x, w["norm.weight"]) @ w["unembedding.weight"].T


@pytest.mark.parametrize(
    "blocks",
    [
        ("attention", "mlp"),
        ("mlp", "attention", "mlp", "mlp"),
        ("attention", "mlp", "attention", "mlp"),
    ],
)
def test_forward_is_the_formulas(blocks):
    model = spread(Transformer(config(blocks=blocks), seed=5))
    tokens, query_ids, key_ids, _ = batch(coupling=couplings.columns(TASK))
    with torch.no_grad():
        logits = model(tokens, query_ids, key_ids)
    for b in range(len(tokens)):
        expected = by_formulas(
            model, tokens[b].numpy(), query_ids[b, 0].numpy(), key_ids[b, 0].numpy()
        )
        np.testing.assert_allclose(logits[b].numpy(), expected, rtol=2e-4, atol=2e-4)


@pytest.mark.parametrize("name", RECIPES)
def test_a_slice_of_queries_is_the_slice_of_all(name):
    recipe = get_recipe(name)
    model = spread(Transformer(recipe.model, seed=2))
    made = Batch.of(recipe.task.sample(Address(3, "train", 1), Draw((1, 5), 4)), recipe.coupling)
    inputs = inputs_of(made)
    stop = made.tokens.shape[1] - 1
    with torch.no_grad():
        whole = model(*inputs)
        part = model(*inputs, start=made.start, stop=stop)
    torch.testing.assert_close(part, whole[:, made.start : stop], rtol=1e-5, atol=1e-5)


def test_looking_up_the_vocabulary_gives_the_gradients_of_doing_without():
    """The first attention block looks queries, keys and values up; the other way is per token."""
    model = spread(Transformer(config(), seed=4))
    tokens, query_ids, key_ids, made = batch()
    attention = model.blocks[0]
    stream = model.embedding(tokens.int())
    end = tokens.shape[1]
    table = ByToken(tokens.int(), model.embedding.weight)
    results = []
    for source in (stream, table):
        out = attention(source, Pass(query_ids, key_ids), made.start, end)
        gradients = torch.autograd.grad(
            out.square().sum(), [*attention.parameters(), model.embedding.weight]
        )
        results.append((out, *gradients))
    for a, b in zip(*results, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-4)


def test_a_local_context_predicts_what_the_whole_instance_predicts():
    model = spread(Transformer(config(), seed=6))
    coupling = couplings.operand_columns(TASK)
    known = enumerate_contexts(TASK, coupling, ((1, 0),), sinks=1)
    contexts, conflicts = known.contexts, known.conflicts
    assert not conflicts
    vocabulary = TASK.vocabulary
    small = context_logits(model, contexts, bos=vocabulary.bos, pad=vocabulary.pad)
    operands = covering_set(TASK, coupling, ((1, 0),))
    numbers = np.flatnonzero(contexts.instance < 200)[:300]
    for i in numbers[::7]:
        picked = operands.select([int(contexts.instance[i])])
        made = Batch.of(TASK.instances(picked), coupling)
        with torch.no_grad():
            logits = model(*inputs_of(made))[0]
        here = [
            t
            for t in range(made.start, made.tokens.shape[1] - 1)
            if torch.allclose(logits[t], small[i], rtol=1e-4, atol=1e-4)
        ]
        assert here, "the context's logits occur nowhere in the problem it was found in"


def test_what_is_outside_the_window_changes_no_bit():
    model = spread(Transformer(config(), seed=7))
    tokens, query_ids, key_ids, made = batch(lengths=(6, 6))
    column = made.start + 3  # writes answer digit 3, sees columns 2 and 3
    far = (key_ids[:, 0] != NO_ID) & ((key_ids[:, 0] > 3) | (key_ids[:, 0] < 2))
    changed = torch.where(far, (tokens + 1) % 10, tokens)
    assert not torch.equal(changed, tokens)
    for impl in ("reference", "cpu"):
        with torch.no_grad():
            one, two = (
                model(t, query_ids, key_ids, start=column, stop=column + 1, impl=impl)
                for t in (tokens, changed)
            )
        assert one.numpy().tobytes() == two.numpy().tobytes()


def test_seed_decides_the_weights_and_leaves_the_global_generator_alone():
    before = torch.random.get_rng_state()
    one, two, other = (Transformer(config(), seed=s) for s in (1, 1, 2))
    assert torch.equal(before, torch.random.get_rng_state())
    for a, b in zip(one.parameters(), two.parameters(), strict=True):
        assert torch.equal(a, b)
    assert not torch.equal(one.embedding.weight, other.embedding.weight)


def test_config_survives_json():
    made = config(blocks=("attention", "mlp", "mlp"))
    assert from_plain(ModelConfig, json.loads(json.dumps(to_plain(made)))) == made
