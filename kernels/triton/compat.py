"""The one place that imports Triton, and what its interpreter needs on some versions."""

from __future__ import annotations

import importlib
from functools import cache
from types import SimpleNamespace
from typing import Any


@cache
def modules() -> SimpleNamespace:
    """The kernel modules by name; Triton decides at this import whether it interprets."""
    import triton

    if triton.__version__.startswith("3.6.") and triton.knobs.runtime.interpret:
        _let_tensors_be_indices()
    names = ("forward", "backward", "table", "rotary", "short", "split", "sums", "decode")
    return SimpleNamespace(
        **{name: importlib.import_module(f"arithtf.kernels.{name}") for name in names}
    )


def interprets() -> bool:
    """Whether Triton, if it were imported now, would interpret kernels on the CPU."""
    import triton

    return bool(triton.knobs.runtime.interpret)


def _let_tensors_be_indices() -> None:
    """3.6 with NumPy >= 2.4 fails on range(0, tensor); later versions do what is done here."""
    from triton.runtime import interpreter

    original = interpreter._patch_lang_tensor

    def patched(tensor: Any, scope: Any) -> None:
        original(tensor, scope)
        scope.set_attr(tensor, "__index__", lambda self: int(self.handle.data.squeeze()))

    interpreter._patch_lang_tensor = patched
