"""What a CUDA graph forbids, looked for without a GPU: the launchers run on tensors without data.

Meta tensors have shapes but no numbers: asking for one raises, and so does mixing them with tensors
of the host. Kernels are stand-ins that look at what they are given.
"""

import re
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from kernel_cases import DIM, ENCODINGS, GENERAL, HEADS, ORDERS, asked, some_of
from torch.utils._python_dispatch import TorchDispatchMode

from arithtf.attention import LogScale
from arithtf.attention.call import Flat
from arithtf.kernels import configs, fields, gradient, launch, steps, whole
from arithtf.kernels import plan as plans

ROOT = Path(__file__).resolve().parents[2]
MODULES = ("forward", "backward", "table", "rotary", "short", "split", "sums", "decode")
FORMS = ("general", "short", "split")
ALL = {
    (f, e, o)
    for f in FORMS
    for e in ENCODINGS
    for o in ORDERS
    if f == "general" or e not in GENERAL
}
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


TEXT = "".join(path.read_text() for path in (ROOT / "kernels" / "triton").glob("*.py"))
PARAMETERS = {
    name: re.findall(r"(\w+)(?:: tl\.constexpr)?,?\s", given + " ")
    for name, given in re.findall(r"@triton\.jit\ndef (\w+)\((.*?)\):", TEXT, re.DOTALL)
}


class StandIn:
    """In the place of a kernel: takes tensors of the device and numbers of the host."""

    def __init__(self, name, launched):
        self.name, self.launched = name, launched
        self.arg_names = PARAMETERS.get(name)

    def __getattr__(self, name):
        return StandIn(name, self.launched)

    def __getitem__(self, grid):
        assert all(type(n) is int for n in grid)

        def run(**given):
            self.launched.append(self.name)
            assert {*self.arg_names} <= {*given} <= {*self.arg_names, "num_warps", "num_stages"}
            for value in given.values():
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


def without_data(*given, **call):
    """A call whose tensors are on no device."""
    return Flat._make(map(to_meta, asked(*given, **call).flat())).call()


def call_of(encoding, order, length):
    """The call of a case, without data."""
    call = ORDERS[order](length, torch.Generator().manual_seed(0))
    key = torch.empty(2, HEADS, length, DIM)
    call.setdefault("scale", LogScale(torch.ones(HEADS)))
    query = key[:, :, call.get("query_start", 0) :]
    return without_data(query, key, key, ENCODINGS[encoding](), **call)


@pytest.mark.parametrize(("form", "encoding", "order"), some_of(CASES, MORE))
def test_launchers_ask_the_device_nothing(encoding, order, form, launched):
    call = call_of(encoding, order, 100 if form == "split" else 60)
    grad = torch.empty_like(call.query)

    def once():
        if form == "general":
            out, lse, kept = launch.forward(call)
            wanted = [True] * len(call.mechanism.tensors())
            return gradient.backward(call, out, lse, kept, grad, wanted)
        assert whole.kernel_of(call) == form
        out, lse, kept = whole.forward(call, form)
        return whole.backward(call, form, out, lse, kept, grad)

    once()  # what is kept on the device is made in the first call
    first, launched[:] = list(launched), []
    with Watch():
        found = once()
    assert launched == first
    assert ("split_backward" in launched) == (form == "split")
    assert [x.shape for x in found[:3]] == [x.shape for x in call[:3]]


def test_the_watch_sees_what_it_is_for():
    x = torch.zeros(3, device="meta")
    forbidden = (
        lambda: torch.tensor([1], device="meta"),
        lambda: x.to("cpu"),
        x.nonzero,
        x[0].item,
        lambda: torch.zeros(3).to("meta"),
        lambda: bool(x[0]),
    )
    for call in forbidden:
        with Watch(), pytest.raises(AssertionError, match="in a launcher"):
            call()
    assert torch.tensor([1]).item() == 1


def test_steps_ask_the_device_nothing(launched):
    query_ids, key_ids = (torch.zeros(1, 2, n, dtype=torch.int32) for n in (1, 50))
    cache, scale = torch.empty(2, HEADS, 50, DIM), LogScale(torch.ones(HEADS))
    where = {"query_ids": query_ids, "key_ids": key_ids, "windows": (3, None), "sinks": 1}
    given = (cache[:, :, :1], cache, cache, ENCODINGS["table"](), scale)
    call = without_data(*given, **where)
    rows, ids = to_meta([key_ids, key_ids])
    column = torch.zeros(1, dtype=torch.int32, device="meta")
    steps.step(call, rows, ids, column)
    with Watch():
        steps.step(call, rows, ids, column)
    assert launched == ["step_count", "step"] * 2


def test_numbers_of_the_host_are_kept_for_good():
    """A captured graph reads them at every replay, however many other calls there were since."""
    first = plans.device_numbers((1, 2, 3), torch.int32, torch.device("cpu"))
    for n in range(1000):
        plans.device_numbers((n,), torch.int64, torch.device("cpu"))
    assert plans.device_numbers((1, 2, 3), torch.int32, torch.device("cpu")) is first
