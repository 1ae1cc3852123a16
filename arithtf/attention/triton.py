"""What impl="triton" needs; asking never imports Triton."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Sequence

import torch
from torch import Tensor

from arithtf.attention.mechanisms import (
    BiasTable,
    BucketBias,
    Content,
    Fire,
    Mechanism,
    Rotary,
)

DTYPES = (torch.float32, torch.bfloat16, torch.float16)
LARGEST_HEAD = 256
# In float32 on a GPU: rows of 256 numbers do not fit into registers.
LARGEST_WHOLE_HEAD = 128
# The same in IEEE arithmetic, without matrix instructions.
LARGEST_IEEE_HEAD = 64
# Tables that act by no more columns than this may go through the kernels for short sequences.
SHORT_COLUMNS = 64


def interprets() -> bool:
    """Whether TRITON_INTERPRET asks for kernels to be interpreted on the CPU (slow; for tests)."""
    return os.environ.get("TRITON_INTERPRET", "").lower() in ("1", "true", "yes", "on", "y")


def missing(device: torch.device | None = None) -> str | None:
    """What keeps the kernels from running on a device (default: a GPU); None if nothing does."""
    device = torch.device("cuda") if device is None else device
    if importlib.util.find_spec("triton") is None:
        return "the package triton is not installed (pip install 'arithtf[triton]')"
    if importlib.util.find_spec("arithtf.kernels") is None:
        return "the package arithtf.kernels is not installed (pip install arithtf)"
    if device.type == "cpu" and interprets():
        return None
    if device.type == "cpu":
        return "expected tensors on a CUDA device, got cpu"
    if device.type != "cuda" or not torch.cuda.is_available():
        return "expected a CUDA device, got none"
    if torch.version.hip is None and torch.cuda.get_device_capability(device) < (8, 0):
        found = torch.cuda.get_device_capability(device)
        return f"expected compute capability 8.0 or newer, got {found[0]}.{found[1]}"
    return None


# What torch.compiler.assume_constant_result does; to call that would import Triton.
missing._dynamo_marked_constant = True  # type: ignore[attr-defined]


def obstacle(query: Tensor, mechanism: Mechanism, impl: str = "triton") -> str | None:
    """Why the kernels cannot answer, as expected/got; None if they can."""
    lacks = missing(query.device)
    if lacks is not None:
        return lacks
    if query.dtype not in DTYPES:
        return f"expected float32, bfloat16 or float16, got {query.dtype}"
    whole = query.dtype == torch.float32 and query.device.type == "cuda"
    largest = LARGEST_WHOLE_HEAD if whole else LARGEST_HEAD
    if whole and impl == "triton-ieee" and torch.version.hip is None:
        largest = LARGEST_IEEE_HEAD
    if query.shape[3] > largest:
        return f"expected a head dimension up to {largest} in {query.dtype}, got {query.shape[3]}"
    if isinstance(mechanism, Rotary) and mechanism.inv_freq.requires_grad:
        return "expected fixed rotary frequencies, got some that require gradients"
    return None


def is_short(
    query: Tensor,
    key: Tensor,
    mechanism: Mechanism,
    windows: Sequence[tuple[int, int]],
    ieee: bool = False,
) -> bool:
    """Whether the kernels for short sequences answer.

    Args:
        query: [B, H, Tq, D]. key: [B, H, Tk, D].
        windows: (back, ahead) of the levels that are read; UNLIMITED both where there is no limit.
        ieee: products of float32 in IEEE arithmetic.
    """
    from arithtf.kernels.configs import WIDEST_ROW, fits_short

    tokens = max(query.shape[2], key.shape[2])
    if not fits_short(query.device, query.dtype, query.shape[3], tokens, ieee):
        return False
    if isinstance(mechanism, Fire | Content):
        return False
    if isinstance(mechanism, BucketBias):
        return mechanism.table.shape[1] <= SHORT_COLUMNS
    if isinstance(mechanism, BiasTable):
        width = mechanism.table.shape[1]
        reach = width // 2
        back, ahead = (max(min(pair[i], reach) for pair in windows) for i in (0, 1))
        return width <= WIDEST_ROW and back + ahead + 1 <= SHORT_COLUMNS
    return True


def require(query: Tensor, mechanism: Mechanism, impl: str = "triton") -> None:
    """Raise RuntimeError that says what is missing and what to use instead."""
    found = obstacle(query, mechanism, impl)
    if found is not None:
        raise RuntimeError(
            f"impl={impl!r} cannot run: {found}. Use impl='auto' or impl='reference' "
            "(any device), or impl='cpu' (windowed attention without gradients)"
        )
