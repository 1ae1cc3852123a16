"""Encodings as data, the modules they build, embeddings by id."""

import json
import math

import pytest
import torch

from arithtf.attention import NO_ID, NONE, LogScale, Mechanism, attention
from arithtf.encodings import (
    LOGIT_SCALES,
    MECHANISMS,
    Encoding,
    LearnedEmbedding,
    SinusoidalEmbedding,
    alibi_slopes,
    build_mechanism,
    build_position_embedding,
)


@pytest.mark.parametrize("mechanism", MECHANISMS)
@pytest.mark.parametrize("logit_scale", LOGIT_SCALES)
def test_encoding_survives_json_and_builds(mechanism, logit_scale):
    encoding = Encoding(
        mechanism=mechanism, windows=(2, (3, 0), None), sinks=1, logit_scale=logit_scale,
        head_levels=(0, 2, 1, 1),
    )  # fmt: skip
    assert Encoding.from_dict(json.loads(json.dumps(encoding.to_dict()))) == encoding
    module = build_mechanism(encoding, heads=4, head_dim=8)
    assert isinstance(module(), Mechanism)
    kinds = {"constant": type(None), "head": torch.nn.Parameter, "log": LogScale}
    assert isinstance(module.scale(), kinds[logit_scale])
    query, key, value = torch.randn(3, 2, 4, 9, 8).unbind()
    ids = torch.randint(0, 6, (2, 3, 9), dtype=torch.int32)
    out = attention(
        query, key, value, mechanism=module(), query_ids=ids, key_ids=ids,
        head_levels=encoding.levels_of_heads(4), windows=encoding.windows, scale=module.scale(),
        sinks=encoding.sinks,
    )  # fmt: skip
    parameters = list(module.parameters())
    if parameters:
        grads = torch.autograd.grad(out.square().sum(), parameters)
        assert all(g.isfinite().all() for g in grads)
        assert any(g.any() for g in grads)


@pytest.mark.parametrize("mechanism", MECHANISMS)
def test_initialisation_follows_the_generator(mechanism):
    modules = [build_mechanism(Encoding(mechanism=mechanism), 4, 8) for _ in range(2)]
    for module in modules:
        module.initialise(torch.Generator().manual_seed(5))
    for a, b in zip(*(m.parameters() for m in modules), strict=True):
        assert torch.equal(a, b)


def test_what_a_certificate_may_rely_on():
    certain = {m for m in MECHANISMS if Encoding(mechanism=m).translation_invariant}
    assert certain == set(MECHANISMS) - {"learned", "sinusoidal", "rotary", "fire"}
    assert Encoding(windows=(1, (0, 2))).finite
    assert not Encoding(windows=(1, None)).finite
    assert Encoding(windows=(1, 2)).levels_of_heads(4) == (0, 1, 0, 1)


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"mechanism": "magic"}, "mechanism one of"),
        ({"windows": ()}, "window per level"),
        ({"windows": (-1,)}, "window of None"),
        ({"windows": ((1, 2, 3),)}, "window of None"),
        ({"head_levels": (0, 1)}, "within the 1 levels"),
        ({"sinks": -1}, "sinks >= 0"),
        ({"reach": -1}, "reach >= 0"),
        ({"logit_scale": "none"}, "logit_scale"),
        ({"buckets": 7, "bidirectional": True}, "buckets"),
        ({"max_distance": 16}, "max_distance > 16"),
        ({"base": 1.0}, "base > 1"),
    ],
)
def test_encoding_refuses(fields, says):
    with pytest.raises(ValueError, match=says):
        Encoding(**fields)
    with pytest.raises(ValueError, match="unknown"):
        Encoding.from_dict({"mechanisms": "none"})


def test_heads_must_fit():
    with pytest.raises(ValueError, match="4 heads"):
        build_mechanism(Encoding(head_levels=(0,)), 4, 8)


def test_alibi_slopes_are_the_papers():
    assert alibi_slopes(8).tolist() == [2.0**-i for i in range(1, 9)]
    more = [2.0 ** -(i + 0.5) for i in range(0, 4)]
    assert alibi_slopes(12).tolist() == pytest.approx([2.0**-i for i in range(1, 9)] + more)


def test_rotary_and_sinusoids_keep_their_frequencies_in_float64():
    module = build_mechanism(Encoding(mechanism="rotary"), 2, 8)
    assert module().inv_freq.tolist() == [10000.0 ** (-2 * i / 8) for i in range(4)]
    ids = torch.tensor([[[10_000_000]]], dtype=torch.int32)
    got = SinusoidalEmbedding(1, 8)(ids)[0, 0]
    want = [f(1e7 / 10000 ** (2 * i / 8)) for i in range(4) for f in (math.sin, math.cos)]
    torch.testing.assert_close(got, torch.tensor(want), rtol=0, atol=1e-6)


def test_learned_embedding_looks_up_each_level():
    module = LearnedEmbedding(2, max_position=9, width=4)
    ids = torch.tensor([[[0, 9, NO_ID], [3, NO_ID, NO_ID]]], dtype=torch.int32)
    first, second = module.tables
    want = torch.stack([first[1] + second[4], first[10] + second[0], first[0] + second[0]])
    assert torch.equal(module(ids)[0], want)
    module(ids).sum().backward()
    assert module.tables.grad[1, 4].tolist() == [1.0] * 4


@pytest.mark.parametrize("bad", [10, -1])
def test_learned_embedding_says_which_id_is_too_large(bad):
    module = LearnedEmbedding(1, max_position=9, width=4)
    with pytest.raises(ValueError, match=rf"ids 0\.\.9 .*got {bad}; set max_position"):
        module(torch.tensor([[[bad]]], dtype=torch.int32))
    with pytest.raises(ValueError, match="expected ids"):
        module(torch.zeros(1, 2, 3, dtype=torch.int32))


def test_sinusoidal_embedding_leaves_tokens_without_id_alone():
    module = SinusoidalEmbedding(2, 6)
    assert not module(torch.full((1, 2, 3), NO_ID, dtype=torch.int32)).any()
    with pytest.raises(ValueError, match="even width"):
        SinusoidalEmbedding(1, 5)


def test_embeddings_come_from_the_mechanism():
    assert build_position_embedding(Encoding(mechanism="rotary"), 1, 8) is None
    for name, kind in (("learned", LearnedEmbedding), ("sinusoidal", SinusoidalEmbedding)):
        encoding = Encoding(mechanism=name)
        assert isinstance(build_position_embedding(encoding, 1, 8), kind)
        assert build_mechanism(encoding, 2, 4)() is NONE
