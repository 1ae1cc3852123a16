"""What must hold whatever the numbers: invariances, exact independence, exact repetition."""

import pytest
import torch
from kernel_cases import DIM, HEADS, asked, attend, ids

from arithtf.attention import (
    NO_ID,
    NONE,
    Alibi,
    BiasTable,
    BucketBias,
    Kerple,
    LogScale,
    Rotary,
)

pytestmark = pytest.mark.usefixtures("both")
RELATIVE = [
    NONE,
    BiasTable(torch.linspace(-1, 1, 2 * 7).view(2, 7)),
    BucketBias(torch.linspace(-1, 1, 2 * 6).view(2, 6), 20),
    Alibi(torch.tensor([0.5, 0.1])),
    Kerple(torch.tensor([0.5, 1.0]), torch.tensor([1.0, 0.2])),
]


def name_of(value):
    return type(value).__name__


def qkv(length=40, batch=2, seed=0):
    torch.manual_seed(seed)
    return [torch.randn(batch, HEADS, length, DIM, requires_grad=True) for _ in range(3)]


def run(tensors, **call):
    return attend(*tensors, **call)


def with_gradients(tensors, extra=(), seed=1, **call):
    out = run(tensors, **call)
    torch.manual_seed(seed)
    return [out, *torch.autograd.grad(out, [*tensors, *extra], torch.randn(out.shape))]


@pytest.mark.parametrize("mechanism", RELATIVE, ids=name_of)
def test_shifting_all_ids_changes_no_bit(mechanism):
    drawn = ids(2, 1, 40, torch.Generator().manual_seed(0), missing=0.0)
    call = {"mechanism": mechanism, "windows": ((4, 2),), "causal": False}
    first = with_gradients(qkv(), query_ids=drawn, key_ids=drawn, **call)
    for shift in (1000, -(2**31) + 100, 2**31 - 100):
        moved = drawn + shift
        second = with_gradients(qkv(), query_ids=moved, key_ids=moved, **call)
        assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


@pytest.mark.parametrize("mechanism", [*RELATIVE, Rotary.from_base(DIM)], ids=name_of)
@pytest.mark.parametrize("window", [None, (2, 3)])
def test_permuting_tokens_permutes_outputs(mechanism, window):
    q, k, v = qkv()
    drawn = ids(1, 1, 40, torch.Generator().manual_seed(0))
    order = torch.randperm(40)
    call = {"mechanism": mechanism, "windows": (window,), "causal": False}
    plain = run((q, k, v), query_ids=drawn, key_ids=drawn, **call)
    mixed = run(
        [x[:, :, order] for x in (q, k, v)],
        query_ids=drawn[..., order],
        key_ids=drawn[..., order],
        **call,
    )
    torch.testing.assert_close(mixed, plain[:, :, order], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("mechanism", [NONE, RELATIVE[1]], ids=name_of)
def test_the_widest_window_is_dense(mechanism):
    drawn = ids(2, 1, 70, torch.Generator().manual_seed(0))
    call = {"mechanism": mechanism, "query_ids": drawn, "key_ids": drawn}
    wide = with_gradients(qkv(70), windows=(2**31 - 1,), **call)
    dense = with_gradients(qkv(70), windows=(None,), **call)
    for a, b in zip(wide, dense, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("window", [None, 3])
def test_packed_equals_separate(window):
    tensors = qkv(70, batch=1)
    lengths = (1, 24, 45)
    documents = torch.repeat_interleave(torch.arange(3), torch.tensor(lengths)).int()[None]
    table = torch.randn(HEADS, 5, requires_grad=True)
    call = {"mechanism": BiasTable(table), "windows": (window,), "sinks": 2}
    packed = with_gradients(tensors, documents=documents, **call)
    torch.manual_seed(1)
    weight = torch.randn(1, HEADS, 70, DIM)
    start = 0
    for length in lengths:
        part = [x[:, :, start : start + length].detach().requires_grad_() for x in tensors]
        out = run(part, **call)
        grads = torch.autograd.grad(out, part, weight[:, :, start : start + length])
        for a, b in zip([out, *grads], packed, strict=True):
            expected = b[:, :, start : start + length]
            torch.testing.assert_close(a, expected, rtol=1e-5, atol=1e-5)
        start += length


@pytest.mark.parametrize("window", [None, 2])
def test_table_gradient_sums_to_zero(window):
    """Rows of the softmax's gradient sum to zero, so each head's table gradient does too."""
    table = torch.randn(HEADS, 9, requires_grad=True)
    grad = with_gradients(qkv(), [table], mechanism=BiasTable(table), windows=(window,))[-1]
    assert grad.abs().max() > 0.1
    torch.testing.assert_close(grad.sum(1), torch.zeros(HEADS), rtol=0, atol=2e-5)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("junk", [1e30, float("nan"), float("inf")])
@pytest.mark.parametrize("level", ["windowed", "dense"])
def test_what_is_invisible_changes_no_bit(junk, level):
    """Keys out of the window, of another document, or without an id may hold anything."""
    q, k, v = qkv(70)
    drawn = ids(2, 1, 70, torch.Generator().manual_seed(0))
    call = {
        "mechanism": RELATIVE[1],
        "query_ids": drawn,
        "key_ids": drawn,
        "sinks": 1,
        "windows": ((1,) if level == "windowed" else (None,)),
    }
    with torch.no_grad():
        visible = _visible(drawn, call)
    query = int(visible.sum(-1)[0].argmax())
    hidden = ~visible[0, query]
    assert hidden.any()
    spoilt = [q] + [
        torch.where(hidden[None, None, :, None], junk, x).detach().requires_grad_() for x in (k, v)
    ]
    first, second = run((q, k, v), **call), run(spoilt, **call)
    assert torch.equal(first[0, :, query], second[0, :, query])
    one = torch.zeros_like(first)
    one[0, :, query] = 1.0
    a = torch.autograd.grad(first, (q, k, v), one)
    b = torch.autograd.grad(second, spoilt, one)
    assert all(torch.equal(x, y) for x, y in zip(a, b, strict=True))


def _visible(drawn, call):
    q = torch.zeros(2, HEADS, drawn.shape[2], DIM)
    positions = asked(q, q, q, **call).positions
    seen, _ = positions.visibility(positions.differences())
    return seen[:, 0].expand(2, -1, -1)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_what_is_visible_and_not_finite_gives_nan():
    q, k, v = (x.detach().clone() for x in qkv(40))
    v[:, :, 20, 3] = float("inf")
    k[:, :, 10, 3] = float("nan")
    q[:, :, 5, 0] = float("nan")
    for window in (None, (3, 0)):
        expected = attend(q, k, v, windows=(window,), impl="reference")
        found = run((q, k, v), windows=(window,))
        assert torch.equal(found.isnan(), expected.isnan())
        torch.testing.assert_close(found, expected, equal_nan=True, rtol=1e-5, atol=1e-5)


def test_rows_that_see_nothing_are_zero():
    tensors = qkv()
    drawn = ids(1, 1, 40, torch.Generator().manual_seed(0), missing=0.5)
    found = with_gradients(tensors, query_ids=drawn, key_ids=drawn, windows=(None,))
    lacking = drawn[0, 0] == NO_ID
    for x in found[:2]:
        assert (x[:, :, lacking] == 0).all()
        assert x[:, :, ~lacking].abs().sum() > 0
    nothing = torch.full((1, 1, 40), NO_ID, dtype=torch.int32)
    everything = with_gradients(tensors, query_ids=nothing, key_ids=nothing)
    assert all((x == 0).all() for x in everything)
    # Only the sink: its value.
    lone = run(tensors, query_ids=nothing, key_ids=nothing, sinks=1)
    torch.testing.assert_close(lone, tensors[2][:, :, :1].expand_as(lone))


def test_repeats_to_the_bit():
    table = torch.randn(HEADS, 9, requires_grad=True)
    scale = torch.rand(HEADS, requires_grad=True)
    drawn = ids(2, 1, 70, torch.Generator().manual_seed(0))
    call = {
        "mechanism": BiasTable(table),
        "windows": (3,),
        "sinks": 2,
        "scale": LogScale(scale),
        "query_ids": drawn,
        "key_ids": drawn,
    }
    first = with_gradients(qkv(70), (table, scale), **call)
    second = with_gradients(qkv(70), (table, scale), **call)
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


def test_layout_of_inputs_does_not_matter():
    plain = qkv()
    strided = [x.detach().transpose(1, 2).contiguous().transpose(1, 2) for x in plain]
    sliced = [torch.cat([x, x], -1)[..., :DIM] for x in strided]
    wide = [x.detach().mT.contiguous().mT for x in plain]
    expected = with_gradients(plain, windows=(5,))
    for other in (strided, sliced, wide):
        other = [x.requires_grad_() for x in other]
        found = with_gradients(other, windows=(5,))
        assert found[0].stride() == torch.empty_like(other[0]).stride()
        assert all(torch.equal(a, b) for a, b in zip(expected, found, strict=True))
