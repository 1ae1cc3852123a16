"""Where the fused CUDA kernels will answer; importing this never imports Triton."""

from __future__ import annotations

import importlib.util

import torch
from torch import Tensor


def missing() -> str:
    """What keeps `impl="triton"` from running here."""
    lacks = ["the kernels are not part of this build"]
    if importlib.util.find_spec("triton") is None:
        lacks.append("the package triton is not installed")
    if torch.version.cuda is None:
        lacks.append("this PyTorch was built without CUDA")
    return "; ".join(lacks)


def require() -> None:
    """Raise RuntimeError that says what is missing and what to use instead."""
    raise RuntimeError(
        f"impl='triton' cannot run: {missing()}. Use impl='auto' or impl='reference' "
        "(any device), or impl='cpu' (windowed attention without gradients)"
    )


def attention(*_: object) -> Tensor:
    """Raise RuntimeError: the kernels are not part of this build."""
    require()
    raise AssertionError("require() always raises")
