"""Traces: names, what is read, and what replacing does, against the model's own weights."""

import pytest
import torch

from arithtf.encodings import Encoding, Learned, RoPE, Table
from arithtf.model import Cache, ModelConfig, Trace
from arithtf.model.presets import llama_like

B, T, V, H = 2, 7, 13, 4
TOKENS = torch.randint(0, V, (B, T), generator=torch.Generator().manual_seed(0))
IDS = torch.arange(T, dtype=torch.int32)[None, None] // 2
WINDOW = Encoding(mechanism=Table(reach=1), windows=((1, 0),))
DENSE = Encoding(embedding=Learned(max_position=9), mechanism=RoPE(), sinks=1)


def make(encoding=DENSE, blocks=("attention", "mlp") * 2, **changes):
    config = ModelConfig(
        vocabulary=V, width=32, heads=H, hidden=24, blocks=blocks, encoding=encoding, **changes
    )
    return config.build(seed=1).eval()


def run(model, trace=None, **arguments):
    return model(TOKENS, IDS, IDS, trace=trace, **arguments)


def test_names_are_transformer_lenses():
    layer = [
        "hook_resid_pre",
        "ln1.hook_normalized",
        "attn.hook_q",
        "attn.hook_k",
        "attn.hook_v",
        "attn.hook_attn_scores",
        "attn.hook_pattern",
        "attn.hook_z",
        "hook_attn_out",
        "hook_resid_mid",
        "ln2.hook_normalized",
        "mlp.hook_pre",
        "mlp.hook_post",
        "hook_mlp_out",
        "hook_resid_post",
    ]
    expected = [f"blocks.{i}.{name}" for i in (0, 1) for name in layer]
    model = make()
    assert model.hook_names == [
        "hook_embed",
        "hook_pos_embed",
        *expected,
        "ln_final.hook_normalized",
    ]
    trace = Trace("*")
    run(model, trace)
    assert list(trace.values) == model.hook_names  # in the order they are computed


def test_blocks_that_do_not_alternate_have_layers_too():
    names = make(WINDOW, ("mlp", "attention", "mlp", "mlp", "attention")).hook_names
    parts = {name.split(".", 2)[1]: [] for name in names if name.startswith("blocks")}
    for name in names:
        if name.startswith("blocks"):
            parts[name.split(".", 2)[1]].append(name.split(".", 2)[2])
    alone = [
        "hook_resid_pre",
        "ln2.hook_normalized",
        "mlp.hook_pre",
        "mlp.hook_post",
        "hook_mlp_out",
        "hook_resid_post",
    ]
    assert parts["0"] == parts["2"] == alone
    assert "hook_resid_mid" in parts["1"]
    assert parts["3"][-2:] == ["hook_attn_out", "hook_resid_post"]
    assert sorted(parts) == ["0", "1", "2", "3"]


@pytest.mark.parametrize("encoding", [WINDOW, DENSE])
@pytest.mark.parametrize("columns", [{}, {"start": 3, "stop": 5}])
def test_what_is_read_is_what_was_computed(encoding, columns):
    model, trace = make(encoding), Trace("*")
    logits = run(model, trace, **columns)
    torch.testing.assert_close(logits, run(model, **columns), rtol=1e-5, atol=1e-5)
    queries = 5 - 3 if columns else T
    for i in (0, 1):
        at = {
            name: trace[f"blocks.{i}.{name}"]
            for name in (
                "hook_resid_pre",
                "hook_attn_out",
                "hook_resid_mid",
                "hook_mlp_out",
                "hook_resid_post",
                "attn.hook_q",
                "attn.hook_k",
                "attn.hook_v",
                "attn.hook_z",
                "attn.hook_attn_scores",
                "attn.hook_pattern",
                "mlp.hook_pre",
                "mlp.hook_post",
            )
        }
        count = queries if i == 1 else T
        assert at["attn.hook_q"].shape == at["attn.hook_z"].shape == (B, count, H, 8)
        assert at["attn.hook_k"].shape == (B, T, H, 8)
        assert at["attn.hook_pattern"].shape == (B, H, count, T)
        close = torch.testing.assert_close
        close(at["attn.hook_attn_scores"].softmax(-1), at["attn.hook_pattern"])
        close(at["attn.hook_pattern"].sum(-1), torch.ones(B, H, count))
        mixed = torch.einsum("bhqk,bkhd->bqhd", at["attn.hook_pattern"], at["attn.hook_v"])
        close(mixed, at["attn.hook_z"])
        close(model.blocks[2 * i].out(mixed.flatten(2)), at["hook_attn_out"])
        part = slice(3, 5) if columns and i == 1 else slice(None)
        close(at["hook_resid_pre"][:, part] + at["hook_attn_out"], at["hook_resid_mid"])
        close(at["mlp.hook_pre"].relu(), at["mlp.hook_post"])
        assert (at["mlp.hook_pre"] < 0).any()  # not what ReLU left in its place
        close(at["hook_resid_mid"] + at["hook_mlp_out"], at["hook_resid_post"])
    close(trace["blocks.0.hook_resid_post"], trace["blocks.1.hook_resid_pre"])
    close(trace["ln_final.hook_normalized"] @ model.unembedding.weight.T, logits)
    added = trace["hook_pos_embed"] if encoding is DENSE else 0
    close(trace["hook_embed"] + added, trace["blocks.0.hook_resid_pre"])


def test_a_query_that_sees_nothing_has_no_weights():
    none = torch.full((1, 1, T), -(2**31), dtype=torch.int32)
    model, trace = make(WINDOW), Trace("blocks.0.attn.hook_pattern", "blocks.0.attn.hook_z")
    model(TOKENS, none, IDS, trace=trace)
    assert not trace["blocks.0.attn.hook_pattern"].any()
    assert not trace["blocks.0.attn.hook_z"].any()


def test_only_what_is_asked_for_is_kept_and_weights_only_when_needed(monkeypatch):
    from arithtf.attention import reference

    made = []
    inner = reference.attention
    monkeypatch.setattr(
        reference, "attention", lambda *a, **k: made.append(k.get("touch")) or inner(*a, **k)
    )
    model = make()
    trace = Trace("blocks.1.hook_attn_out", "blocks.*.hook_resid_mid")
    run(model, trace)
    names = ["blocks.0.hook_resid_mid", "blocks.1.hook_attn_out", "blocks.1.hook_resid_mid"]
    assert list(trace.values) == names
    assert not any(made)
    run(model, Trace("blocks.1.attn.hook_pattern"))
    assert sum(touch is not None for touch in made) == 1


def test_replacing_is_computing_with_what_was_put_in():
    model = make()
    uniform = Trace(
        "blocks.1.attn.hook_z",
        replace={"blocks.1.attn.hook_pattern": lambda p: torch.full_like(p, 1 / T)},
    )
    read = Trace("blocks.1.attn.hook_v", "blocks.1.hook_resid_pre")
    run(model, uniform)
    run(model, read)
    mean = read["blocks.1.attn.hook_v"].mean(1, keepdim=True).expand(B, T, H, 8)
    torch.testing.assert_close(uniform["blocks.1.attn.hook_z"], mean)

    # Path patching by hand: the stream of other tokens before layer 1 decides all that follows.
    other = (TOKENS + 1) % V
    model(other, IDS, IDS, trace=read)
    swapped = Trace(replace={"blocks.1.hook_resid_pre": lambda _: read["blocks.1.hook_resid_pre"]})
    torch.testing.assert_close(run(model, swapped), model(other, IDS, IDS))

    # Without one head is without its columns of the output projection.
    def headless(z):
        z = z.clone()
        z[:, :, 2] = 0
        return z

    found = run(model, Trace(replace={"blocks.0.attn.hook_z": headless}))
    with torch.no_grad():
        model.blocks[0].out.weight[:, 16:24] = 0
    torch.testing.assert_close(found, run(model))


def test_gradients_reach_what_was_read():
    model, trace = make(), Trace("blocks.0.hook_resid_post")
    loss = run(model, trace).square().sum()
    (slope,) = torch.autograd.grad(loss, trace["blocks.0.hook_resid_post"], retain_graph=True)
    assert slope.abs().sum() > 0


def test_a_trace_of_cached_columns_is_that_of_all():
    model = make(WINDOW)
    whole, step, cache = Trace("*"), Trace("*"), Cache()
    run(model, whole)
    model(TOKENS[:, :4], IDS, IDS, cache=cache)
    for column in range(4, T):
        model(TOKENS[:, column : column + 1], IDS, IDS, cache=cache, trace=step)
        for name in ("blocks.1.attn.hook_pattern", "blocks.1.hook_resid_post"):
            axis = -2
            expected = whole[name].narrow(axis, column, 1)[..., : step[name].shape[-1]]
            torch.testing.assert_close(step[name], expected, rtol=1e-5, atol=1e-5)


def test_grouped_and_gated_models_have_their_names():
    model = llama_like(V, depth=1, heads=4, width=32, key_heads=2).build().eval()
    trace = Trace("blocks.0.mlp.*", "blocks.0.attn.hook_k")
    run(model, trace)
    gate, linear = trace["blocks.0.mlp.hook_pre"], trace["blocks.0.mlp.hook_pre_linear"]
    torch.testing.assert_close(
        torch.nn.functional.silu(gate) * linear, trace["blocks.0.mlp.hook_post"]
    )
    assert trace["blocks.0.attn.hook_k"].shape == (B, T, 2, 8)


@pytest.mark.parametrize(
    ("make_trace", "says"),
    [
        (lambda: Trace("blocks.0.attn.hook_pat"), "no intermediate .*hook_pattern"),
        (lambda: Trace("blocks.2.*"), "no intermediate"),
        (lambda: Trace(replace={"blocks.*.hook_mlp_out": torch.relu}), "no intermediate"),
        (lambda: Trace(replace={"hook_embed": lambda x: x[:, 1:]}), "expected a replacement"),
    ],
)
def test_what_cannot_be_traced_is_refused(make_trace, says):
    with pytest.raises(ValueError, match=says):
        run(make(), make_trace())


def test_patterns_are_the_references_alone():
    with pytest.raises(ValueError, match="got 'cpu'"):
        run(make(WINDOW), Trace("blocks.0.attn.hook_pattern"), impl="cpu")
    with pytest.raises(ValueError, match="no cache"):
        run(make(causal=False), cache=Cache())
