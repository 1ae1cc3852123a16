"""Batches of sums: tokens with ids a second on one core, beside what the memory can write."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from arithtf.tasks import Addition, Address, Batch, Draw, Operands, couplings
from bench.registry import Row, benchmark
from bench.timing import best_seconds

REPEATS = 5
STEPS = 20


def write_bandwidth() -> float:
    """Bytes a second that one core writes into memory it already has (memset of 256 MiB)."""
    memory = np.zeros(1 << 28, np.uint8)
    return memory.nbytes / best_seconds(lambda: memory.fill(1), REPEATS)


@benchmark("data")
def data() -> Iterator[Row]:
    """Rows: sums of 10, 30 and 300 digits on one thread, 30 on all, and one sum of 10^7 digits."""
    task = Addition()
    coupling = couplings.columns(task)
    bandwidth = write_bandwidth()
    for digits, size, threads in ((10, 4096, 1), (30, 4096, 1), (300, 512, 1), (30, 4096, 0)):

        def batches(digits: int = digits, size: int = size, threads: int = threads) -> None:
            for step in range(STEPS):
                draw = Draw((digits, digits), size)
                made = task.sample(Address(0, "train", step), draw, threads=threads)
                Batch.of(made, coupling, threads=threads)

        made = task.sample(Address(0, "train", 0), Draw((digits, digits), size))
        batch = Batch.of(made, coupling)
        tokens = int((batch.tokens != task.vocabulary.pad).sum()) * STEPS
        written = sum(array.nbytes for array in batch[:4]) * STEPS
        seconds = best_seconds(batches, REPEATS)
        yield _row(f"batches of {size}", digits, threads, tokens, written, seconds, bandwidth)
    digits = 10**7
    long = Operands.from_digits([(np.full(digits, 9, np.uint8), np.ones(1, np.uint8))])
    batch = Batch.of(task.instances(long), coupling)
    tokens = int((batch.tokens != task.vocabulary.pad).sum())
    written = sum(array.nbytes for array in batch[:4])
    seconds = best_seconds(lambda: Batch.of(task.instances(long), coupling), REPEATS)
    yield _row("one sum, full ripple", digits, 1, tokens, written, seconds, bandwidth)


def _row(
    what: str,
    digits: int,
    threads: int,
    tokens: int,
    written: int,
    seconds: float,
    bandwidth: float,
) -> Row:
    return {
        "what": what,
        "digits": digits,
        "used_threads": threads or "all",
        "seconds": seconds,
        "million_tokens_per_s": tokens / seconds / 1e6,
        "write_GB_per_s": written / seconds / 1e9,
        "memset_GB_per_s": bandwidth / 1e9,
        "share_of_memset": written / seconds / bandwidth,
    }
