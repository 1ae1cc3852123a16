"""The registered operator, its gradients, the choice of an implementation, and the errors."""

import subprocess
import sys

import pytest
import torch

from arithtf.attention import (
    NONE,
    Alibi,
    BiasTable,
    BucketBias,
    Content,
    Fire,
    Kerple,
    LogScale,
    Rotary,
    attention,
    explain,
    ops,
)
from arithtf.attention.geometry import Geometry

B, H, T, D = 2, 2, 6, 4
IDS = torch.tensor([[[4, 2, 0, 1, 3, 2]], [[0, 1, 2, 3, 4, -(2**31)]]], dtype=torch.int32)


def random(*shape):
    generator = torch.Generator().manual_seed(sum(shape))
    return torch.randn(*shape, dtype=torch.float64, generator=generator)


# Kinks (|x|, relu, max) are kept away from: gradcheck needs a neighbourhood without them.
MAKERS = {
    "none": (lambda: NONE, ()),
    "table": (BiasTable, (random(H, 5),)),
    "t5": (lambda t: BucketBias(t, 8), (random(H, 4),)),
    "alibi": (Alibi, (random(H),)),
    "kerple log": (Kerple, (random(H).abs() + 0.1, random(H).abs() + 0.2)),
    "kerple power": (
        lambda a, b: Kerple(a, b, "power"),
        (random(H).abs() + 0.1, random(H).abs() + 0.2),
    ),
    "fire": (
        Fire,
        (random(5), random(5), random(H, 5), random(H), random(1)[0].abs(), random(1)[0] * 0 + 2.5),
    ),
    "shaw": (lambda k: Content(None, k), (random(H, 5, D),)),
    "p2c": (lambda q: Content(q, None), (random(H, 5, D),)),
    "disentangled": (Content, (random(H, 5, D), random(H, 5, D) + 1)),
    "rotary": (Rotary, (torch.tensor([1.0, 0.1], dtype=torch.float64),)),
}


@pytest.mark.parametrize("scaled", ["constant", "head", "log"])
@pytest.mark.parametrize("name", MAKERS)
def test_gradcheck(name, scaled):
    maker, parameters = MAKERS[name]
    inputs = [random(B, H, T, D), random(B, H, T, D) * 0.7, random(B, H, T, D) + 1]
    inputs += [random(H).abs() + 0.2, *parameters]

    def run(query, key, value, scale, *tensors):
        whole = {"constant": 0.5, "head": scale, "log": LogScale(scale)}[scaled]
        return attention(
            query[:, :, 2:], key, value, mechanism=maker(*tensors), query_ids=IDS[..., 2:],
            key_ids=IDS, windows=((3, 2),), sinks=1, query_start=2, scale=whole,
        )  # fmt: skip

    leaves = [x.clone().requires_grad_() for x in inputs]
    if scaled == "constant":
        leaves[3].requires_grad_(False)
    assert torch.autograd.gradcheck(run, leaves, fast_mode=True)


def packed(name, dtype, impl, requires_grad, scale=0.5):
    maker, parameters = MAKERS[name]
    leaves = [x.to(dtype) for x in (random(B, H, T, D), random(B, H, T, D), random(B, H, T, D))]
    leaves = [x.requires_grad_(requires_grad) for x in leaves]
    tensors = [x.to(dtype).clone().requires_grad_(requires_grad) for x in parameters]
    geometry = Geometry(IDS, IDS, (0, 0), ((3, 2),), 1, True, 0, None, None)
    return ops.arguments(*leaves, maker(*tensors), geometry, scale, impl), [*leaves, *tensors]


@pytest.mark.parametrize("name", ["none", "table", "kerple log", "disentangled"])
def test_opcheck_reference(name):
    arguments, _ = packed(name, torch.float64, "reference", True)
    torch.library.opcheck(torch.ops.arithtf.attention.default, arguments)


@pytest.mark.parametrize("scale", [0.5, LogScale(torch.tensor([0.5, 0.2]))])
@pytest.mark.parametrize("name", ["none", "table", "alibi"])
def test_opcheck_cpu(name, scale):
    arguments, _ = packed(name, torch.float32, "cpu", False, scale)
    torch.library.opcheck(torch.ops.arithtf.attention.default, arguments)


@pytest.mark.parametrize("name", MAKERS)
def test_operator_has_the_gradients_of_the_reference(name):
    arguments, leaves = packed(name, torch.float64, "reference", True)
    out = torch.ops.arithtf.attention(*arguments)
    got = torch.autograd.grad(out.square().sum(), leaves)
    _, fresh = packed(name, torch.float64, "reference", True)
    maker, _ = MAKERS[name]
    plain = attention(
        *fresh[:3], mechanism=maker(*fresh[3:]), query_ids=IDS, key_ids=IDS, windows=((3, 2),),
        sinks=1, scale=0.5, impl="reference",
    )  # fmt: skip
    want = torch.autograd.grad(plain.square().sum(), fresh)
    assert torch.equal(out, plain)
    for a, b in zip(got, want, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("impl", ["reference", "cpu"])
def test_full_graph_compile_equals_eager(impl):
    query, key, value = (random(B, H, T, D).float() + i for i in range(3))
    table = BiasTable(random(H, 5).float())

    def run(query, key, value):
        return attention(
            query, key, value, mechanism=table, query_ids=IDS, key_ids=IDS, windows=(2,), sinks=1,
            impl=impl,
        )  # fmt: skip

    torch._dynamo.reset()
    compiled = torch.compile(run, fullgraph=True, backend="aot_eager")
    torch.testing.assert_close(compiled(query, key, value), run(query, key, value))


def test_full_graph_compile_of_the_backward():
    arguments, leaves = packed("table", torch.float32, "reference", True)

    def run(query, key, value, table):
        mechanism = [table]
        return torch.ops.arithtf.attention(query, key, value, *arguments[3:8], mechanism,
                                           *arguments[9:])  # fmt: skip

    torch._dynamo.reset()
    compiled = torch.compile(run, fullgraph=True, backend="aot_eager")
    want = torch.autograd.grad(run(*leaves).square().sum(), leaves)
    got = torch.autograd.grad(compiled(*leaves).square().sum(), leaves)
    for a, b in zip(got, want, strict=True):
        torch.testing.assert_close(a, b)


def qkv(dtype=torch.float32, **options):
    return [torch.ones(B, H, T, D, dtype=dtype, **options) for _ in range(3)]


def test_auto_says_what_it_takes():
    assert explain(*qkv(), windows=(2,)).impl == "cpu"
    for reason, tensors, call in (
        ("window", qkv(), {}),
        ("float32", qkv(torch.float64), {"windows": (2,)}),
        ("gradients", qkv(requires_grad=True), {"windows": (2,)}),
        ("Rotary", qkv(), {"windows": (2,), "mechanism": Rotary.from_base(D)}),
    ):
        choice = explain(*tensors, **call)
        assert choice.impl == "reference"
        assert reason in choice.reason
        with pytest.raises(ValueError, match=f"impl='cpu' cannot run: .*{reason}.*use impl="):
            attention(*tensors, **call, impl="cpu")
    with torch.no_grad():
        assert explain(*qkv(requires_grad=True), windows=(2,)).impl == "cpu"


def test_triton_says_what_is_missing():
    with pytest.raises(RuntimeError, match=r"impl=.triton. cannot run: .*impl=.reference."):
        attention(*qkv(), impl="triton")


def test_import_leaves_triton_alone():
    code = "import sys, arithtf.attention; assert 'triton' not in sys.modules"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize(
    ("call", "error", "says"),
    [
        ({"impl": "fast"}, ValueError, "one of .*'fast'"),
        ({"windows": (1, 2)}, ValueError, "one window per level, got 2 windows for 1"),
        ({"windows": (-1,)}, ValueError, "window of None"),
        ({"head_levels": [0]}, ValueError, "head_levels of 2 numbers"),
        ({"head_levels": [0, 1]}, ValueError, "in 0..0"),
        ({"query_start": 1}, ValueError, "within the 6 keys"),
        ({"sinks": -1}, ValueError, "sinks >= 0"),
        ({"query_ids": IDS}, ValueError, "pass both"),
        ({"query_ids": IDS.long(), "key_ids": IDS}, TypeError, "int32"),
        ({"query_ids": IDS[..., 1:], "key_ids": IDS}, ValueError, "query_ids"),
        ({"documents": IDS}, ValueError, "documents"),
        ({"prefix": torch.ones(3, dtype=torch.int32)}, ValueError, "prefix"),
        ({"mechanism": BiasTable(torch.ones(3, 5))}, ValueError, "2 heads, got 3"),
        ({"mechanism": torch.ones(3)}, TypeError, "mechanism of arithtf"),
        ({"scale": torch.ones(3)}, ValueError, "one per head"),
        ({"scale": "big"}, TypeError, "scale"),
    ],
)
def test_errors_say_what_was_expected(call, error, says):
    with pytest.raises(error, match=says):
        attention(*qkv(), **call)


def test_errors_of_tensors():
    query, key, value = qkv()
    with pytest.raises(ValueError, match="to go with query"):
        attention(query, key[:, :1], value)
    with pytest.raises(ValueError, match=r"\[B, H, T, D\]"):
        attention(query[0], key, value)
    with pytest.raises(TypeError, match="one floating-point dtype"):
        attention(query, key.double(), value)
    with pytest.raises(ValueError, match="odd width"):
        BiasTable(torch.ones(2, 4))
    with pytest.raises(ValueError, match="even head_dim"):
        Rotary.from_base(3)
