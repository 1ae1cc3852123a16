"""Calls that tests share: encodings, orders of visibility, comparison with the reference."""

import dataclasses

import pytest
import torch

from arithtf.attention import (
    NO_ID,
    NONE,
    Alibi,
    BiasTable,
    BucketBias,
    Content,
    Fire,
    Kerple,
    LogScale,
    Positions,
    Rotary,
    attention,
)
from arithtf.attention.call import checked

HEADS, DIM = 2, 16
LENGTHS = (1, 17, 63, 111, 129)


def positive(*shape):
    return torch.rand(*shape) + 0.1


ENCODINGS = {
    "none": lambda: NONE,
    "table": lambda: BiasTable(torch.randn(HEADS, 9)),
    "table of one": lambda: BiasTable(torch.randn(HEADS, 1)),
    "t5": lambda: BucketBias(torch.randn(HEADS, 6), 20),
    "t5 both": lambda: BucketBias(torch.randn(HEADS, 8), 16, True),
    "alibi": lambda: Alibi(positive(HEADS)),
    "kerple log": lambda: Kerple(positive(HEADS), positive(HEADS)),
    "kerple power": lambda: Kerple(positive(HEADS), positive(HEADS), "power"),
    "fire": lambda: Fire(
        torch.randn(5),
        torch.randn(5),
        torch.randn(HEADS, 5),
        torch.randn(HEADS),
        torch.tensor(0.3),
        torch.tensor(4.0),
    ),
    "shaw": lambda: Content(None, torch.randn(HEADS, 7, DIM)),
    "content of keys": lambda: Content(torch.randn(HEADS, 5, DIM), None),
    "disentangled": lambda: Content(torch.randn(HEADS, 9, DIM), torch.randn(HEADS, 39, DIM)),
    "rotary": lambda: Rotary.from_base(DIM),
}


# Mechanisms that the kernels for short sequences leave to the general ones.
GENERAL = ("fire", "shaw", "content of keys", "disentangled")


def ids(batch, levels, length, rng, missing=0.2):
    drawn = torch.randint(-6, 6, (batch, levels, length), dtype=torch.int32, generator=rng)
    gone = torch.rand(drawn.shape, generator=rng) < missing
    return drawn.masked_fill(gone, NO_ID)


def causal(length, rng):
    return {"scale": torch.rand(HEADS, generator=rng)}


def both_ways(length, rng):
    queries, keys = ids(1, 1, length, rng), ids(1, 1, length, rng)
    return {"causal": False, "query_ids": queries, "key_ids": keys}


def prefix(length, rng):
    """The later half of the queries, a prefix per batch row, learned scale."""
    seen = torch.tensor([length // 3, length], dtype=torch.int32)
    return {"prefix": seen, "query_start": length // 2, "scale": torch.rand(HEADS, generator=rng)}


def windowed(length, rng):
    """Two levels of ids with gaps, one with a window and one without, sinks, log scale."""
    queries, keys = ids(2, 2, length, rng), ids(2, 2, length, rng)
    scale = LogScale(torch.rand(HEADS, generator=rng))
    return dict(query_ids=queries, key_ids=keys, windows=((2, 1), None), sinks=2, scale=scale)


def packed(length, rng):
    """Documents of uneven lengths, each with sinks of its own, and a window."""
    ends = torch.randint(0, 2, (2, length), generator=rng) * torch.randint(0, 2, (2, 1))
    documents = (ends * (torch.rand(2, length, generator=rng) < 0.2)).cumsum(1).to(torch.int32)
    queries = ids(1, 2, length, rng)
    return dict(
        documents=documents * 3, query_ids=queries, key_ids=queries, windows=(3, None), sinks=1
    )


ORDERS = {f.__name__: f for f in (causal, both_ways, prefix, windowed, packed)}


def some_of(cases, more):
    """Parameters of a test; those of `more` run where all are asked for (CONTRIBUTING.md)."""
    thorough = [pytest.param(*case, marks=pytest.mark.thorough) for case in sorted(more)]
    return [*sorted(cases), *thorough]


def attend(query, key, value, mechanism=NONE, scale=None, impl="triton", **positions):
    """The operator, with the fields of its positions as keywords."""
    positions = Positions(**positions)
    return attention(query, key, value, positions, mechanism=mechanism, scale=scale, impl=impl)


def asked(query, key, value, mechanism=NONE, scale=None, impl="triton", **positions):
    """The checked call of `attend`."""
    positions = Positions(**positions)
    return checked(query, key, value, positions, mechanism=mechanism, scale=scale, impl=impl)


def leaves(x):
    return x.detach().clone().requires_grad_()


def gradients(impl, tensors, mechanism, call, dtype, grad=None):
    """Output and gradients of q, k, v, the mechanism's tensors and the scale."""
    inputs = [leaves(t.to(dtype)) for t in tensors]
    fixed = isinstance(mechanism, Rotary)
    values = {
        f.name: value if fixed else leaves(value.to(dtype))
        for f in dataclasses.fields(mechanism)
        if isinstance(value := getattr(mechanism, f.name), torch.Tensor)
    }
    mechanism = dataclasses.replace(mechanism, **values)
    wanted = inputs + ([] if fixed else list(values.values()))
    scale = call.get("scale")
    if scale is not None:
        bare = scale.scale if isinstance(scale, LogScale) else scale
        new = leaves(bare.to(dtype))
        wanted.append(new)
        call = {**call, "scale": LogScale(new) if isinstance(scale, LogScale) else new}
    out = attend(*inputs, mechanism=mechanism, impl=impl, **call)
    grad = torch.ones_like(out) if grad is None else grad.to(dtype)
    return [out, *torch.autograd.grad(out, wanted, grad)]


def check(tensors, mechanism, call, tolerance=5e-5):
    start = call.get("query_start", 0)
    tensors = [tensors[0][:, :, start:], *tensors[1:]]
    grad = torch.randn(tensors[0].shape)
    expected = gradients("reference", tensors, mechanism, call, torch.float64, grad)
    found = gradients("triton", tensors, mechanism, call, torch.float32, grad)
    for number, (want, got) in enumerate(zip(expected, found, strict=True)):
        worst = (got - want).abs().max() / (1 + want.abs().max())
        assert worst < tolerance, f"tensor {number} is off by {worst:.1e}"


def scale_errors(length, heads, dtype, device="cpu"):
    """Root mean square over heads of the error of the scale's gradient: of torch, and of ours.

    One head's is one number, of which torch is at times exact by chance.
    """
    rng = torch.Generator().manual_seed(length)
    qkv = [torch.randn(1, heads, length, DIM, generator=rng).to(dtype) for _ in range(3)]
    drawn = torch.randint(-6, 6, (1, 1, length), dtype=torch.int32, generator=rng).to(device)
    table = torch.randn(heads, 9, generator=rng).to(dtype)
    call = dict(query_ids=drawn, key_ids=drawn, windows=((2, 1),), sinks=2)
    call["scale"] = LogScale(torch.rand(heads, generator=rng).to(dtype).to(device))
    tensors, mechanism = [x.to(device) for x in qkv], BiasTable(table.to(device))
    grad = torch.randn(qkv[0].shape, generator=rng).to(dtype).to(device)
    exact, plain, ours = (
        gradients(impl, tensors, mechanism, call, as_, grad)[-1].double()
        for impl, as_ in (("reference", torch.float64), ("reference", dtype), ("triton", dtype))
    )
    return tuple((found - exact).square().mean().sqrt().item() for found in (plain, ours))
