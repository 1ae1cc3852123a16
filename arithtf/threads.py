"""How many threads torch uses, and forward passes side by side."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import torch

Job = TypeVar("Job")
Result = TypeVar("Result")


@contextlib.contextmanager
def torch_threads(count: int) -> Iterator[None]:
    """Let torch use `count` threads inside an operation on the CPU.

    A small model's operations take microseconds. Threads that share one wait for each other after
    it, and where another process has taken a core they wait for its time slice: a training of 8
    seconds on one thread was seen to take minutes on two.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def in_parallel(
    work: Callable[[Job], Result], jobs: Sequence[Job], device: torch.device
) -> Iterator[Result]:
    """The results of all jobs, in their order.

    On the CPU each of torch.get_num_threads() threads does jobs of its own with one thread inside:
    passes of a few thousand columns are too small to be shared by threads that wait for each
    other after every operation.

    Args:
        work: does one job; called from several threads.
        jobs: the jobs.
        device: where the work is done.
    """
    if device.type != "cpu":
        yield from map(work, jobs)
        return
    threads = min(torch.get_num_threads(), len(jobs))
    with torch_threads(1):  # also what threads to come start with
        if threads <= 1:
            yield from map(work, jobs)
            return
        with ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,)) as pool:
            yield from pool.map(work, jobs)
