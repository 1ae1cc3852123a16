"""Tile sizes per architecture, read from configs/*.json; nothing is tuned at run time."""

from __future__ import annotations

import json
from functools import cache
from importlib.resources import files
from typing import NamedTuple

import torch


class Tiles(NamedTuple):
    """Sizes of a kernel's tiles: BM queries, BN keys; warps of a program, stages of its loop."""

    bm: int
    bn: int
    warps: int
    stages: int


KERNELS = ("forward", "queries", "keys", "table", "sums")
WHOLE = ("short", "short_backward")


def padded(head_dim: int) -> int:
    """The width a head is padded to: a power of two, at least the 16 of a matrix instruction."""
    return max(16, power_of_two(head_dim))


def power_of_two(number: int) -> int:
    """The least power of two that is not below a number; 1 for 0."""
    return 1 << max(number - 1, 0).bit_length()


@cache
def table_of(name: str) -> dict[str, dict[str, list[int]]]:
    """configs/NAME.json: kernel -> "bytes, padded head[, tokens]" -> [bm, bn, warps, stages]."""
    text = (files("arithtf.kernels") / "configs" / f"{name}.json").read_text(encoding="utf-8")
    loaded: dict[str, dict[str, list[int]]] = json.loads(text)["tiles"]
    return loaded


def architecture(device: torch.device) -> str:
    """Which configurations serve a device: "interpreter", "sm_80", "sm_90" or "gfx942"."""
    if device.type != "cuda":
        return "interpreter"
    if torch.version.hip is not None:
        return "gfx942"
    return "sm_90" if torch.cuda.get_device_capability(device) >= (9, 0) else "sm_80"


def size_of(name: str, dtype: torch.dtype, ieee: bool) -> str:
    """Bytes per number; "4i" where float32 in IEEE arithmetic has configurations of its own."""
    return f"{dtype.itemsize}{'i' if ieee and dtype.itemsize == 4 and name[:3] == 'sm_' else ''}"


def whole_limits(
    device: torch.device, dtype: torch.dtype, ieee: bool
) -> tuple[tuple[int, int], ...]:
    """Head dimensions and tokens up to which there are kernels for short sequences.

    Those hold all keys of a sequence in one tile. What the file lacks would spill registers.
    """
    name = architecture(device)
    return _limits(name, size_of(name, dtype, ieee))


@cache
def _limits(name: str, size: str) -> tuple[tuple[int, int], ...]:
    both = set.intersection(*(set(table_of(name)[kernel]) for kernel in WHOLE))
    sizes = [key.split(",") for key in sorted(both)]
    return tuple((int(head), int(tokens)) for bytes_, head, tokens in sizes if bytes_ == size)


# What torch.compiler.assume_constant_result does; to call that would import Triton.
whole_limits._dynamo_marked_constant = True  # type: ignore[attr-defined]


def fits_whole(
    device: torch.device, dtype: torch.dtype, head_dim: int, tokens: int, ieee: bool
) -> bool:
    """Whether the kernels for short sequences have a tile for these sizes."""
    limits = whole_limits(device, dtype, ieee)
    return any(head_dim <= head and tokens <= most for head, most in limits)


def tiles(
    kernel: str, device: torch.device, dtype: torch.dtype, head_dim: int, ieee: bool = False
) -> Tiles:
    """The tiles of a kernel for a device, a dtype and a head dimension."""
    name = architecture(device)
    key = f"{size_of(name, dtype, ieee)},{padded(head_dim)}"
    return Tiles(*table_of(name)[kernel][key])


def narrower(kernel: str, found: Tiles) -> Tiles:
    """Tiles for mechanisms that need more registers (FIRE, content).

    Half of the outer side, and nothing is loaded ahead.
    """
    if kernel in ("forward", "queries"):
        return found._replace(bm=max(16, found.bm // 2), stages=1)
    if kernel == "keys":
        return found._replace(bn=max(16, found.bn // 2), stages=1)
    return found


class Whole(NamedTuple):
    """A tile that holds all keys of a sequence: padded head, keys, and the configuration."""

    head: int
    keys: int
    tiles: Tiles


def whole_tiles(
    kernel: str, device: torch.device, dtype: torch.dtype, head_dim: int, tokens: int, ieee: bool
) -> Whole:
    """The smallest configured tile that holds sequences of `tokens`."""
    name = architecture(device)
    size = size_of(name, dtype, ieee)
    found = [
        Whole(int(head), int(keys), Tiles(*entry))
        for key, entry in table_of(name)[kernel].items()
        for bytes_, head, keys in [key.split(",")]
        if bytes_ == size and head_dim <= int(head) and tokens <= int(keys)
    ]
    return min(found, key=lambda whole: (whole.keys, whole.head))
