"""Parts of published models against PyTorch's own layers and NumPy; dropout, factors."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from arithtf.encodings import ALiBi, Encoding, Learned, Table
from arithtf.model import ModelConfig, Transformer, presets
from arithtf.model.presets import deberta_like, gpt2, llama_like, micro, mini, nano
from arithtf.tasks import Addition

B, T, V = 3, 9, 11
IDS = torch.arange(T, dtype=torch.int32)[None, None]


def tokens(seed=0, count=V, shape=(B, T)):
    return torch.randint(0, count, shape, generator=torch.Generator().manual_seed(seed))


def spread(model):
    """Parameters that start at zero, one or alike, away from there, in float64."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.1 * torch.randn(parameter.shape, generator=generator)
    return model.double().eval()


@pytest.mark.parametrize("bias", [True, False])
def test_gpt_is_pytorchs_encoder_with_a_causal_mask(bias):
    """Both styles of the papers: minGPT's, and nanoGPT's without biases, tied, with exact GELU."""
    changes = {} if bias else {"bias": False, "tied": True, "activation": "gelu"}
    model = spread(nano(V, max_position=T, **changes).build(seed=3))
    config, w = model.config, model.state_dict()
    x = w["embedding.weight"][tokens()] + w["positions.tables"][0, 1 : T + 1]
    gelu = "tanh" if bias else "none"
    for i in range(0, len(config.blocks), 2):
        layer = nn.TransformerEncoderLayer(
            config.width,
            config.heads,
            config.hidden,
            dropout=0.0,
            batch_first=True,
            activation=lambda h: functional.gelu(h, approximate=gelu),
            norm_first=True,
            bias=bias,
        ).double()
        names = {
            "norm1": f"{i}.norm",
            "self_attn.out_proj": f"{i}.out",
            "norm2": f"{i + 1}.norm",
            "linear1": f"{i + 1}.up",
            "linear2": f"{i + 1}.down",
        }
        state = {}
        for part in ("weight", "bias") if bias else ("weight",):
            state |= {f"{n}.{part}": w[f"blocks.{mine}.{part}"] for n, mine in names.items()}
            state[f"self_attn.in_proj_{part}"] = torch.cat(
                [w[f"blocks.{i}.{name}.{part}"] for name in ("query", "key", "value")]
            )
        layer.load_state_dict(state)
        x = layer(x, src_mask=nn.Transformer.generate_square_subsequent_mask(T, dtype=x.dtype))
    x = functional.layer_norm(x, x.shape[-1:], w["norm.weight"], w.get("norm.bias"))
    expected = x @ w["embedding.weight" if config.tied else "unembedding.weight"].T
    torch.testing.assert_close(model(tokens(), IDS, IDS), expected, rtol=1e-10, atol=1e-10)


def rotated(x, base):
    """Pairs of x [B, T, H, D] turned by the token's index."""
    angle = np.arange(T)[:, None] * base ** (-np.arange(0, x.shape[-1], 2) / x.shape[-1])
    turned = (x[..., ::2] + 1j * x[..., 1::2]) * np.exp(1j * angle)[:, None]
    return np.stack([turned.real, turned.imag], -1).reshape(x.shape)


def softmax(x):
    x = np.exp(x - x.max(-1, keepdims=True))
    return x / x.sum(-1, keepdims=True)


def test_llama_like_is_its_formulas():
    """Grouped queries, rotary ids, gated SiLU, RMSNorm, in NumPy."""
    model = spread(llama_like(V, depth=2, heads=4, width=32, key_heads=2).build(seed=4))
    w = {name: x.numpy() for name, x in model.state_dict().items()}

    def norm(x, gain):
        return x / np.sqrt((x**2).mean(-1, keepdims=True) + 1e-6) * gain

    x = w["embedding.weight"][tokens()]
    for i in range(0, 4, 2):
        n = norm(x, w[f"blocks.{i}.norm.weight"])
        q, k, v = (
            (n @ w[f"blocks.{i}.{name}.weight"].T).reshape(B, T, -1, 8)
            for name in ("query", "key", "value")
        )
        assert k.shape[2] == v.shape[2] == 2
        k, v = k[:, :, [0, 0, 1, 1]], v[:, :, [0, 0, 1, 1]]
        scores = np.einsum("bqhd,bkhd->bhqk", rotated(q, 10000), rotated(k, 10000)) / math.sqrt(8)
        weights = softmax(np.where(np.tri(T, dtype=bool), scores, -np.inf))
        mixed = np.einsum("bhqk,bkhd->bqhd", weights, v).reshape(B, T, 32)
        x = x + mixed @ w[f"blocks.{i}.out.weight"].T
        n = norm(x, w[f"blocks.{i + 1}.norm.weight"])
        gate = n @ w[f"blocks.{i + 1}.gate.weight"].T
        hidden = gate / (1 + np.exp(-gate)) * (n @ w[f"blocks.{i + 1}.up.weight"].T)
        x = x + hidden @ w[f"blocks.{i + 1}.down.weight"].T
    expected = norm(x, w["norm.weight"]) @ w["unembedding.weight"].T
    np.testing.assert_allclose(model(tokens(), IDS, IDS).detach(), expected, rtol=1e-9, atol=1e-9)


def test_deberta_like_sees_both_directions():
    """Content to content, content to position and position to content, over all columns."""
    config = deberta_like(V, depth=1, heads=2, width=16, reach=3, bias=False, dropout=0.0)
    model = spread(config.build(seed=5))
    w = {name: x.numpy() for name, x in model.state_dict().items()}

    def norm(x, gain):
        x = x - x.mean(-1, keepdims=True)
        return x / np.sqrt((x**2).mean(-1, keepdims=True) + 1e-5) * gain

    x = w["embedding.weight"][tokens()]
    n = norm(x, w["blocks.0.norm.weight"])
    q, k, v = (
        (n @ w[f"blocks.0.{name}.weight"].T).reshape(B, T, 2, 8)
        for name in ("query", "key", "value")
    )
    column = np.clip(np.arange(T) - np.arange(T)[:, None], -3, 3) + 3  # key minus query
    key_side, query_side = (
        w[f"blocks.0.mechanism.{side}_vectors"][:, column] for side in ("key", "query")
    )
    scores = np.einsum("bqhd,bkhd->bhqk", q, k) + np.einsum("bqhd,hqkd->bhqk", q, key_side)
    scores += np.einsum("hqkd,bkhd->bhqk", query_side, k)
    mixed = np.einsum("bhqk,bkhd->bqhd", softmax(scores / math.sqrt(8)), v).reshape(B, T, 16)
    x = x + mixed @ w["blocks.0.out.weight"].T
    hidden = torch.from_numpy(norm(x, w["blocks.1.norm.weight"]) @ w["blocks.1.up.weight"].T)
    x = x + functional.gelu(hidden).numpy() @ w["blocks.1.down.weight"].T
    expected = norm(x, w["norm.weight"]) @ w["unembedding.weight"].T
    np.testing.assert_allclose(model(tokens(), IDS, IDS).detach(), expected, rtol=1e-9, atol=1e-9)


def test_each_attention_block_has_its_encoding():
    """Two blocks of different windows: what the first shows, the second passes on."""
    near, far = Encoding(mechanism=Table(reach=1), windows=((1, 0),)), Encoding(mechanism=ALiBi())
    blocks = ("attention", "mlp", "attention")
    config = ModelConfig(vocabulary=V, blocks=blocks, block_encodings=(near, far))
    model = config.build()
    assert [b.encoding for b in model.blocks if hasattr(b, "encoding")] == [near, far]
    same = replace(config, block_encodings=(near, near)).build()
    other = tokens().clone()
    other[:, 0] = (other[:, 0] + 1) % V
    with torch.no_grad():
        moved = [
            (m(tokens(), IDS, IDS) - m(other, IDS, IDS)).abs().amax((0, 2)) > 0
            for m in (model, same)
        ]
    assert moved[0].all()
    assert moved[1].tolist() == [True] * 3 + [False] * (T - 3)  # two windows of one


@pytest.mark.parametrize(
    ("make", "count"),
    [
        (lambda: nano(10, max_position=15), 0.09e6),  # published with the models
        (lambda: micro(16, max_position=254), 0.82e6),
        (lambda: mini(10, max_position=19), 2.7e6),
        (lambda: gpt2(50257, max_position=1022, tied=True), 124.4e6),
        (
            lambda: mini(
                16,
                width=384,
                hidden=1536,
                max_position=254,
                bias=False,
                tied=True,
                activation="gelu",
            ),
            10_726_272,
        ),
    ],
)
def test_presets_have_the_published_sizes(make, count):
    with torch.device("meta"):
        sizes = [p.numel() for p in _without_weights(make()).parameters()]
    assert sum(sizes) == pytest.approx(count, rel=0.05 if count != 10_726_272 else 0)


def _without_weights(config):
    class Unset(Transformer):
        def _initialise(self, seed):
            """Sizes are all that is asked."""

    return Unset(config)


def test_presets_take_tasks_and_levels():
    task = Addition()
    for make in (nano, micro, mini, gpt2, llama_like, deberta_like):
        config = make(task, 2, dropout=0.3)
        assert config.vocabulary == task.vocabulary.size
        assert (config.levels, config.dropout) == (2, 0.3)
    assert presets.gpt(7, depth=1, heads=1, width=8).hidden == 32


def test_gpt2s_initial_values():
    config = micro(400, max_position=300, width=256, hidden=1024)
    model = config.build(seed=1)
    residual = 0.02 / math.sqrt(len(config.blocks))
    for name, parameter in model.named_parameters():
        last = name.endswith(("out.weight", "down.weight"))
        if name.endswith("bias"):
            assert not parameter.any(), name
        elif name.endswith("norm.weight"):
            assert (parameter == 1).all(), name
        else:
            std = pytest.approx(residual if last else 0.02, rel=0.05)
            assert parameter.std().item() == std, name


def dropped(model, step, **inputs):
    model.train().train_step(step)
    with torch.no_grad():
        return model(tokens(), IDS, IDS, **inputs)


def test_dropout_is_addressed_by_seed_and_step():
    config = nano(V, max_position=T)
    model, again, other = (config.build(seed=s) for s in (7, 7, 8))
    other.load_state_dict(model.state_dict())
    global_state = torch.random.get_rng_state()
    first = dropped(model, 1)
    assert not torch.equal(dropped(model, 2), first)
    assert torch.equal(dropped(model, 1), first)
    assert torch.equal(dropped(again, 1), first)
    assert not torch.equal(dropped(other, 1), first)
    assert torch.equal(torch.random.get_rng_state(), global_state)
    calm = replace(config, dropout=0.0).build(seed=7)
    assert torch.equal(model.eval()(tokens(), IDS, IDS), calm.train()(tokens(), IDS, IDS))
    with pytest.raises(ValueError, match="train_step"):
        config.build().train()(tokens(), IDS, IDS)
    with pytest.raises(ValueError, match="reference's alone"):
        dropped(model, 1, impl="cpu")


def test_dropout_keeps_means_and_drops_the_share_it_says():
    from arithtf.model.blocks import Pass

    generator = torch.Generator().manual_seed(0)
    run = Pass(IDS, IDS, dropout=0.2, generator=generator)
    x = torch.full((400, 500), 3.0)
    y = run.drop(x)
    assert (y == 0).float().mean().item() == pytest.approx(0.2, abs=0.005)
    assert y.mean().item() == pytest.approx(3.0, abs=0.02)
    assert y.unique().tolist() == pytest.approx([0.0, 3.75])


def test_tokens_with_factors():
    sizes = (4, 6, 300)
    config = ModelConfig(vocabulary=sizes, width=16, heads=2, hidden=8, blocks=("mlp", "attention"))
    model = config.build(seed=2).eval()
    shape = (B, T, 1)
    parts = torch.cat([tokens(i, n, shape) for i, n in enumerate(sizes)], 2).to(torch.uint16)
    logits = model(parts, IDS, IDS, start=2, stop=5)
    assert [tuple(x.shape) for x in logits] == [(B, 3, n) for n in sizes]
    tables = model.embedding.weight.split(sizes)
    stream = sum(table[parts[..., i].long()] for i, table in enumerate(tables))
    # An ordinary model of as many tokens as there are different columns, with those vectors.
    plain = replace(config, vocabulary=B * T).build()
    state = model.state_dict() | {"embedding.weight": stream.flatten(0, 1)}
    state["unembedding.weight"] = functional.pad(model.readout[:10], (0, 0, 0, B * T - 10))
    plain.load_state_dict(state)
    whole = plain.eval()(torch.arange(B * T).view(B, T), IDS, IDS, start=2, stop=5)
    torch.testing.assert_close(torch.cat(logits[:2], -1), whole[..., :10])


def test_names_of_an_ordinary_model_are_what_they_were():
    names = [name for name, _ in ModelConfig(vocabulary=V).build().named_parameters()]
    block = [f"blocks.0.{n}.weight" for n in ("norm", "query", "key", "value", "out")]
    mlp = [f"blocks.1.{n}.weight" for n in ("norm", "up", "down")]
    assert names == ["embedding.weight", *block, *mlp, "norm.weight", "unembedding.weight"]


LAYERS = ("attention", "mlp", "attention")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"width": 15}, "multiple of heads"),
        ({"heads": 0}, "heads must be at least 1"),
        ({"vocabulary": (3, 0)}, "vocabulary must be at least 1"),
        ({"blocks": ("mlp",)}, "at least one 'attention'"),
        ({"blocks": ("attention", "conv")}, "'attention' and 'mlp'"),
        ({"levels": 2}, "one window per level"),
        ({"key_heads": 3}, "multiple of key_heads"),
        ({"norm": "batch"}, "norm one of rms, layer"),
        ({"activation": "tanh"}, "activation one of relu"),
        ({"init": "zero"}, "init one of"),
        ({"dropout": 1.0}, "0 <= dropout < 1"),
        ({"block_encodings": (Encoding(),)}, "two at least"),
        ({"blocks": LAYERS, "block_encodings": (Encoding(),)}, "for 2 attention blocks"),
        ({"blocks": LAYERS, "block_encodings": (Encoding(embedding=Learned()),) * 2}, "once"),
        ({"blocks": LAYERS, "block_encodings": (Encoding(windows=(1, 1)),) * 2}, "per level"),
    ],
)
def test_what_does_not_fit_is_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        ModelConfig(**{"vocabulary": V, "width": 16, "heads": 4, **changes})
