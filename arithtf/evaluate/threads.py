"""Forward passes side by side."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import torch

Job = TypeVar("Job")
Result = TypeVar("Result")


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
    threads = min(torch.get_num_threads(), len(jobs))
    if threads <= 1 or device.type != "cpu":
        yield from map(work, jobs)
        return
    before = torch.get_num_threads()
    try:
        with ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,)) as pool:
            yield from pool.map(work, jobs)
    finally:
        # The number is a thread's own, but threads to come start with the one last set.
        torch.set_num_threads(before)
