"""`python -m bench.attention`: fused attention on a GPU beside its rivals, on the same inputs.

Rivals: FlexAttention compiled (with and without a gradient of the table), scaled dot products with
the bias written out, the same without bias as a ceiling; a large matrix product and a copy are the
machine's own limits. Needs a CUDA device. `--part` runs one group of shapes.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial

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
# Above this many scores a dense rival takes too long or too much memory.
DENSE_LIMIT = 2**34


def seconds(call: Callable[[], object], repeats: int = 10) -> float:
    """Median time of a call on the GPU, after two to warm up."""
    for _ in range(2):
        call()
    times = []
    for _ in range(repeats):
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        start.record()
        call()
        end.record()
        torch.cuda.synchronize()
        times.append(start.elapsed_time(end) / 1000)
    return sorted(times)[len(times) // 2]


def limits() -> tuple[float, float]:
    """TFLOP/s of a large bf16 product, GB/s of a copy (read and write)."""
    a = torch.randn(8192, 8192, device="cuda", dtype=torch.bfloat16)
    product = 2 * 8192**3 / seconds(lambda: a @ a) / 1e12
    source = torch.empty(2**30, device="cuda", dtype=torch.uint8)
    target = torch.empty_like(source)
    return product, 2 * 2**30 / seconds(lambda: target.copy_(source)) / 1e9


def both_ways(function: Callable[..., Tensor], inputs: Sequence[Tensor]) -> Callable[[], object]:
    """A call of function and of its backward."""
    grad = torch.randn_like(inputs[0])

    def call() -> object:
        return torch.autograd.grad(function(*inputs), [x for x in inputs if x.requires_grad], grad)

    return call


def contenders(
    shape: tuple[int, int, int, int], window: bool
) -> Iterator[tuple[str, Callable[..., Tensor], list[Tensor]]]:
    """Name, function and inputs of each contender that is able to run a shape."""
    from arithtf.attention import BiasTable, attention

    batch, heads, tokens, dim = shape
    q, k, v = (
        torch.randn(
            batch, heads, tokens, dim, device="cuda", dtype=torch.bfloat16, requires_grad=True
        )
        for _ in range(3)
    )
    table = torch.randn(heads, 2 * REACH + 1, device="cuda", requires_grad=True)
    windows = (REACH,) if window else (None,)

    def ours(q: Tensor, k: Tensor, v: Tensor, table: Tensor) -> Tensor:
        return attention(q, k, v, mechanism=BiasTable(table), windows=windows, impl="triton")

    def bare(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        return attention(q, k, v, windows=windows, impl="triton")

    yield "ours", ours, [q, k, v, table]
    yield "ours, no bias", bare, [q, k, v]
    if batch * heads * tokens * tokens > DENSE_LIMIT:
        return
    yield (
        "sdpa, no bias",
        lambda q, k, v: F.scaled_dot_product_attention(q, k, v, is_causal=True),
        [q, k, v],
    )
    if batch * heads * tokens * tokens <= DENSE_LIMIT // 4:
        yield "sdpa, dense bias", _dense_bias, [q, k, v, table]
    yield "flex", _flex(), [q, k, v, table]
    yield "flex, fixed table", _flex(), [q, k, v, table.detach()]


def _dense_bias(q: Tensor, k: Tensor, v: Tensor, table: Tensor) -> Tensor:
    at = torch.arange(q.shape[2], device=q.device)
    difference = at[None, :] - at[:, None]
    bias = table[:, difference.clamp(-REACH, REACH) + REACH].to(q.dtype)
    bias = bias.masked_fill(difference > 0, float("-inf"))
    return F.scaled_dot_product_attention(q, k, v, attn_mask=bias[None])


def _flex() -> Callable[..., Tensor]:
    from torch.nn.attention.flex_attention import BlockMask, create_block_mask, flex_attention

    compiled = torch.compile(flex_attention, dynamic=False)
    masks: dict[int, BlockMask] = {}

    def call(q: Tensor, k: Tensor, v: Tensor, table: Tensor) -> Tensor:
        tokens = q.shape[2]
        if tokens not in masks:
            masks[tokens] = create_block_mask(
                lambda b, h, i, j: i >= j, None, None, tokens, tokens, device="cuda", _compile=True
            )

        def score(s: Tensor, b: Tensor, h: Tensor, i: Tensor, j: Tensor) -> Tensor:
            return s + table[h, (j - i).clamp(-REACH, REACH) + REACH]

        out: Tensor = compiled(q, k, v, score_mod=score, block_mask=masks[tokens])
        return out

    return call


def measure(parts: Iterable[str]) -> Iterator[Row]:
    """Rows: time forward and forward + backward, TFLOP/s or GB/s, fraction of the limit, memory."""
    ensure_kernels()
    product, copy = limits()
    yield {"who": "limits", "tflops": product, "gbps": copy, "gpu": torch.cuda.get_device_name()}
    for part in parts:
        for shape in SHAPES[part]:
            batch, heads, tokens, dim = shape
            for who, function, inputs in contenders(shape, part == "windowed"):
                row: Row = {"part": part, "shape": "x".join(map(str, shape)), "who": who}
                torch.cuda.reset_peak_memory_stats()
                before = torch.cuda.memory_allocated()
                try:
                    with torch.no_grad():
                        forward = seconds(partial(function, *inputs))
                    whole = seconds(both_ways(function, inputs))
                except RuntimeError as error:
                    yield {**row, "error": str(error).splitlines()[0][:80]}
                    continue
                # Causal: half of the scores; backward costs two and a half forwards.
                operations = 2 * batch * heads * tokens * tokens * dim
                moved = 4 * batch * heads * tokens * dim * 2
                row |= {
                    "forward_ms": 1e3 * forward,
                    "both_ms": 1e3 * whole,
                    "peak_mb": (torch.cuda.max_memory_allocated() - before) / 2**20,
                }
                if part == "classic":
                    row |= {
                        "tflops": operations / forward / 1e12,
                        "both_tflops": 3.5 * operations / whole / 1e12,
                        "of_limit": operations / forward / 1e12 / product,
                    }
                else:
                    gbps = moved / forward / 1e9
                    row |= {"gbps": gbps, "of_limit": gbps / copy}
                yield row


def main(arguments: Sequence[str] | None = None) -> int:
    """Print rows of the chosen groups as they are measured, one JSON object a line."""
    parser = argparse.ArgumentParser(prog="python -m bench.attention", description=__doc__)
    parser.add_argument("--part", nargs="*", choices=list(SHAPES), default=list(SHAPES))
    parser.add_argument("--write", action="store_true", help="append rows to bench/results/")
    options = parser.parse_args(arguments)
    if not torch.cuda.is_available():
        print("expected a CUDA device, got none; run this on a machine with a GPU", file=sys.stderr)
        return 2
    for row in measure(options.part):
        line = json.dumps({"benchmark": "attention", **row, **facts()})
        print(line, flush=True)
        if options.write:
            with (ROOT / "results" / "attention.jsonl").open("a", encoding="utf-8") as file:
                file.write(line + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
