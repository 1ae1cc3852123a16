"""Encodings as data, the modules they build, embeddings by id, classes from outside."""

import json
import math
import subprocess
import sys

import pytest
import torch

from arithtf.attention import NO_ID, NONE, LogScale, Mechanism, Positions, attention
from arithtf.encodings import (
    FIRE,
    KERPLE,
    LOGIT_SCALES,
    T5,
    ALiBi,
    EmbeddingSpec,
    Encoding,
    Learned,
    LearnedEmbedding,
    MechanismSpec,
    NoPE,
    RoPE,
    Shaw,
    Sinusoidal,
    SinusoidalEmbedding,
    Table,
    alibi_slopes,
)
from arithtf.plain import from_plain, to_plain

SPECS = [make() for make in MechanismSpec.registry.values()]
SPECS += [ALiBi(learned=True), KERPLE(form="power"), T5(bidirectional=True)]


@pytest.mark.parametrize("mechanism", SPECS, ids=repr)
@pytest.mark.parametrize("logit_scale", LOGIT_SCALES)
def test_encoding_survives_json_and_builds(mechanism, logit_scale):
    encoding = Encoding(
        embedding=Learned(levels=(1,)),
        mechanism=mechanism,
        windows=(2, (3, 0), None),
        sinks=1,
        logit_scale=logit_scale,
        head_levels=(0, 2, 1, 1),
    )
    assert from_plain(Encoding, json.loads(json.dumps(to_plain(encoding)))) == encoding
    module = encoding.build(heads=4, head_dim=8)
    assert isinstance(module(), Mechanism)
    scales = {"constant": type(None), "head": torch.nn.Parameter, "log": LogScale}
    assert isinstance(module.scale(), scales[logit_scale])
    query, key, value = torch.randn(3, 2, 4, 9, 8).unbind()
    ids = torch.randint(0, 6, (2, 3, 9), dtype=torch.int32)
    positions = Positions(
        ids, ids, windows=encoding.windows, head_levels=encoding.levels_of_heads(4), sinks=1
    )
    out = attention(query, key, value, positions, mechanism=module(), scale=module.scale())
    parameters = list(module.parameters())
    if parameters:
        grads = torch.autograd.grad(out.square().sum(), parameters)
        assert all(g.isfinite().all() for g in grads)
        assert any(g.any() for g in grads)


def test_the_form_of_json():
    encoding = Encoding(
        embedding=Learned(max_position=9), mechanism=Table(reach=1), windows=((1, 0),)
    )
    assert to_plain(encoding) == {
        "embedding": {"name": "learned", "levels": None, "max_position": 9},
        "mechanism": {"name": "table", "reach": 1},
        "windows": [[1, 0]],
        "head_levels": None,
        "sinks": 0,
        "logit_scale": "constant",
    }


@pytest.mark.parametrize("mechanism", SPECS, ids=repr)
def test_initialisation_follows_the_generator(mechanism):
    modules = [Encoding(mechanism=mechanism).build(4, 8) for _ in range(2)]
    for module in modules:
        module.initialise(torch.Generator().manual_seed(5))
    for a, b in zip(*(m.parameters() for m in modules), strict=True):
        assert torch.equal(a, b)
    assert mechanism.trained == bool(list(modules[0].parameters())) or mechanism == NoPE()


def test_what_a_certificate_may_rely_on():
    varying = {s for s in SPECS if not Encoding(mechanism=s).translation_invariant}
    assert varying == {RoPE(), FIRE()}
    assert not Encoding(embedding=Learned()).translation_invariant
    assert Encoding(windows=(1, (0, 2))).finite
    assert not Encoding(windows=(1, None)).finite
    assert Encoding(mechanism=Table(), windows=(1,)).linear
    assert not Encoding(mechanism=Table()).linear
    assert not Encoding(mechanism=Shaw(), windows=(1,)).linear
    assert Encoding(windows=(1, 2)).levels_of_heads(4) == (0, 1, 0, 1)


@pytest.mark.parametrize("spec", SPECS, ids=repr)
def test_linear_is_what_the_cpu_can_run(spec):
    query = torch.randn(1, 2, 5, 4)
    encoding = Encoding(mechanism=spec, windows=(2,))
    with torch.no_grad():
        given = (query, query, query, Positions(windows=encoding.windows))
        call = {"mechanism": encoding.build(2, 4)(), "impl": "cpu"}
        if encoding.linear:
            attention(*given, **call)
        else:
            with pytest.raises(ValueError, match="cannot run"):
                attention(*given, **call)


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: Encoding(mechanism="table"), "such as Table"),
        (lambda: Encoding(embedding=Table()), "such as Learned"),
        (lambda: Encoding(windows=()), "window per level"),
        (lambda: Encoding(windows=(-1,)), "window of None"),
        (lambda: Encoding(windows=((1, 2, 3),)), "window of None"),
        (lambda: Encoding(head_levels=(0, 1)), "head_levels within the 1 levels"),
        (lambda: Encoding(embedding=Learned(levels=(1,))), "embedding's levels within the 1"),
        (lambda: Encoding(sinks=-1), "sinks >= 0"),
        (lambda: Encoding(logit_scale="none"), "logit_scale"),
        (lambda: Encoding(head_levels=(0,)).build(4, 8), "4 heads"),
        (lambda: Table(reach=-1), "reach >= 0"),
        (lambda: Learned(max_position=-1), "max_position >= 0"),
        (lambda: FIRE(width=0), "width >= 1"),
        (lambda: KERPLE(form="sine"), "'log' or 'power'"),
        (lambda: T5(buckets=7, bidirectional=True), "buckets"),
        (lambda: T5(max_distance=16), "max_distance > 16"),
        (lambda: RoPE(base=1.0), "base > 1"),
        (lambda: from_plain(Encoding, {"mechanisms": "none"}), "did you mean mechanism"),
        (lambda: from_plain(MechanismSpec, {"name": "tabel"}), "table"),
        (lambda: from_plain(MechanismSpec, {"name": "table", "width": 1}), "no field 'width'"),
        (lambda: from_plain(EmbeddingSpec, {"name": "table"}), "no embedding"),
    ],
)
def test_what_cannot_be_is_refused(make, says):
    with pytest.raises((ValueError, TypeError), match=says):
        make()


OUTSIDE = '''
from dataclasses import dataclass
import torch
from arithtf.attention import BiasTable
from arithtf.encodings import MechanismSpec

@dataclass(frozen=True, kw_only=True)
class Symmetric(MechanismSpec):
    """A learned bias per distance, the same on both sides."""
    linear = bounded = True
    reach: int = 2

    def initial(self, heads, head_dim, generator):
        return {"by_distance": torch.zeros(heads, self.reach + 1)}

    def mechanism(self, tensors):
        half = tensors["by_distance"]
        return BiasTable(torch.cat([half.flip(1), half[:, 1:]], 1))
'''


def test_a_mechanism_of_somebody_elses_file(tmp_path):
    """Its JSON names the file, and another process builds it from that."""
    (tmp_path / "mine.py").write_text(OUTSIDE)
    data = {"mechanism": {"name": f"{tmp_path}/mine.py:Symmetric", "reach": 3}, "windows": [1]}
    encoding = from_plain(Encoding, data)
    assert type(encoding.mechanism).__name__ == "Symmetric"
    assert encoding.linear
    assert encoding.translation_invariant
    assert encoding.build(2, 4)().table.shape == (2, 7)
    code = (
        "import json, sys;"
        "from arithtf.encodings import Encoding; from arithtf.plain import from_plain;"
        "print(from_plain(Encoding, json.loads(sys.argv[1])).mechanism.reach)"
    )
    text = json.dumps(to_plain(encoding))
    done = subprocess.run([sys.executable, "-c", code, text], capture_output=True, text=True)
    assert done.stdout == "3\n", done.stderr
    with pytest.raises(ValueError, match="subclass of EmbeddingSpec"):
        from_plain(EmbeddingSpec, data["mechanism"])


def test_alibi_slopes_are_the_papers():
    assert alibi_slopes(8).tolist() == [2.0**-i for i in range(1, 9)]
    more = [2.0 ** -(i + 0.5) for i in range(0, 4)]
    assert alibi_slopes(12).tolist() == pytest.approx([2.0**-i for i in range(1, 9)] + more)


def test_rotary_and_sinusoids_keep_their_frequencies_in_float64():
    module = Encoding(mechanism=RoPE()).build(2, 8)
    assert module().inv_freq.tolist() == [10000.0 ** (-2 * i / 8) for i in range(4)]
    assert module.state_dict() == {}
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


def test_an_embedding_reads_the_levels_it_is_told():
    ids = torch.arange(6, dtype=torch.int32).view(1, 2, 3)
    for levels, want in ((None, [0, 1]), ((1,), [1]), ((1, 0), [1, 0])):
        encoding = Encoding(embedding=Sinusoidal(levels=levels), windows=(None, None))
        assert torch.equal(encoding.embedded(ids), ids[:, want])
    assert isinstance(Learned().build(2, 8), LearnedEmbedding)
    assert Encoding().build(2, 4)() is NONE
