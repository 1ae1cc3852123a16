"""Choosing tiles by time, on request: nothing is tuned at run time."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import torch
from torch import Tensor

from .configs import KERNELS, SPLIT, WHOLE, Tiles, table_of

Timer = Callable[[str, str, Tiles], float]
"""Seconds that a kernel takes with these tiles, by its name and its entry in the file."""

# A candidate must be faster than what is there by this, or noise would rewrite files.
GAIN = 0.98
LARGEST_TILE = 128 * 128


def candidates(kernel: str, entry: str, now: Tiles) -> Iterator[Tiles]:
    """Tiles worth timing: what is there first, then powers of two around it.

    A kernel that holds a whole sequence keeps the sequence's side and varies the rest.
    """
    yield now
    rows = [now.bm // 2, now.bm, now.bm * 2]
    columns = [now.bn] if kernel in WHOLE else [now.bn // 2, now.bn, now.bn * 2]
    warps = [now.warps // 2, now.warps, now.warps * 2]
    stages = [1] if kernel in WHOLE else [1, 2, 3]
    most = int(entry.split(",")[2]) if kernel in WHOLE else 128
    for found in itertools.product(rows, columns, warps, stages):
        tiles = Tiles(*found)
        fits = 16 <= tiles.bm <= most and 16 <= tiles.bn <= 128
        if fits and 1 <= tiles.warps <= 8 and tiles.bm * tiles.bn <= LARGEST_TILE and tiles != now:
            yield tiles


def fastest(kernel: str, entry: str, now: Tiles, time: Timer) -> tuple[Tiles, float, float]:
    """The best candidate, its time, and the time of what was there.

    Candidates that do not run (too much shared memory, say) are passed over.

    Raises:
        RuntimeError: what is there does not run.
    """
    best, least, before = now, float("inf"), float("inf")
    for tiles in candidates(kernel, entry, now):
        try:
            seconds = time(kernel, entry, tiles)
        except Exception as error:  # the compiler's and the driver's errors have no common base
            if tiles == now:
                raise RuntimeError(
                    f"{kernel} {entry} does not run as configured: {error}"
                ) from error
            continue
        if tiles == now:
            least = before = seconds
        elif seconds < GAIN * before and seconds < least:
            best, least = tiles, seconds
    return best, least, before


def tune(
    table: dict[str, dict[str, list[int]]],
    time: Timer,
    kernels: Iterable[str] = (*KERNELS, *WHOLE, *SPLIT),
    sizes: Iterable[str] = ("2", "4"),
    report: Callable[[str, str, Tiles, float, float], None] | None = None,
) -> dict[str, dict[str, list[int]]]:
    """A copy of a configuration file's tiles, with the fastest of each chosen entry.

    Args:
        table: kernel -> entry -> [bm, bn, warps, stages].
        time: measures.
        kernels, sizes: which entries, by kernel and by bytes per number.
        report: called with every entry's kernel, name, tiles, seconds, and seconds before.
    """
    new = {kernel: dict(entries) for kernel, entries in table.items()}
    wanted = set(sizes)
    for kernel in kernels:
        for entry, now in table[kernel].items():
            if entry.split(",")[0] not in wanted:
                continue
            tiles, seconds, before = fastest(kernel, entry, Tiles(*now), time)
            new[kernel][entry] = list(tiles)
            if report is not None:
                report(kernel, entry, tiles, seconds, before)
    return new


def text_of(about: str, table: dict[str, dict[str, list[int]]]) -> str:
    """A configuration file, one entry a line."""
    parts = [
        f'  "{kernel}": {{\n'
        + ",\n".join(f'   "{entry}": {json.dumps(tiles)}' for entry, tiles in entries.items())
        + "\n  }"
        for kernel, entries in table.items()
    ]
    head = f'{{\n "about": {json.dumps(about)},\n "tiles": {{\n'
    return head + ",\n".join(parts) + "\n }\n}\n"


class GpuTimer:
    """Times a call of attention in which one kernel's tiles are replaced.

    Args:
        name: the architecture, whose table is changed for the time of a measurement.
        device: where.
    """

    def __init__(self, name: str, device: torch.device) -> None:
        self.table, self.device = table_of(name), device

    def __call__(self, kernel: str, entry: str, tiles: Tiles) -> float:
        """Median seconds of ten calls, after two."""
        call = self.call(kernel, entry)
        kept = self.table[kernel][entry]
        self.table[kernel][entry] = list(tiles)
        try:
            return self.measure(call)
        finally:
            self.table[kernel][entry] = kept

    def call(self, kernel: str, entry: str) -> Callable[[], Any]:
        """What is timed: forward for its kernels, forward and backward for the others."""
        from arithtf.attention import BiasTable, Content, attention

        size, head, *tokens = entry.split(",")
        ieee = size.endswith("i")
        dtype = torch.bfloat16 if size == "2" else torch.float32
        length = int(tokens[0]) if tokens else 2048
        batch = 4096 if tokens else 4
        q, k, v = (
            torch.randn(
                batch, 8, length, int(head), device=self.device, dtype=dtype, requires_grad=True
            )
            for _ in range(3)
        )
        numbers = torch.zeros(8, 33, device=self.device, requires_grad=True)
        vectors = torch.zeros(8, 17, int(head), device=self.device, requires_grad=True)
        content = kernel == "sums" or kernel.endswith("_heavy")
        mechanism = Content(None, vectors) if content else BiasTable(numbers)
        leaves: list[Tensor] = [q, k, v, *mechanism.tensors()]
        grad = torch.randn_like(q)
        impl = "triton-ieee" if ieee else "triton"

        def run() -> Any:
            out = attention(q, k, v, mechanism=mechanism, impl=impl)
            if kernel in ("forward", "forward_heavy", "short", "split"):
                return out
            return torch.autograd.grad(out, leaves, grad)

        return run

    def measure(self, call: Callable[[], Any]) -> float:
        """Median seconds of ten calls on the GPU."""
        times = []
        for turn in range(12):
            start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
            start.record()
            call()
            end.record()
            torch.cuda.synchronize(self.device)
            if turn >= 2:
                times.append(start.elapsed_time(end) / 1000)
        return sorted(times)[len(times) // 2]
