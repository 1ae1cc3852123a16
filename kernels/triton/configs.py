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


# A row of a table up to this width is kept in registers, of which a program of one warp has 255 a
# thread; a wider one is read from global memory.
WIDEST_ROW = 256
_WITH_HEAVY = ("forward", "queries", "keys")
KERNELS = (*_WITH_HEAVY, *(f"{kernel}_heavy" for kernel in _WITH_HEAVY), "table", "sums")
# Short sequences: in one tile, and in blocks where one tile would spill registers.
WHOLE = ("short", "short_backward")
SPLIT = ("split", "split_backward")


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


def short_limits(
    device: torch.device, dtype: torch.dtype, ieee: bool
) -> tuple[tuple[int, int], ...]:
    """Head dimensions and tokens up to which there are kernels for short sequences."""
    name = architecture(device)
    size = size_of(name, dtype, ieee)
    return _limits(name, size, WHOLE) + _limits(name, size, SPLIT)


@cache
def _limits(name: str, size: str, kernels: tuple[str, ...]) -> tuple[tuple[int, int], ...]:
    both = set.intersection(*(set(table_of(name)[kernel]) for kernel in kernels))
    sizes = [key.split(",") for key in sorted(both)]
    return tuple((int(head), int(tokens)) for bytes_, head, tokens in sizes if bytes_ == size)


def fits_short(
    device: torch.device, dtype: torch.dtype, head_dim: int, tokens: int, ieee: bool
) -> bool:
    """Whether the kernels for short sequences have tiles for these sizes."""
    limits = short_limits(device, dtype, ieee)
    return any(head_dim <= head and tokens <= most for head, most in limits)


def fits_whole(
    device: torch.device, dtype: torch.dtype, head_dim: int, tokens: int, ieee: bool
) -> bool:
    """Whether one tile holds a sequence of these sizes; a larger one would spill registers."""
    name = architecture(device)
    limits = _limits(name, size_of(name, dtype, ieee), WHOLE)
    return any(head_dim <= head and tokens <= most for head, most in limits)


def tiles(
    kernel: str, device: torch.device, dtype: torch.dtype, head_dim: int, ieee: bool = False
) -> Tiles:
    """The tiles of a kernel for a device, a dtype and a head dimension."""
    name = architecture(device)
    key = f"{size_of(name, dtype, ieee)},{padded(head_dim)}"
    return Tiles(*table_of(name)[kernel][key])


def heavy(kernel: str) -> str:
    """The entry of a kernel for mechanisms that need more registers for a pair."""
    return f"{kernel}_heavy" if kernel in _WITH_HEAVY else kernel


class Short(NamedTuple):
    """Configuration of a kernel for short sequences: padded head, tokens it serves, tiles."""

    head: int
    tokens: int
    tiles: Tiles


def short_tiles(
    kernel: str, device: torch.device, dtype: torch.dtype, head_dim: int, tokens: int, ieee: bool
) -> Short:
    """The smallest configuration that serves sequences of `tokens`."""
    name = architecture(device)
    size = size_of(name, dtype, ieee)
    limits = _limits(name, size, (kernel,))
    most, head = min((most, head) for head, most in limits if head_dim <= head and tokens <= most)
    return Short(head, most, Tiles(*table_of(name)[kernel][f"{size},{head},{most}"]))
