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


KERNELS = ("forward", "queries", "keys", "table")


def padded(head_dim: int) -> int:
    """The width a head is padded to: a power of two, at least the 16 of a matrix instruction."""
    return max(16, 1 << (head_dim - 1).bit_length())


@cache
def table_of(name: str) -> dict[str, dict[str, list[int]]]:
    """configs/NAME.json: kernel -> "bytes per number, padded head" -> [bm, bn, warps, stages]."""
    text = (files("arithtf.kernels") / "configs" / f"{name}.json").read_text(encoding="utf-8")
    loaded: dict[str, dict[str, list[int]]] = json.loads(text)["tiles"]
    return loaded


@cache
def architecture(device: torch.device) -> str:
    """Which file serves a device: "interpreter" off the GPU, else "sm_80", "sm_90" or "gfx942"."""
    if device.type != "cuda":
        return "interpreter"
    if torch.version.hip is not None:
        return "gfx942"
    return "sm_90" if torch.cuda.get_device_capability(device) >= (9, 0) else "sm_80"


def tiles(kernel: str, device: torch.device, dtype: torch.dtype, head_dim: int) -> Tiles:
    """The tiles of a kernel for a device, a dtype and a head dimension."""
    key = f"{dtype.itemsize},{padded(head_dim)}"
    return Tiles(*table_of(architecture(device))[kernel][key])
