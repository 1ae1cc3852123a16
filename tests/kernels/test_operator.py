"""The registered operator: opcheck, torch.compile, errors, and what `auto` takes."""

import dataclasses
import subprocess
import sys

import pytest
import torch
from kernel_cases import DIM, ENCODINGS, HEADS, asked, attend, leaves
from torch import Tensor
from torch._dynamo.backends.debugging import aot_eager

from arithtf.attention import NONE, Alibi, BiasTable, LogScale, Rotary, attention, explain


def qkv(length=20, **options):
    torch.manual_seed(0)
    return [torch.randn(2, HEADS, length, DIM, **options) for _ in range(3)]


@pytest.mark.usefixtures("both")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("windows", [(None,), (2,)])
def test_opcheck(windows):
    table = torch.randn(HEADS, 5, requires_grad=True)
    scale = torch.rand(HEADS, requires_grad=True)
    documents = torch.arange(20, dtype=torch.int32)[None] // 7
    positions = {"windows": windows, "sinks": 1, "documents": documents}
    call = asked(*qkv(requires_grad=True), BiasTable(table), scale, **positions)
    torch.library.opcheck(torch.ops.arithtf.fused, call.flat())


@pytest.mark.usefixtures("both")
def test_compiled_whole_equals_eager():
    slopes = torch.rand(HEADS, requires_grad=True)

    def call(q, k, v, slopes):
        return attend(q, k, v, Alibi(slopes), windows=4, sinks=1)

    compiled = torch.compile(call, fullgraph=True, backend="aot_eager")
    inputs = [*qkv(requires_grad=True), slopes]
    one, two = call(*inputs), compiled(*inputs)
    weight = torch.randn(one.shape)
    first = torch.autograd.grad(one, inputs, weight)
    second = torch.autograd.grad(two, inputs, weight)
    assert torch.equal(one, two)
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


@pytest.mark.usefixtures("both")
@pytest.mark.parametrize("name", ["t5", "kerple log", "disentangled", "fire"])
def test_compiled_once_for_all_ids(name):
    """Ids, documents and parameters are data: other ones take the same graph, gradients too."""
    names = [f.name for f in dataclasses.fields(ENCODINGS[name]())]
    torch.manual_seed(0)
    mechanism = ENCODINGS[name]()
    parameters = {n: leaves(p) for n in names if isinstance(p := getattr(mechanism, n), Tensor)}
    inputs = [*qkv(requires_grad=True), *parameters.values(), torch.rand(HEADS).requires_grad_()]
    graphs = []

    def call(ids, documents, q, k, v, *rest):
        filled = dataclasses.replace(mechanism, **dict(zip(parameters, rest, strict=False)))
        where = {"query_ids": ids, "key_ids": ids, "windows": (4, None), "documents": documents}
        return attend(q, k, v, filled, LogScale(rest[-1]), sinks=1, **where)

    def backend(graph, example):
        graphs.append(graph)
        return aot_eager(graph, example)

    compiled = torch.compile(call, fullgraph=True, backend=backend)
    for seed in range(2):
        rng = torch.Generator().manual_seed(seed)
        ids = torch.randint(-5, 5, (2, 2, 20), dtype=torch.int32, generator=rng)
        documents = torch.randint(0, 2, (2, 20), generator=rng).cumsum(1).to(torch.int32)
        found = []
        for function in (call, compiled):
            out = function(ids, documents, *inputs)
            found.append([out, *torch.autograd.grad(out.square().sum(), inputs)])
        assert all(torch.equal(a, b) for a, b in zip(*found, strict=True))
    assert len(graphs) == 1


@pytest.mark.usefixtures("both")
def test_only_wanted_gradients():
    table = torch.randn(HEADS, 5)
    q, k, v = qkv(requires_grad=True)
    out = attention(q, k, v, mechanism=BiasTable(table), impl="triton")
    assert torch.autograd.grad(out.sum(), [v])[0].shape == v.shape
    with torch.no_grad():
        assert not attention(q, k, v, impl="triton").requires_grad


@pytest.mark.usefixtures("both")
def test_nothing_to_do():
    q, k, v = (x[:0].requires_grad_() for x in qkv())
    out = attention(q, k, v, impl="triton")
    assert out.shape == q.shape
    out.sum().backward()
    assert q.grad.shape == q.shape


@pytest.mark.usefixtures("both")
@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"dtype": torch.float64}, "expected float32, bfloat16 or float16, got torch.float64"),
        ({"dim": 320}, "expected a head dimension up to 256 in torch.float32, got 320"),
        ({"mechanism": "learned rotary"}, "expected fixed tensors of Rotary"),
    ],
)
def test_what_kernels_cannot_do(change, says):
    tensors = [torch.zeros(1, HEADS, 4, change.get("dim", DIM), dtype=change.get("dtype"))] * 3
    mechanism = change.get("mechanism", NONE)
    if mechanism == "learned rotary":
        mechanism = Rotary(torch.ones(DIM // 2, requires_grad=True))
    with pytest.raises(RuntimeError, match=f"impl='triton' cannot run: .*{says}.*impl='reference'"):
        attention(*tensors, mechanism=mechanism, impl="triton")


def test_without_interpreter_or_gpu(monkeypatch):
    monkeypatch.delenv("TRITON_INTERPRET", raising=False)
    with pytest.raises(RuntimeError, match=r"impl='triton' cannot run: .*Use impl='auto'"):
        attention(*qkv(), impl="triton")
    assert explain(*qkv()).impl != "triton"


def test_importing_arithtf_leaves_triton_alone():
    code = "import sys, arithtf, arithtf.attention; assert 'triton' not in sys.modules"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
