"""Cached and memoised decoding write what recomputing everything for every token writes."""

import numpy as np
import pytest

from arithtf.encodings import (
    FIRE,
    T5,
    ALiBi,
    Encoding,
    Learned,
    MechanismSpec,
    NoPE,
    RoPE,
    Shaw,
    Sinusoidal,
    Table,
)
from arithtf.evaluate import MemoDecoder, greedy, is_local, is_windowed
from arithtf.model import ModelConfig, Transformer
from arithtf.tasks import Addition, Address, Batch, Coupling, Draw, Operands, couplings

TASK = Addition()
EOS = TASK.vocabulary.eos
OPERANDS = Operands.from_ints([(123, 45), (9, 9), (0, 0), (99_999, 1), (7, 12_345_678)])
TWO = ("attention", "mlp", "attention", "mlp")


LEARNED = Learned(max_position=100)


def one_level(part, window, coupling, blocks=("attention", "mlp"), sinks=0):
    name = "mechanism" if isinstance(part, MechanismSpec) else "embedding"
    return coupling, Encoding(**{name: part}, windows=(window,), sinks=sinks), blocks


CASES = {
    "none": one_level(NoPE(), None, couplings.index(TASK)),
    "learned": one_level(LEARNED, None, couplings.position_coupling(TASK, 60), TWO),
    "sinusoidal": one_level(Sinusoidal(), None, couplings.index(TASK), TWO),
    "randomized": one_level(LEARNED, None, couplings.randomized(TASK, 90), TWO),
    "rotary": one_level(RoPE(), None, couplings.index(TASK), TWO, sinks=1),
    "alibi": one_level(ALiBi(), None, couplings.index(TASK), TWO),
    "t5": one_level(T5(), None, couplings.columns(TASK), ("mlp", "attention")),
    "fire": one_level(FIRE(), None, couplings.index(TASK), TWO),
    "shaw window": one_level(Shaw(), (2, 1), couplings.columns(TASK), TWO, sinks=1),
    "table window": one_level(Table(), (1, 0), couplings.columns(TASK), sinks=1),
    "rotary window": one_level(RoPE(), 3, couplings.index(TASK), TWO, sinks=2),
    "cyclic window": one_level(Table(), 1, couplings.cyclic(TASK, 4), TWO),
    "learned window": one_level(LEARNED, 2, couplings.index(TASK), TWO),
    "two levels": (
        Coupling("two", (couplings.columns(TASK).levels[0], couplings.index(TASK).levels[0])),
        Encoding(mechanism=Table(), windows=((1, 0), (2, 0)), sinks=1),
        TWO,
    ),
    "one window of two": (
        Coupling("two", (couplings.columns(TASK).levels[0], couplings.index(TASK).levels[0])),
        Encoding(mechanism=Table(), windows=((1, 0), None)),
        TWO,
    ),
    "abacus and fire": (
        Coupling(
            "two",
            (
                couplings.abacus(Addition(reverse_operands=True), 40).levels[0],
                couplings.index(TASK).levels[0],
            ),
        ),
        Encoding(
            embedding=Learned(max_position=60, levels=(0,)),
            mechanism=FIRE(),
            windows=(None, None),
            head_levels=(1, 1, 1, 1),
        ),
        TWO,
    ),
    "log scale": (
        couplings.columns(TASK),
        Encoding(mechanism=Table(), windows=(1,), sinks=1, logit_scale="log"),
        TWO,
    ),
    "grouped queries, GELU, layer norms, biases, tied": (
        couplings.index(TASK),
        Encoding(mechanism=RoPE()),
        TWO,
        dict(key_heads=2, activation="gelu", norm="layer", bias=True, tied=True),
    ),
    "an encoding per block": (
        couplings.columns(TASK),
        Encoding(embedding=LEARNED),
        TWO,
        dict(
            block_encodings=(
                Encoding(mechanism=Table(), windows=((1, 0),), sinks=1),
                Encoding(mechanism=ALiBi()),
            )
        ),
    ),
}


def make(case, seed):
    coupling, encoding, blocks, *changes = CASES[case]
    config = ModelConfig(
        vocabulary=TASK.vocabulary.size,
        levels=len(coupling.levels),
        width=32,
        hidden=48,
        blocks=blocks,
        encoding=encoding,
        **dict(*changes),
    )
    return Transformer(config, seed=seed).eval(), coupling


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("seed", [0, 1])
def test_the_cache_changes_nothing(tools, case, seed):
    model, coupling = make(case, seed)
    batch = Batch.of(TASK.instances(OPERANDS, solved=False), coupling)
    before = batch.tokens.copy()
    np.testing.assert_array_equal(greedy(model, batch, eos=EOS), tools.recompute(model, batch, EOS))
    np.testing.assert_array_equal(batch.tokens, before)


@pytest.mark.parametrize("case", CASES)
def test_local_models_decode_by_table(tools, case):
    model, coupling = make(case, 3)
    if not is_local(model):
        with pytest.raises(ValueError, match="local contexts"):
            MemoDecoder(model, TASK, coupling)
        return
    batch = Batch.of(TASK.instances(OPERANDS, solved=False), coupling)
    decoder = MemoDecoder(model, TASK, coupling)
    expected = tools.recompute(model, batch, EOS)
    for _ in range(2):  # the second time from a full table
        np.testing.assert_array_equal(decoder.decode(batch), expected)


def test_what_is_local_and_what_is_windowed():
    local = {case for case in CASES if is_local(make(case, 0)[0])}
    windowed = {case for case in CASES if is_windowed(make(case, 0)[0])}
    assert local == windowed == {"table window"}
    encoding = Encoding(mechanism=FIRE(), windows=(1,))
    fire = Transformer(ModelConfig(vocabulary=15, encoding=encoding))
    assert is_windowed(fire)
    assert not is_local(fire)
    bidirectional = ModelConfig(vocabulary=15, encoding=Encoding(windows=(1,)), causal=False)
    assert not is_windowed(Transformer(bidirectional))


@pytest.mark.parametrize("name", ["trained", "damaged", "broken", "random"])
def test_the_table_writes_what_greedy_decoding_writes(trained, models, tools, name):
    """An empty table that grows, and one that holds every context before it is asked."""
    model, recipe = models[name], trained[1]
    operands = recipe.task.operands(Address(2, "all", 0), Draw((1, 30), 60))
    batch = Batch.of(recipe.task.instances(operands, solved=False), recipe.coupling)
    expected = tools.recompute(model, batch, EOS)
    np.testing.assert_array_equal(greedy(model, batch, eos=EOS), expected)
    empty, full = (MemoDecoder(model, recipe.task, recipe.coupling) for _ in range(2))
    assert full.prefill() == len(full.table) > 1000
    for decoder in (empty, full):
        np.testing.assert_array_equal(decoder.decode(batch), expected)


def test_a_full_ripple_of_many_digits(trained):
    model, recipe = trained
    n = 30_000
    batch = Batch.of(
        recipe.task.instances(Operands.from_digits([(np.full(n, 9), np.ones(1))]), solved=False),
        recipe.coupling,
    )
    written = MemoDecoder(model, recipe.task, recipe.coupling).decode(batch)[0]
    assert written.tolist() == [0] * n + [1, EOS]
