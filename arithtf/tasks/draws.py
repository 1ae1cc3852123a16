"""The arguments that name a batch, checked once for all tasks."""

from __future__ import annotations

from typing import Any

from arithtf.tasks.base import Split

_WORD = (1 << 64) - 1


def draw_arguments(
    seed: int,
    split: Split,
    step: int,
    lengths: tuple[int, int],
    size: int,
    kind: str,
    chain: tuple[int, int] | None,
    threads: int,
) -> dict[str, Any]:
    """The keyword arguments of the core's samplers.

    Raises:
        ValueError: a seed or step that is no 64-bit word, or lengths that are no pair.
    """
    for name, value in (("seed", seed), ("step", step)):
        if not 0 <= value <= _WORD:
            raise ValueError(f"{name} must be in 0..2^64-1, got {value}")
    if len(lengths) != 2:
        raise ValueError(f"lengths must be (low, high), got {lengths!r}")
    return {
        "seed": seed, "split": split, "step": step, "lengths": tuple(lengths), "size": size,
        "kind": kind, "chain": chain, "threads": threads,
    }  # fmt: skip
