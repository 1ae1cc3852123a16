"""Every encoding x order of visibility x odd length, with all gradients, against float64."""

import pytest
import torch
from kernel_cases import (
    DIM,
    ENCODINGS,
    HEADS,
    LENGTHS,
    ORDERS,
    check,
    gradients,
    scale_errors,
    some_of,
)

from arithtf.attention import BiasTable, LogScale, Rotary
from arithtf.kernels import launch

CASES = {
    (e, o, LENGTHS[(i + j) % 5]) for i, e in enumerate(ENCODINGS) for j, o in enumerate(ORDERS)
}
MORE = {(e, o, 63) for e in ENCODINGS for o in ORDERS} - CASES


@pytest.mark.usefixtures("general")
@pytest.mark.parametrize(("encoding", "order", "length"), some_of(CASES, MORE))
def test_matches_reference(encoding, order, length):
    torch.manual_seed(length)
    rng = torch.Generator().manual_seed(length)
    tensors = [torch.randn(2, HEADS, length, DIM) for _ in range(3)]
    call = ORDERS[order](length, rng)
    check(tensors, ENCODINGS[encoding](), call)


@pytest.mark.usefixtures("general")
@pytest.mark.parametrize("dim", [8, 24, 80, 256])
def test_head_dimensions(dim):
    torch.manual_seed(dim)
    tensors = [torch.randn(1, HEADS, 33, dim) for _ in range(3)]
    check(tensors, BiasTable(torch.randn(HEADS, 5)), {"windows": (None,)})
    check(tensors, Rotary.from_base(dim), {"windows": (3,), "sinks": 1})


@pytest.mark.usefixtures("general")
@pytest.mark.parametrize("columns", [5, 513])
def test_rows_of_128_numbers_split_for_tf32(columns, monkeypatch):
    """On GPUs their backward takes its products in another order."""
    of_call = launch.constants_of
    split = {"PRECISION": "tf32x3"}
    monkeypatch.setattr(launch, "constants_of", lambda *given: of_call(*given) | split)
    torch.manual_seed(7)
    rng = torch.Generator().manual_seed(7)
    tensors = [torch.randn(2, HEADS, 37, 128) for _ in range(3)]
    call = {**ORDERS["packed"](37, rng), "scale": LogScale(torch.rand(HEADS))}
    check(tensors, BiasTable(torch.randn(HEADS, columns)), call)
    check(tensors, Rotary.from_base(128), call)


@pytest.mark.usefixtures("general")
def test_wide_table_and_sparse_ids():
    """A table over ids that lie far apart: tiles of queries take several rounds."""
    torch.manual_seed(5)
    tensors = [torch.randn(1, HEADS, 40, DIM) for _ in range(3)]
    sparse = torch.randint(0, 3000, (1, 1, 40), dtype=torch.int32)
    call = {"query_ids": sparse, "key_ids": sparse, "windows": (None,)}
    check(tensors, BiasTable(torch.randn(HEADS, 129)), call)
    check(tensors, BiasTable(torch.randn(HEADS, 8193)), {"windows": (None,)})


@pytest.mark.usefixtures("interpreted")
@pytest.mark.parametrize("columns", [255, 4097])
def test_wide_table_in_a_narrow_window(columns):
    """Few columns of it act, but a kernel that holds a row of a table would have to hold all."""
    torch.manual_seed(6)
    tensors = [torch.randn(1, HEADS, 40, DIM) for _ in range(3)]
    check(tensors, BiasTable(torch.randn(HEADS, columns)), {"windows": (3,)})


@pytest.mark.usefixtures("both")
@pytest.mark.parametrize("length", [60, 90])
def test_scale_errs_at_most_twice_as_much_as_torch(length):
    of_torch, of_ours = scale_errors(length, 16, torch.float32)
    assert of_ours <= 2 * of_torch


@pytest.mark.usefixtures("general")
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
