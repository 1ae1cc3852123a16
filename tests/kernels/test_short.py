"""Kernels that hold a whole sequence in one tile: every encoding x order, with all gradients."""

import pytest
import torch
from kernel_cases import DIM, ENCODINGS, GENERAL, HEADS, ORDERS, asked, check, gradients, some_of

from arithtf.attention import BiasTable, BucketBias, Content, Rotary
from arithtf.kernels import gradient, launch, whole

pytestmark = pytest.mark.usefixtures("interpreted")
LENGTHS = (1, 17, 63, 111, 128)
SHORT = [e for e in ENCODINGS if e not in GENERAL]
CASES = {(e, o, LENGTHS[(i + j) % 5]) for i, e in enumerate(SHORT) for j, o in enumerate(ORDERS)}
MORE = {(e, o, n) for e in SHORT for o in ORDERS for n in LENGTHS} - CASES


@pytest.fixture(autouse=True)
def only_short(monkeypatch):
    """The general kernels must not be asked."""

    def never(*_):
        raise AssertionError("the general kernels were asked")

    monkeypatch.setattr(launch, "forward", never)
    monkeypatch.setattr(gradient, "backward", never)


@pytest.mark.parametrize(("encoding", "order", "length"), some_of(CASES, MORE))
def test_matches_reference(encoding, order, length):
    torch.manual_seed(length)
    rng = torch.Generator().manual_seed(length)
    tensors = [torch.randn(2, HEADS, length, DIM) for _ in range(3)]
    call = ORDERS[order](length, rng)
    check(tensors, ENCODINGS[encoding](), call)


@pytest.mark.parametrize("dim", [8, 24, 32, 48])
def test_head_dimensions(dim):
    torch.manual_seed(dim)
    tensors = [torch.randn(1, HEADS, 33, dim) for _ in range(3)]
    check(tensors, BiasTable(torch.randn(HEADS, 5)), {"windows": (None,)})
    check(tensors, Rotary.from_base(dim), {"windows": (3,), "sinks": 1})


def test_heads_of_several_levels_in_any_order():
    torch.manual_seed(3)
    tensors = [torch.randn(3, 5, 40, DIM) for _ in range(3)]
    ids = torch.randint(-4, 4, (3, 3, 40), dtype=torch.int32)
    call = {
        "query_ids": ids,
        "key_ids": ids,
        "head_levels": (2, 0, 2, 2, 0),
        "windows": (1, 0, (2, 0)),
        "sinks": 1,
    }
    check(tensors, BiasTable(torch.randn(5, 7)), call)


@pytest.mark.parametrize("reach", [1, 20])
def test_window_narrower_and_wider_than_the_table(reach):
    torch.manual_seed(4)
    tensors = [torch.randn(2, HEADS, 50, DIM) for _ in range(3)]
    table = torch.randn(HEADS, 2 * reach + 1)
    check(tensors, BiasTable(table), {"windows": ((5, 2),)})


def test_ids_far_apart():
    torch.manual_seed(5)
    tensors = [torch.randn(1, HEADS, 40, DIM) for _ in range(3)]
    far = torch.randint(-(2**31) + 1, 2**31 - 1, (1, 1, 40), dtype=torch.int64).to(torch.int32)
    call = {"query_ids": far, "key_ids": far, "windows": (None,)}
    check(tensors, BiasTable(torch.randn(HEADS, 9)), call)
    check(tensors, BucketBias(torch.randn(HEADS, 8), 30, True), call)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_low_precision_is_widened(dtype):
    """The interpreter computes in float32; loads and stores are those of the dtype."""
    torch.manual_seed(1)
    tensors = [torch.randn(1, HEADS, 40, DIM).to(dtype).float() for _ in range(3)]
    grad = torch.randn(1, HEADS, 40, DIM).to(dtype).float()
    table = BiasTable(torch.randn(HEADS, 5).to(dtype).float())
    expected = gradients("reference", tensors, table, {}, torch.float64, grad)
    found = gradients("triton", tensors, table, {}, dtype, grad)
    step = 2**-7 if dtype == torch.bfloat16 else 2**-9
    for want, got in zip(expected, found, strict=True):
        assert (got - want).abs().max() < 2 * step * (1 + want.abs().max())


def test_what_counts_as_short():
    def short(length=128, dim=32, mechanism=None, windows=1, dtype=torch.float32):
        x = torch.empty(1, HEADS, length, dim, dtype=dtype)
        ids = torch.zeros(1, 2, length, dtype=torch.int32)
        mechanism = mechanism or BiasTable(torch.zeros(HEADS, 33))
        call = asked(x, x, x, mechanism, query_ids=ids, key_ids=ids, windows=windows)
        return whole.kernel_of(call) is not None

    assert short()
    assert not short(length=129)
    assert short(dim=64)
    assert not short(dim=65)
    assert short(dim=64, dtype=torch.bfloat16)
    wide = BiasTable(torch.zeros(HEADS, 201))
    assert short(mechanism=wide)
    assert not short(mechanism=wide, windows=(1, None))
    assert not short(mechanism=BiasTable(torch.zeros(HEADS, 257)))
    assert not short(mechanism=Content(None, torch.zeros(HEADS, 3, 32)))
