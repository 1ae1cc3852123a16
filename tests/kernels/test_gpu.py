"""Tier C: compiled kernels on a GPU, in all dtypes. Run by itself: pytest -m gpu tests/kernels."""

import os
import shutil
import subprocess
import sys

import pytest
import torch
from kernel_cases import ENCODINGS, HEADS, ORDERS, attend, gradients, scale_errors, some_of

from arithtf.attention import BiasTable, LogScale

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
    mechanism = moved({"mechanism": ENCODINGS[encoding]()})["mechanism"]
    start = call.get("query_start", 0)
    # Rounded first, so that all three see the same numbers.
    tensors = [torch.randn(2, HEADS, length, 16).to(dtype).cuda() for _ in range(3)]
    tensors[0] = tensors[0][:, :, start:]
    grad = torch.randn(tensors[0].shape).to(dtype).cuda()
    exact = gradients("reference", tensors, mechanism, call, torch.float64, grad)
    plain = gradients("reference", tensors, mechanism, call, dtype, grad)
    found = gradients("triton", tensors, mechanism, call, dtype, grad)
    # The scale's gradient is one number a head: it has a test of its own.
    compared = list(zip(exact, plain, found, strict=True))
    for want, torchs, ours in compared[:-1] if "scale" in call else compared:
        step = torch.finfo(dtype).eps * want.abs().max().clamp(min=1)
        allowed = 2 * (torchs - want).abs().max() + 2 * step
        assert (ours - want).abs().max() <= allowed


@pytest.mark.parametrize("length", [60, 120, 500])
@pytest.mark.parametrize("dtype", DTYPES)
def test_scale_errs_at_most_twice_as_much_as_torch(dtype, length):
    of_torch, of_ours = scale_errors(length, 64, dtype, "cuda")
    assert of_ours <= 2 * of_torch


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


@pytest.mark.parametrize("length", [60, 120, 200])
def test_captured_graph_replays_with_new_ids(length):
    """A CUDA graph takes forward and backward, and new ids in place give what a new call gives."""
    size = (4, HEADS, length, 32)
    leaves = [
        torch.randn(size, device="cuda", dtype=torch.bfloat16, requires_grad=True) for _ in range(3)
    ]
    table = torch.randn(HEADS, 9, device="cuda", requires_grad=True)
    scale = torch.rand(HEADS, device="cuda", requires_grad=True)
    wanted = [*leaves, table, scale]
    grad = torch.randn_like(leaves[0])
    ids = torch.randint(0, 30, (4, 2, length), device="cuda", dtype=torch.int32)
    documents = torch.zeros(4, length, device="cuda", dtype=torch.int32)

    def step():
        where = {"query_ids": ids, "key_ids": ids, "windows": (5, None), "documents": documents}
        out = attend(*leaves, BiasTable(table), LogScale(scale), sinks=1, **where)
        return [out, *torch.autograd.grad(out, wanted, grad)]

    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        step()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        found = step()
    for seed in range(3):
        rng = torch.Generator(device="cuda").manual_seed(seed)
        ids.copy_(torch.randint(0, 30, ids.shape, device="cuda", generator=rng))
        drawn = torch.randint(0, 8, documents.shape, device="cuda", generator=rng) == 0
        documents.copy_(drawn.cumsum(1))
        graph.replay()
        torch.cuda.synchronize()
        assert all(torch.equal(a, b) for a, b in zip(step(), found, strict=True))


@pytest.mark.parametrize("tool", ["memcheck", "racecheck"])
def test_compute_sanitizer(tool):
    program = shutil.which("compute-sanitizer")
    if program is None:
        pytest.skip("compute-sanitizer is not installed")
    code = (
        "import torch\n"
        "from arithtf.attention import BiasTable, Positions, attention\n"
        "q = [torch.randn(1, 2, 70, 16, device='cuda', requires_grad=True) for _ in range(3)]\n"
        "t = torch.randn(2, 9, device='cuda', requires_grad=True)\n"
        "for w in (None, 3):\n"
        "    p = Positions(windows=w, sinks=1)\n"
        "    o = attention(*q, p, mechanism=BiasTable(t), impl='triton')\n"
        "    o.sum().backward()\n"
    )
    # An allocator that keeps freed memory would hide reads beyond a tensor's end.
    environment = {**os.environ, "PYTORCH_NO_CUDA_MEMORY_CACHING": "1"}
    done = subprocess.run(
        [program, "--tool", tool, "--error-exitcode", "9", sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
        env=environment,
    )
    if "Device not supported" in done.stdout + done.stderr:
        pytest.skip("compute-sanitizer does not support this device, or not in this sandbox")
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
