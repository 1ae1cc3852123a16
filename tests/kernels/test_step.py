"""Decoding steps against attention over the whole sequence, column by column."""

from dataclasses import replace

import pytest
import torch
from kernel_cases import DIM, ENCODINGS, HEADS, ids

from arithtf.attention import (
    NONE,
    BiasTable,
    Content,
    LogScale,
    Positions,
    Rotary,
    attention,
    attention_step,
    order_keys,
)
from arithtf.kernels import steps

pytestmark = pytest.mark.usefixtures("interpreted")
BY_IDS = [e for e in ENCODINGS if e not in ("rotary", "shaw", "content of keys", "disentangled")]


def sequence(length, levels, seed=0):
    torch.manual_seed(seed)
    tensors = [torch.randn(2, HEADS, length, DIM) for _ in range(3)]
    rng = torch.Generator().manual_seed(seed)
    return tensors, ids(2, levels, length, rng), ids(1, levels, length, rng)


def column_of(number):
    return torch.tensor([number], dtype=torch.int32)


@pytest.mark.parametrize("splits", [1, 3])
@pytest.mark.parametrize("encoding", BY_IDS)
def test_steps_equal_the_whole(encoding, splits, monkeypatch):
    monkeypatch.setattr(steps, "COLUMNS", 70 // splits)
    (q, k, v), query_ids, key_ids = sequence(70, 2)
    mechanism, scale = ENCODINGS[encoding](), LogScale(torch.rand(HEADS))
    windows = ((2, 1), None)
    call = {"mechanism": mechanism, "scale": scale}
    positions = Positions(query_ids, key_ids, windows=windows, sinks=2)
    doubles = (x.double() for x in (q, k, v))
    whole = attention(*doubles, positions, impl="reference", **call)
    order = order_keys(positions)
    for column in (0, 1, 5, 40, 69):
        # What was not written yet may be anything.
        later = (torch.arange(70) > column)[:, None]
        cache = [x.masked_fill(later, float("nan")) for x in (k, v)]
        here = slice(column, column + 1)
        mine = replace(positions, query_ids=query_ids[..., here])
        step = (q[:, :, here], *cache, mine, order, column_of(column))
        found = attention_step(*step, impl="triton", **call)
        torch.testing.assert_close(found.double(), whole[:, :, here], rtol=1e-5, atol=1e-5)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_nothing_seen_and_not_finite():
    (q, k, v), _, _ = sequence(20, 1)
    far = torch.arange(20, dtype=torch.int32)[None, None] * 10
    one, at = q[:, :, :1], column_of(10)
    off, on = (Positions(x, far, windows=0) for x in (far[..., :1] + 5, far[..., 3:4]))
    nothing = attention_step(one, k, v, off, order_keys(off), at, impl="triton")
    assert (nothing == 0).all()
    v[0, 0, 3, 2] = float("inf")
    seen = attention_step(one, k, v, on, order_keys(on), at, impl="triton")
    assert seen[0, 0].isnan().all()
    assert seen[1].isfinite().all()


@pytest.mark.parametrize("window", [3, (2, 0)])
def test_work_of_a_step_does_not_grow_with_the_cache(window, monkeypatch):
    """Loads of the interpreter, of which only the binary search may want a few more."""
    from triton.runtime.interpreter import InterpreterBuilder

    loads = []
    load = InterpreterBuilder.create_masked_load

    def counted(self, *arguments):
        loads.append(1)
        return load(self, *arguments)

    monkeypatch.setattr(InterpreterBuilder, "create_masked_load", counted)
    most = []
    for length in (2**8, 2**13):
        k = torch.randn(1, HEADS, length, DIM)
        own = torch.randperm(length, dtype=torch.int32)[None, None]
        positions = Positions(own[..., length // 2 :][..., :1], own, windows=(window,))
        order = order_keys(positions)
        loads.clear()
        last = column_of(length - 1)
        attention_step(k[:, :, -1:], k, k, positions, order, last, impl="triton")
        most.append(len(loads))
    assert most[1] - most[0] <= HEADS * 2 * 2 * 5


def test_what_is_expected():
    (q, k, v), query_ids, key_ids = sequence(8, 1)
    positions = Positions(query_ids[..., :1], key_ids, windows=1)
    order = order_keys(positions)
    step = (q[:, :, :1], k, v, positions, order)
    with pytest.raises(ValueError, match=r"expected query \[B, H, 1, D\]"):
        attention_step(q, *step[1:], column_of(0))
    with pytest.raises(ValueError, match="expected column int32"):
        attention_step(*step, torch.tensor([0]))
    for wrong in (replace(positions, causal=False), replace(positions, query_start=1)):
        with pytest.raises(ValueError, match="expected causal positions without"):
            attention_step(*step[:3], wrong, order, column_of(3))
    for call in (order_keys, lambda none: attention_step(*step[:3], none, order, column_of(3))):
        with pytest.raises(ValueError, match="expected positions with key_ids"):
            call(Positions())
    for mechanism in (Rotary.from_base(DIM), Content(None, torch.zeros(HEADS, 3, DIM))):
        with pytest.raises(RuntimeError, match=r"ids alone, got .*Use impl='auto'"):
            attention_step(*step, column_of(3), mechanism=mechanism, impl="triton")
        found = attention_step(*step, column_of(3), mechanism=mechanism)
        assert found.shape == (2, HEADS, 1, DIM)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_operator_and_reference():
    (q, k, v), query_ids, key_ids = sequence(12, 1)
    positions = Positions(query_ids[..., 7:8], key_ids, windows=2)
    order, table = order_keys(positions), BiasTable(torch.randn(HEADS, 3))
    call = (q[:, :, 7:8], k, v, positions, order, column_of(7))
    found = attention_step(*call, mechanism=table, impl="triton")
    expected = attention_step(*call, mechanism=table, impl="reference")
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)
    compiled = torch.compile(attention_step, fullgraph=True, backend="aot_eager")
    assert torch.equal(
        compiled(*call, mechanism=NONE, impl="triton"),
        attention_step(*call, mechanism=NONE, impl="triton"),
    )
