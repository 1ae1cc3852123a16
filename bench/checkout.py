"""Let benchmarks and tests run from a checkout in which the package is not installed."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path


def ensure_kernels() -> None:
    """Import `arithtf.kernels` from kernels/triton, as an installation does.

    Nothing is done where `arithtf` itself is not that of this checkout.
    """
    root = Path(__file__).resolve().parent.parent
    package = importlib.util.find_spec("arithtf")
    if package is None or package.origin != str(root / "arithtf" / "__init__.py"):
        return
    folder = root / "kernels" / "triton"
    spec = importlib.util.spec_from_file_location(
        "arithtf.kernels", folder / "__init__.py", submodule_search_locations=[str(folder)]
    )
    assert spec is not None
    assert spec.loader is not None
    if "arithtf.kernels" not in sys.modules:
        module = importlib.util.module_from_spec(spec)
        sys.modules["arithtf.kernels"] = module
        spec.loader.exec_module(module)
