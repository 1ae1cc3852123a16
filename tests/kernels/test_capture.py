"""What a CUDA graph forbids, looked for without a GPU: the launchers run on tensors without data.

Meta tensors have shapes but no numbers: asking for one raises, and so does mixing them with tensors
of the host. Kernels are stand-ins that look at what they are given.
"""

from types import SimpleNamespace

import pytest
import torch
from kernel_cases import DIM, ENCODINGS, GENERAL, HEADS, ORDERS, some_of
from torch.utils._python_dispatch import TorchDispatchMode

from arithtf.attention import LogScale, fused, ops
from arithtf.attention.arguments import geometry_of
from arithtf.kernels import configs, fields, gradient, launch, steps, whole
from arithtf.kernels import plan as plans

MODULES = ("forward", "backward", "table", "rotary", "short", "split", "sums", "decode")
FORMS = ("general", "short", "split")
ALL = {
    (f, e, o) for f in FORMS for e in ENCODINGS for o in ORDERS
    if f == "general" or e not in GENERAL
}  # fmt: skip
CASES = {case for case in ALL if case[0] == "general" or case[1] in ("t5", "rotary", "kerple log")}
MORE = ALL - CASES
# Operations for which the host waits for the device, and functions that copy to it.
WAITING = {"_local_scalar_dense", "nonzero", "_unique2", "equal"}
COPYING = ("tensor", "as_tensor", "asarray", "from_numpy")


class Watch(TorchDispatchMode):
    """Raise where an operation waits for the device or copies to it."""

    def __enter__(self):
        self.kept = {name: getattr(torch, name) for name in COPYING}
        for name in COPYING:
            setattr(torch, name, self.refuse)
        return super().__enter__()

    def __exit__(self, *error):
        super().__exit__(*error)
        for name, function in self.kept.items():
            setattr(torch, name, function)

    def refuse(self, *_, **__):
        raise AssertionError("a copy from the host in a launcher")

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        name = function.overloadpacket.__name__
        to = (kwargs or {}).get("device")
        moved = name == "_to_copy" and to is not None and torch.device(to) != args[0].device
        if name in WAITING or moved:
            raise AssertionError(f"{name} in a launcher")
        return function(*args, **(kwargs or {}))


class StandIn:
    """In the place of a kernel: takes tensors of the device and numbers of the host."""

    def __init__(self, name, launched):
        self.name, self.launched = name, launched

    def __getattr__(self, name):
        return StandIn(name, self.launched)

    def __getitem__(self, grid):
        assert all(type(n) is int for n in grid)

        def run(*args, **constants):
            self.launched.append(self.name)
            for value in (*args, *constants.values()):
                on_device = isinstance(value, torch.Tensor) and value.device.type == "meta"
                assert on_device or type(value) in (int, bool, float, str)

        return run


@pytest.fixture
def launched(monkeypatch):
    """Names of the kernels that were launched, in order."""
    names = []
    every = SimpleNamespace(**{name: StandIn(name, names) for name in MODULES})
    for module in (launch, gradient, whole, fields, steps):
        monkeypatch.setattr(module, "kernels", lambda: every)
    monkeypatch.setattr(configs, "architecture", lambda device: "sm_90")
    return names


def to_meta(value):
    """What is no tensor stays as it is."""
    if isinstance(value, list):
        return [to_meta(x) for x in value]
    return value.to("meta") if isinstance(value, torch.Tensor) else value


def packed_call(encoding, order, length):
    """Arguments of the operator for a case, as tensors without data."""
    call = ORDERS[order](length, torch.Generator().manual_seed(0))
    levels = call["key_ids"].shape[1] if "key_ids" in call else 1
    start = call.get("query_start", 0)
    key = torch.empty(2, HEADS, length, DIM)
    qkv = (key[:, :, start:], key, key)
    geometry = geometry_of(
        *qkv, call.get("query_ids"), call.get("key_ids"), None,
        call.get("windows", (None,) * levels), call.get("sinks", 0), call.get("causal", True),
        start, call.get("prefix"), call.get("documents"),
    )  # fmt: skip
    scale = call.get("scale", LogScale(torch.ones(HEADS)))
    return ops.arguments(*qkv, ENCODINGS[encoding](), geometry, scale, "triton")[:-1]


@pytest.mark.parametrize(("form", "encoding", "order"), some_of(CASES, MORE))
def test_launchers_ask_the_device_nothing(encoding, order, form, launched):
    packed = packed_call(encoding, order, 100 if form == "split" else 60)
    query, key, value, *rest = [to_meta(x) for x in (*packed, form != "general", False)]
    problem = fused._problem(rest)

    def once():
        if form == "general":
            out, lse, kept = launch.forward(problem, query, key, value)
            wanted = [True] * len(problem.tensors)
            return gradient.backward(problem, query, key, value, out, lse, kept, query, wanted)
        out, lse, seen = whole.forward(problem, query, key, value)
        return whole.backward(problem, query, key, value, out, lse, seen, query)

    once()  # what is kept on the device is made in the first call
    first, launched[:] = list(launched), []
    with Watch():
        found = once()
    assert launched == first
    assert ("split_backward" in launched) == (form == "split")
    assert [x.shape for x in found[:3]] == [query.shape, key.shape, value.shape]


def test_the_watch_sees_what_it_is_for():
    x = torch.zeros(3, device="meta")
    forbidden = (
        lambda: torch.tensor([1], device="meta"), lambda: x.to("cpu"), x.nonzero, x[0].item,
        lambda: torch.zeros(3).to("meta"), lambda: bool(x[0]),
    )  # fmt: skip
    for call in forbidden:
        with Watch(), pytest.raises(AssertionError, match="in a launcher"):
            call()
    assert torch.tensor([1]).item() == 1


def test_steps_ask_the_device_nothing(launched):
    query_ids, key_ids = (torch.zeros(1, 2, n, dtype=torch.int32) for n in (1, 50))
    cache = torch.empty(2, HEADS, 50, DIM)
    qkv = (cache[:, :, :1], cache, cache)
    geometry = geometry_of(*qkv, query_ids, key_ids, None, (3, None), 1, True, 0, None, None)
    scale = LogScale(torch.ones(HEADS))
    packed = ops.arguments(*qkv, ENCODINGS["table"](), geometry, scale, "triton")[:-1]
    query, key, value, *rest = [to_meta(x) for x in (*packed, False, False)]
    order = steps.Order(to_meta(key_ids), to_meta(key_ids))
    column = torch.zeros(1, dtype=torch.int32, device="meta")
    steps.step(fused._problem(rest), query, key, value, order, column)
    with Watch():
        steps.step(fused._problem(rest), query, key, value, order, column)
    assert launched == ["step_count", "step"] * 2


def test_numbers_of_the_host_are_kept_for_good():
    """A captured graph reads them at every replay, however many other calls there were since."""
    first = plans.device_numbers((1, 2, 3), torch.int32, torch.device("cpu"))
    for n in range(1000):
        plans.device_numbers((n,), torch.int64, torch.device("cpu"))
    assert plans.device_numbers((1, 2, 3), torch.int32, torch.device("cpu")) is first
