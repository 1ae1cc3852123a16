"""Which part of the cells, and which GPU, is for this process."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple

import torch


class Shard(NamedTuple):
    """Every n-th cell from the i-th on, i from 0."""

    i: int
    n: int

    @classmethod
    def parse(cls, text: str) -> Shard:
        """A shard as a person writes it: 0/4 is the first of four.

        Raises:
            ValueError: it is none.
        """
        found = re.fullmatch(r"([0-9]{1,9})/([0-9]{1,9})", text)
        shard = cls(int(found[1]), int(found[2])) if found else cls(0, 0)
        if shard.i >= shard.n:
            raise ValueError(
                f"expected a shard i/n with i from 0 to n - 1, like 0/2 and 1/2, got {text!r}"
            )
        return shard

    @classmethod
    def of_environment(cls, environ: Mapping[str, str]) -> Shard:
        """The part of this process under torchrun, or in a Slurm array; else everything."""
        if "RANK" in environ and "WORLD_SIZE" in environ:
            return cls.parse(f"{environ['RANK']}/{environ['WORLD_SIZE']}")
        if "SLURM_ARRAY_TASK_ID" in environ and "SLURM_ARRAY_TASK_COUNT" in environ:
            # Arrays may begin anywhere and step by more than one, as in --array=1-9:2.
            first = int(environ.get("SLURM_ARRAY_TASK_MIN", 0))
            step = int(environ.get("SLURM_ARRAY_TASK_STEP", 1))
            task, tasks = environ["SLURM_ARRAY_TASK_ID"], environ["SLURM_ARRAY_TASK_COUNT"]
            place = (int(task) - first) // step
            if place >= int(tasks):  # as in --array=0,3,7
                raise ValueError(
                    f"expected a Slurm array with even steps, like 0-15 or 1-9:2, got task {task} "
                    f"of {tasks} from {first} on; say --shard i/n"
                )
            return cls.parse(f"{place}/{tasks}")
        return ALL


ALL = Shard(0, 1)


def take_gpu(environ: Mapping[str, str]) -> None:
    """Make the GPU of this process under torchrun the one that "cuda" means."""
    if "LOCAL_RANK" in environ and torch.cuda.is_available():
        torch.cuda.set_device(int(environ["LOCAL_RANK"]) % torch.cuda.device_count())
