"""The model's ways into the kernels: training steps, the table of tokens, decoding, no waiting."""

import pytest
import torch
from kernel_cases import attend
from torch.utils._python_dispatch import TorchDispatchMode

from arithtf.attention import BiasTable, LogScale, fused
from arithtf.encodings import Encoding, Table
from arithtf.evaluate.decode import greedy
from arithtf.model import ModelConfig, Transformer
from arithtf.recipes import get_recipe
from arithtf.tasks import Address, Batch, Draw

pytestmark = pytest.mark.usefixtures("both")
# What makes the host wait for the device, or copies from one to the other.
WAITING = {"_local_scalar_dense", "nonzero", "_to_copy", "is_nonzero", "item", "equal", "unique"}


# What the kernels' operators run.
RUN_BY = {
    torch.ops.arithtf.fused.default: fused._forward,
    torch.ops.arithtf.fused_backward.default: fused._run_backward,
}


class NoWaiting(TorchDispatchMode):
    """Raise where an operation would read numbers of a device.

    A mode is off inside an operator, so those of the kernels are replaced by what they run.
    """

    def __init__(self):
        super().__init__()
        self.seen = []

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        if function in RUN_BY:
            self.seen.append(function)
            with self:
                return RUN_BY[function](*args, **(kwargs or {}))
        name = function.overloadpacket.__name__
        moves = name == "_to_copy" and "device" in (kwargs or {})
        if name in WAITING and (name != "_to_copy" or moves):
            raise AssertionError(f"{name} waits for the device")
        return function(*args, **(kwargs or {}))


def as_if_on_a_gpu(monkeypatch):
    """`auto` takes the kernels, here interpreted, and counts its calls."""
    calls = []
    original = fused.attention

    def counted(*args, **kwargs):
        calls.append(args[0].query.shape)
        return original(*args, **kwargs)

    monkeypatch.setattr("arithtf.attention.api.fused.attention", counted)
    from arithtf.attention import api

    choose = api._choose

    def instead(call):
        return choose(call._replace(impl="triton") if call.impl == "auto" else call)

    monkeypatch.setattr(api, "_choose", instead)
    return calls


def trained(recipe, steps, impl_is_fused, monkeypatch):
    from dataclasses import replace

    from arithtf.train import train

    calls = as_if_on_a_gpu(monkeypatch) if impl_is_fused else []
    model = train(replace(recipe, steps=steps, batch=4), device="cpu")
    return model, calls


def test_training_takes_the_kernels(monkeypatch):
    """Two steps of the recipe for addition, whose first block looks tokens up in a table."""
    recipe = get_recipe("addition")
    plain, _ = trained(recipe, 2, False, monkeypatch)
    fast, calls = trained(recipe, 2, True, monkeypatch)
    assert len(calls) == 2
    for a, b in zip(plain.parameters(), fast.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-3, atol=2e-4)


@pytest.mark.parametrize("blocks", [("attention", "mlp"), ("mlp", "attention", "attention")])
def test_logits_of_both_ways_into_attention(blocks):
    """With and without the table of tokens: the stream is one after an MLP block."""
    encoding = Encoding(mechanism=Table(), windows=((2, 0),), sinks=1, logit_scale="log")
    config = ModelConfig(
        vocabulary=9, width=32, heads=2, hidden=16, blocks=blocks, encoding=encoding
    )
    model = Transformer(config)
    tokens = torch.randint(0, 9, (3, 21), generator=torch.Generator().manual_seed(0))
    ids = torch.arange(21, dtype=torch.int32)[None, None] // 2
    found = []
    for impl in ("reference", "triton", "triton-ieee"):
        logits = model(tokens, ids, ids, start=5, stop=20, impl=impl)
        weights = list(model.parameters())
        found.append([logits, *torch.autograd.grad(logits.square().mean(), weights)])
    for other in found[1:]:
        for a, b in zip(found[0], other, strict=True):
            torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-4)


def test_decoding_takes_steps():
    recipe = get_recipe("addition")
    model = Transformer(recipe.model).eval()
    vocabulary = recipe.task.vocabulary
    problems = recipe.task.sample(Address(0, "test", 0), Draw((2, 4), 3))
    batch = Batch.of(problems, recipe.coupling)
    by_reference = greedy(model, batch, eos=vocabulary.eos, impl="reference")
    assert (greedy(model, batch, eos=vocabulary.eos, impl="triton") == by_reference).all()


@pytest.mark.parametrize("windows", [((2, 1), None), (1, 3)])
def test_nothing_waits_for_the_device(windows):
    """Forward and backward in a graph would fail where the host asked for a number."""
    torch.manual_seed(0)
    tensors = [torch.randn(2, 2, 40, 16, requires_grad=True) for _ in range(3)]
    table, scale = torch.randn(2, 5, requires_grad=True), torch.rand(2, requires_grad=True)
    ids = torch.randint(-5, 5, (2, 2, 40), dtype=torch.int32)
    call = {
        "mechanism": BiasTable(table),
        "query_ids": ids,
        "key_ids": ids,
        "windows": windows,
        "sinks": 2,
        "scale": LogScale(scale),
        "documents": (torch.arange(40, dtype=torch.int32) // 9)[None],
    }

    def once():
        out = attend(*tensors, **call)
        return torch.autograd.grad(out.sum(), [*tensors, table, scale])

    once()  # numbers of the host that are kept on the device are made in the first call
    with NoWaiting() as watch:
        once()
    assert watch.seen == list(RUN_BY)
