"""The registered operator, its gradients, the choice of an implementation, and the errors."""

import inspect
import subprocess
import sys
from dataclasses import dataclass
from types import MappingProxyType

import pytest
import torch

import arithtf
from arithtf.attention import (
    NONE,
    Alibi,
    BiasTable,
    BucketBias,
    Choice,
    Content,
    Fire,
    Kerple,
    LogScale,
    Mechanism,
    Positions,
    Rotary,
    attention,
    explain,
)
from arithtf.attention.call import checked
from arithtf.attention.mechanism import MECHANISMS

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
        late = Positions(IDS[..., 2:], IDS, windows=((3, 2),), sinks=1, query_start=2)
        return attention(query[:, :, 2:], key, value, late, mechanism=maker(*tensors), scale=whole)

    leaves = [x.clone().requires_grad_() for x in inputs]
    if scaled == "constant":
        leaves[3].requires_grad_(False)
    assert torch.autograd.gradcheck(run, leaves, fast_mode=True)


WINDOWED = Positions(IDS, IDS, windows=((3, 2),), sinks=1)


def packed(name, dtype, impl, requires_grad, scale=0.5):
    maker, parameters = MAKERS[name]
    leaves = [x.to(dtype) for x in (random(B, H, T, D), random(B, H, T, D), random(B, H, T, D))]
    leaves = [x.requires_grad_(requires_grad) for x in leaves]
    tensors = [x.to(dtype).clone().requires_grad_(requires_grad) for x in parameters]
    call = checked(*leaves, WINDOWED, mechanism=maker(*tensors), scale=scale, impl=impl)
    return call.flat(), [*leaves, *tensors]


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
    mechanism = maker(*fresh[3:])
    plain = attention(*fresh[:3], WINDOWED, mechanism=mechanism, scale=0.5, impl="reference")
    want = torch.autograd.grad(plain.square().sum(), fresh)
    assert torch.equal(out, plain)
    for a, b in zip(got, want, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("impl", ["reference", "cpu"])
def test_full_graph_compile_equals_eager(impl):
    query, key, value = (random(B, H, T, D).float() + i for i in range(3))
    table = BiasTable(random(H, 5).float())

    def run(query, key, value):
        positions = Positions(IDS, IDS, windows=(2,), sinks=1)
        return attention(query, key, value, positions, mechanism=table, impl=impl)

    torch._dynamo.reset()
    compiled = torch.compile(run, fullgraph=True, backend="aot_eager")
    torch.testing.assert_close(compiled(query, key, value), run(query, key, value))


def test_full_graph_compile_of_the_backward():
    arguments, leaves = packed("table", torch.float32, "reference", True)

    def run(query, key, value, table):
        given = {"query": query, "key": key, "value": value, "tensors": [table]}
        return torch.ops.arithtf.attention(*arguments._replace(**given))

    torch._dynamo.reset()
    compiled = torch.compile(run, fullgraph=True, backend="aot_eager")
    want = torch.autograd.grad(run(*leaves).square().sum(), leaves)
    got = torch.autograd.grad(compiled(*leaves).square().sum(), leaves)
    for a, b in zip(got, want, strict=True):
        torch.testing.assert_close(a, b)


def qkv(dtype=torch.float32, **options):
    return [torch.ones(B, H, T, D, dtype=dtype, **options) for _ in range(3)]


def test_auto_says_what_it_takes():
    near = Positions(windows=2)
    assert explain(*qkv(), near).impl == "cpu"
    for reason, tensors, positions, call in (
        ("window", qkv(), None, {}),
        ("float32", qkv(torch.float64), near, {}),
        ("gradients", qkv(requires_grad=True), near, {}),
        (
            "one of NoMechanism, BiasTable, Alibi, got Rotary",
            qkv(),
            near,
            {"mechanism": Rotary.from_base(D)},
        ),
    ):
        choice = explain(*tensors, positions, **call)
        assert choice.impl == "reference"
        assert reason in choice.reason
        with pytest.raises(ValueError, match=f"impl='cpu' cannot run: .*{reason}.*use impl="):
            attention(*tensors, positions, **call, impl="cpu")
    with torch.no_grad():
        assert explain(*qkv(requires_grad=True), near).impl == "cpu"


def test_triton_says_what_is_missing(monkeypatch):
    monkeypatch.delenv("TRITON_INTERPRET", raising=False)  # with it, kernels run on a CPU as well
    with pytest.raises(RuntimeError, match=r"impl=.triton. cannot run: .*impl=.reference."):
        attention(*qkv(), impl="triton")


def test_import_leaves_triton_alone():
    code = "import sys, arithtf.attention; assert 'triton' not in sys.modules"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


LONG = IDS.long()


@pytest.mark.parametrize(
    ("given", "error", "says"),
    [
        ({"windows": (1, 2)}, ValueError, r"2 windows for 1 levels; .*windows=\(\(1, 2\),\)"),
        ({"windows": (-1,)}, ValueError, "window of None"),
        ({"windows": -1}, ValueError, "window of None"),
        ({"head_levels": [0]}, ValueError, "head_levels of 2 numbers"),
        ({"head_levels": [0, 1]}, ValueError, "in 0..0"),
        ({"query_start": 1}, ValueError, "within the 6 keys"),
        ({"query_start": -1}, ValueError, "sinks and query_start >= 0"),
        ({"sinks": -1}, ValueError, "sinks and query_start >= 0"),
        ({"query_ids": IDS}, ValueError, "pass both"),
        ({"key_ids": IDS}, ValueError, "pass both"),
        ({"query_ids": IDS.float(), "key_ids": IDS}, TypeError, "int32"),
        ({"query_ids": IDS.tolist(), "key_ids": IDS}, TypeError, "got list"),
        ({"query_ids": LONG + 2**40, "key_ids": IDS}, ValueError, "within int32"),
        ({"query_ids": IDS, "key_ids": LONG - 1}, ValueError, r"-2147483649 to 3; give ids"),
        ({"query_ids": IDS[:, 0], "key_ids": IDS[:, 0]}, ValueError, r"ids\[:, None\] for a batch"),
        ({"query_ids": IDS.expand(2, 2, T), "key_ids": IDS}, ValueError, "as many levels"),
        ({"query_ids": IDS[..., 1:], "key_ids": IDS}, ValueError, "query_ids"),
        ({"query_ids": IDS.to("meta"), "key_ids": IDS}, ValueError, "query_ids on cpu, got meta"),
        ({"documents": IDS}, ValueError, "documents"),
        ({"prefix": torch.ones(3, dtype=torch.int32)}, ValueError, "prefix"),
    ],
)
def test_errors_of_positions(given, error, says):
    with pytest.raises(error, match=says):
        attention(*qkv(), Positions(**given))


@pytest.mark.parametrize(
    ("call", "error", "says"),
    [
        ({"impl": "fast"}, ValueError, "one of .*'fast'"),
        ({"positions": IDS}, TypeError, "Positions, got Tensor"),
        ({"mechanism": BiasTable(torch.ones(3, 5))}, ValueError, r"H = 2, got \[3, 5\]"),
        ({"mechanism": torch.ones(3)}, TypeError, "mechanism of arithtf"),
        ({"scale": torch.ones(3)}, ValueError, "one per head"),
        ({"scale": "big"}, TypeError, "scale"),
    ],
)
def test_errors_say_what_was_expected(call, error, says):
    with pytest.raises(error, match=says):
        attention(*qkv(), **call)


@pytest.mark.parametrize(
    ("given", "same"),
    [
        ({"query_ids": LONG, "key_ids": LONG}, {}),
        ({"query_ids": LONG, "key_ids": IDS}, {}),
        ({"windows": (2,)}, {"windows": 2}),
        ({"windows": ((2, 2),)}, {"windows": 2}),
        ({"windows": (None,)}, {"windows": None}),
        (
            {"query_ids": IDS[:1, 0], "key_ids": IDS[:1, 0]},
            {"query_ids": IDS[:1], "key_ids": IDS[:1]},
        ),
        (
            {"query_ids": IDS[0, 0], "key_ids": IDS[0, 0]},
            {"query_ids": IDS[:1], "key_ids": IDS[:1]},
        ),
        (
            {"query_ids": IDS[:, 0], "key_ids": IDS[:, 0], "windows": (2, 3)},
            {"query_ids": IDS[:, 0][None], "key_ids": IDS[:, 0][None], "windows": (2, 3)},
        ),
        ({"documents": torch.arange(T) // 3}, {"documents": (torch.arange(T).int() // 3)[None]}),
        ({"prefix": torch.tensor([0, 4])}, {"prefix": torch.tensor([0, 4]).int()}),
    ],
)
def test_what_is_meant_alike(given, same):
    """Friendly spellings give what the plain one gives: int32 [B or 1, L, T], a window a level."""
    tensors = [random(B, H, T, D).float() + i for i in range(3)]
    usual = {"query_ids": IDS, "key_ids": IDS, "sinks": 1}
    found = [attention(*tensors, Positions(**usual | made)) for made in (given, same)]
    assert torch.equal(*found)


def test_ids_of_64_bits_in_a_graph():
    """Converted there too, and not silently cut: a graph asserts."""

    def run(query, ids):
        return attention(query, query, query, Positions(ids, ids, windows=2), impl="reference")

    torch._dynamo.reset()
    compiled = torch.compile(run, fullgraph=True, backend="aot_eager")
    query = random(B, H, T, D)
    torch.testing.assert_close(compiled(query, LONG), run(query, IDS))
    with pytest.raises(RuntimeError, match="within int32"):
        compiled(query, LONG + 2**40)


def test_a_mechanism_of_one_s_own():
    """Known by its formula alone: the reference runs it, what needs more says so."""

    @dataclass(frozen=True)
    class Sooner(Mechanism):
        """The nearer the higher, by a number per head."""

        rates: torch.Tensor
        shapes = MappingProxyType({"rates": "H"})

        def bias(self, differences, acting, positions):
            return torch.where(acting, -self.rates[:, None, None] * differences.abs(), 0.0)

    leaves = [x.float().requires_grad_() for x in (random(B, H, T, D), random(H).abs())]
    query, rates = leaves
    found, expected = (
        attention(query, query, query, WINDOWED, mechanism=kind(rates)) for kind in (Sooner, Alibi)
    )
    torch.testing.assert_close(found, expected)
    flat = checked(query, query, query, WINDOWED, mechanism=Sooner(rates), impl="reference").flat()
    gradients = [
        torch.autograd.grad(out.square().sum(), leaves)
        for out in (expected, torch.ops.arithtf.attention(*flat))
    ]
    for a, b in zip(*gradients, strict=True):
        torch.testing.assert_close(a, b)
    with torch.no_grad(), pytest.raises(ValueError, match="Alibi, got Sooner"):
        attention(query, query, query, WINDOWED, mechanism=Sooner(rates), impl="cpu")
    del MECHANISMS["Sooner"]


@pytest.mark.parametrize("function", [attention, explain, arithtf.attention])
def test_signatures_are_the_real_ones(function):
    form = inspect.signature(function)
    assert list(form.parameters) == [
        "query",
        "key",
        "value",
        "positions",
        "mechanism",
        "scale",
        "impl",
    ]
    assert form.parameters["positions"].annotation == Positions | None
    assert form.return_annotation is (Choice if function is explain else torch.Tensor)
    assert "positions: ids, windows" in attention.__doc__


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
