"""`python -m bench.attention`: fused attention on a GPU beside its rivals, on the same inputs.

Rivals: FlexAttention compiled (with and without a gradient of the table), scaled dot products with
the bias written out, the same without bias as a ceiling; a large matrix product and a copy are the
machine's own limits. Needs a CUDA device. `--part` runs one group of shapes; `--dry` runs all of it
once on tiny inputs on the CPU (kernels interpreted: set TRITON_INTERPRET=1), to see that it runs.
"""

from __future__ import annotations

import argparse
import itertools
import json
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from bench.checkout import ensure_kernels
from bench.registry import ROOT, Row, facts

REACH = 32
# batch, heads, tokens, head dim
SHAPES: dict[str, list[tuple[int, int, int, int]]] = {
    "training": [(4096, 4, 32, 16), (4096, 4, 64, 16), (2048, 4, 128, 32), (1024, 4, 256, 64)],
    "classic": [(16, 16, 512, 64), (4, 16, 4096, 64), (4, 16, 4096, 128), (1, 16, 32768, 64)],
    "windowed": [(1, 4, 10**5, 64), (1, 4, 10**6, 64), (1, 1, 10**7, 64)],
}
DRY = [(1, 2, 48, 16)]
# Above this many scores a dense rival takes too long or too much memory.
DENSE_LIMIT = 2**34
# Seconds that the repeats of one call may take; a slow rival is not to use up a part's time.
BUDGET = 1.0


def seconds(call: Callable[[], object], repeats: int = 10) -> float:
    """Median time of a call on the GPU, after two to warm up; of one call without a GPU.

    Args:
        repeats: at most, and fewer where they would take longer than BUDGET.
    """
    if not torch.cuda.is_available():
        began = time.perf_counter()
        call()
        return time.perf_counter() - began
    call()
    torch.cuda.synchronize()
    began = time.perf_counter()
    call()
    torch.cuda.synchronize()
    fitting = BUDGET / (time.perf_counter() - began)
    times = []
    for _ in range(max(1, min(repeats, int(fitting)))):
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        start.record()
        call()
        end.record()
        torch.cuda.synchronize()
        times.append(start.elapsed_time(end) / 1000)
    return sorted(times)[len(times) // 2]


def limits(device: str) -> tuple[float, float]:
    """TFLOP/s of a large bf16 product, GB/s of a copy (read and write)."""
    side, size = (8192, 2**30) if device == "cuda" else (64, 2**10)
    a = torch.randn(side, side, device=device, dtype=torch.bfloat16)
    product = 2 * side**3 / seconds(lambda: a @ a) / 1e12
    source = torch.empty(size, device=device, dtype=torch.uint8)
    target = torch.empty_like(source)
    return product, 2 * size / seconds(lambda: target.copy_(source)) / 1e9


def both_ways(function: Callable[..., Tensor], inputs: Sequence[Tensor]) -> Callable[[], object]:
    """A call of function and of its backward."""
    grad = torch.randn_like(inputs[0])

    def call() -> object:
        return torch.autograd.grad(function(*inputs), [x for x in inputs if x.requires_grad], grad)

    return call


def contenders(
    shape: tuple[int, int, int, int], window: bool, device: str, compiled: bool
) -> Iterator[tuple[str, Callable[..., Tensor], list[Tensor]]]:
    """Name, function and inputs of each contender that is able to run a shape.

    Args:
        compiled: those that torch.compile makes; if not, the others.
    """
    from arithtf.attention import BiasTable, Positions, attention

    batch, heads, tokens, dim = shape
    q, k, v = (
        torch.randn(
            batch, heads, tokens, dim, device=device, dtype=torch.bfloat16, requires_grad=True
        )
        for _ in range(3)
    )
    table = torch.randn(heads, 2 * REACH + 1, device=device, requires_grad=True)
    positions = Positions(windows=REACH if window else None)

    def ours(q: Tensor, k: Tensor, v: Tensor, table: Tensor) -> Tensor:
        return attention(q, k, v, positions, mechanism=BiasTable(table), impl="triton")

    def bare(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        return attention(q, k, v, positions, impl="triton")

    scores = batch * heads * tokens * tokens
    if compiled:
        if scores <= DENSE_LIMIT:
            yield "flex", _flex(device), [q, k, v, table]
            yield "flex, fixed table", _flex(device), [q, k, v, table.detach()]
        return
    yield "ours", ours, [q, k, v, table]
    yield "ours, no bias", bare, [q, k, v]
    if scores > DENSE_LIMIT:
        return
    yield (
        "sdpa, no bias",
        lambda q, k, v: F.scaled_dot_product_attention(q, k, v, is_causal=True),
        [q, k, v],
    )
    if scores <= DENSE_LIMIT // 4:
        yield "sdpa, dense bias", _dense_bias, [q, k, v, table]


def _dense_bias(q: Tensor, k: Tensor, v: Tensor, table: Tensor) -> Tensor:
    at = torch.arange(q.shape[2], device=q.device)
    difference = at[None, :] - at[:, None]
    bias = table[:, difference.clamp(-REACH, REACH) + REACH].to(q.dtype)
    bias = bias.masked_fill(difference > 0, float("-inf"))
    return F.scaled_dot_product_attention(q, k, v, attn_mask=bias[None])


def _flex(device: str) -> Callable[..., Tensor]:
    """FlexAttention, compiled on a GPU when it is first called."""
    kept: list[Any] = []

    def call(q: Tensor, k: Tensor, v: Tensor, table: Tensor) -> Tensor:
        from torch.nn.attention.flex_attention import create_block_mask, flex_attention

        if not kept:
            # Of what was compiled for other shapes, or the limit on compilations is reached.
            torch.compiler.reset()
            compiled = torch.compile(flex_attention, dynamic=False)
            tokens = q.shape[2]
            mask = create_block_mask(
                lambda b, h, i, j: i >= j, None, None, tokens, tokens, device=device
            )
            kept.extend((compiled if device == "cuda" else flex_attention, mask))
        function, mask = kept

        def score(s: Tensor, b: Tensor, h: Tensor, i: Tensor, j: Tensor) -> Tensor:
            return s + table[h, (j - i).clamp(-REACH, REACH) + REACH]

        out: Tensor = function(q, k, v, score_mod=score, block_mask=mask)
        return out

    return call


def measure(parts: Iterable[str], device: str = "cuda") -> Iterator[Row]:
    """Rows: time forward and forward + backward, TFLOP/s or GB/s, fraction of the limit, memory.

    A contender that fails has a row that says how. First those of all shapes that compile fast, so
    that a time limit costs the rest alone.

    Args:
        parts: groups of shapes.
        device: "cpu" runs tiny shapes once, which measures nothing.
    """
    ensure_kernels()
    product, copy = limits(device)
    yield {"who": "limits", "tflops": product, "gbps": copy}
    shapes = [(p, s) for p in parts for s in (SHAPES[p] if device == "cuda" else DRY)]
    for compiled, (part, shape) in itertools.product((False, True), shapes):
        for who, function, inputs in contenders(shape, part == "windowed", device, compiled):
            row: Row = {"part": part, "shape": "x".join(map(str, shape)), "who": who}
            try:
                row |= _row(part, shape, function, inputs, product, copy)
            except Exception as error:  # of a rival, its compiler, or the driver
                message = (str(error).splitlines() or [""])[0]
                row["error"] = f"{type(error).__name__}: {message}"[:120]
            yield row


def _row(
    part: str,
    shape: tuple[int, int, int, int],
    function: Callable[..., Tensor],
    inputs: list[Tensor],
    product: float,
    copy: float,
) -> Row:
    """Times of one contender on one shape."""
    batch, heads, tokens, dim = shape
    gpu = inputs[0].device.type == "cuda"
    before = 0
    if gpu:
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
    with torch.no_grad():
        forward = seconds(partial(function, *inputs))
    whole = seconds(both_ways(function, inputs))
    peak = torch.cuda.max_memory_allocated() - before if gpu else 0
    row: Row = {"forward_ms": 1e3 * forward, "both_ms": 1e3 * whole, "peak_mb": peak / 2**20}
    # Causal: half of the scores; backward costs two and a half forwards.
    operations = 2 * batch * heads * tokens * tokens * dim
    if part == "classic":
        speed = operations / forward / 1e12
        return row | {
            "tflops": speed,
            "both_tflops": 3.5 * operations / whole / 1e12,
            "of_limit": speed / product,
        }
    gbps = 4 * batch * heads * tokens * dim * 2 / forward / 1e9
    return row | {"gbps": gbps, "of_limit": gbps / copy}


def main(arguments: Sequence[str] | None = None) -> int:
    """Print rows of the chosen groups as they are measured, one JSON object a line."""
    parser = argparse.ArgumentParser(prog="python -m bench.attention", description=__doc__)
    parser.add_argument("--part", nargs="*", choices=list(SHAPES), default=list(SHAPES))
    parser.add_argument("--write", action="store_true", help="append rows to bench/results/")
    parser.add_argument("--dry", action="store_true", help="tiny inputs on the CPU, once")
    options = parser.parse_args(arguments)
    device = "cpu" if options.dry else "cuda"
    if not options.dry and not torch.cuda.is_available():
        print("expected a CUDA device, got none; run this on a machine with a GPU", file=sys.stderr)
        return 2
    for row in measure(options.part, device):
        line = json.dumps({"benchmark": "attention", **row, **facts()})
        print(line, flush=True)
        if options.write:
            with (ROOT / "results" / "attention.jsonl").open("a", encoding="utf-8") as file:
                file.write(line + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
