"""Tier C: compiled kernels on a GPU, in all dtypes. Run by itself: pytest -m gpu tests/kernels."""

import shutil
import subprocess
import sys

import pytest
import torch
from kernel_cases import ENCODINGS, HEADS, ORDERS, gradients, some_of

from arithtf.attention import BiasTable, attention

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device"),
]
DTYPES = [torch.float32, torch.bfloat16, torch.float16]
NAMES = [str(dtype).split(".")[1] for dtype in DTYPES]
LENGTHS = (1, 63, 129, 1000)
ALL = {(e, o, n, d) for e in ENCODINGS for o in ORDERS for n in LENGTHS for d in NAMES}
PAIRS = [(i + j, e, o) for i, e in enumerate(ENCODINGS) for j, o in enumerate(ORDERS)]
CASES = {(e, o, LENGTHS[n % 4], NAMES[(n // 4) % 3]) for n, e, o in PAIRS}
MORE = ALL - CASES


def to_device(x):
    return x.cuda() if isinstance(x, torch.Tensor) else x


def moved(call):
    """A call of `kernel_cases` on the GPU."""
    import dataclasses

    def move(value):
        if dataclasses.is_dataclass(value):
            fields = {f.name: to_device(getattr(value, f.name)) for f in dataclasses.fields(value)}
            return dataclasses.replace(value, **fields)
        return to_device(value)

    return {name: move(value) for name, value in call.items()}


@pytest.mark.parametrize(("encoding", "order", "length", "dtype"), some_of(CASES, MORE))
def test_errs_at_most_twice_as_much_as_torch(encoding, order, dtype, length):
    """Against float64, beside plain torch in the same dtype (rule of flash-attention's tests)."""
    dtype = getattr(torch, dtype)
    torch.manual_seed(length)
    rng = torch.Generator().manual_seed(length)
    call = moved(ORDERS[order](length, rng))
    levels = call["key_ids"].shape[1] if "key_ids" in call else 1
    call.setdefault("windows", (None,) * levels)
    mechanism = moved({"mechanism": ENCODINGS[encoding]()})["mechanism"]
    start = call.get("query_start", 0)
    # Rounded first, so that all three see the same numbers.
    tensors = [torch.randn(2, HEADS, length, 16).to(dtype).cuda() for _ in range(3)]
    tensors[0] = tensors[0][:, :, start:]
    grad = torch.randn(tensors[0].shape).to(dtype).cuda()
    exact = gradients("reference", tensors, mechanism, call, torch.float64, grad)
    plain = gradients("reference", tensors, mechanism, call, dtype, grad)
    found = gradients("triton", tensors, mechanism, call, dtype, grad)
    for number, (want, torchs, ours) in enumerate(zip(exact, plain, found, strict=True)):
        step = torch.finfo(dtype).eps * want.abs().max().clamp(min=1)
        if "scale" in call and number == len(exact) - 1:
            step = 64 * step  # see kernel_cases.check
        allowed = 2 * (torchs - want).abs().max() + 2 * step
        assert (ours - want).abs().max() <= allowed


@pytest.mark.parametrize("dtype", DTYPES)
def test_250_repeats_to_the_bit(dtype):
    torch.manual_seed(0)
    tensors = [torch.randn(8, HEADS, 300, 64, device="cuda", dtype=dtype) for _ in range(3)]
    table = BiasTable(torch.randn(HEADS, 33, device="cuda"))
    drawn = torch.randint(0, 100, (8, 1, 300), device="cuda", dtype=torch.int32)
    call = {"query_ids": drawn, "key_ids": drawn, "windows": (None,), "sinks": 1}
    grad = torch.randn_like(tensors[0])
    first = gradients("triton", tensors, table, call, dtype, grad)
    for _ in range(250):
        again = gradients("triton", tensors, table, call, dtype, grad)
        assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))


def test_captured_graph_replays():
    """No synchronisation and no copy from the host: a CUDA graph takes forward and backward."""
    tensors = [
        torch.randn(4, HEADS, 200, 32, device="cuda", dtype=torch.bfloat16, requires_grad=True)
        for _ in range(3)
    ]
    table = torch.randn(HEADS, 9, device="cuda", requires_grad=True)
    grad = torch.randn_like(tensors[0])

    def step():
        out = attention(*tensors, mechanism=BiasTable(table), windows=(5,), sinks=1, impl="triton")
        return torch.autograd.grad(out, [*tensors, table], grad)

    side = torch.cuda.Stream()
    with torch.cuda.stream(side):
        expected = [g.clone() for g in step()]
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        found = step()
    graph.replay()
    torch.cuda.synchronize()
    assert all(torch.equal(a, b) for a, b in zip(expected, found, strict=True))


@pytest.mark.parametrize("tool", ["memcheck", "racecheck"])
def test_compute_sanitizer(tool):
    program = shutil.which("compute-sanitizer")
    if program is None:
        pytest.skip("compute-sanitizer is not installed")
    code = (
        "import torch\n"
        "from arithtf.attention import BiasTable, attention\n"
        "q = [torch.randn(1, 2, 70, 16, device='cuda', requires_grad=True) for _ in range(3)]\n"
        "t = torch.randn(2, 9, device='cuda', requires_grad=True)\n"
        "for w in (None, 3):\n"
        "    o = attention(*q, mechanism=BiasTable(t), windows=(w,), sinks=1, impl='triton')\n"
        "    o.sum().backward()\n"
    )
    done = subprocess.run(
        [program, "--tool", tool, "--error-exitcode", "9", sys.executable, "-c", code],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-2000:]
