"""What impl="triton" needs; asking never imports Triton."""

from __future__ import annotations

import importlib.util
import os

import torch
from torch import Tensor

from arithtf.attention.mechanism import Mechanism

IMPLEMENTATIONS = ("triton", "triton-ieee")
DTYPES = (torch.float32, torch.bfloat16, torch.float16)
LARGEST_HEAD = 256
# In float32 on a GPU: rows of 256 numbers do not fit into registers.
LARGEST_WHOLE_HEAD = 128
# The same in IEEE arithmetic, without matrix instructions.
LARGEST_IEEE_HEAD = 64


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
    name = type(mechanism).__name__
    if mechanism.fused is None:
        return f"expected a mechanism that the kernels know, got {name}"
    if mechanism.fixed and any(t.requires_grad for t in mechanism.tensors()):
        return f"expected fixed tensors of {name}, got some that require gradients"
    return None


def step_obstacle(query: Tensor, mechanism: Mechanism) -> str | None:
    """Why the kernel for decoding steps cannot answer, as expected/got; None if it can."""
    if mechanism.acts_by in ("rotation", "content"):
        return f"expected a mechanism that needs ids alone, got {type(mechanism).__name__}"
    return obstacle(query, mechanism)


def require(lacks: str | None, impl: str, instead: str) -> None:
    """Raise RuntimeError that says what is missing and what to use instead, if anything is."""
    if lacks is not None:
        raise RuntimeError(f"impl={impl!r} cannot run: {lacks}. Use {instead}")
