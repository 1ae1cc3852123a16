"""Check an installed arithtf; run it from an empty folder with the environment's Python.

    python check_import.py [--in-place]

An in-place build has no package map, so `arithtf.kernels` is not part of it.
"""

import importlib
import importlib.metadata
import importlib.util
import sys
from pathlib import Path

import numpy as np


def main() -> None:
    """Import it, use the core once, look at the package map."""
    in_place = "--in-place" in sys.argv[1:]
    arithtf = importlib.import_module("arithtf")
    tasks = importlib.import_module("arithtf.tasks")
    task = tasks.Addition()
    made = task.sample(tasks.Address(0, "train", 1), tasks.Draw((1, 3), size=2))
    batch = tasks.Batch.of(made, tasks.couplings.columns(task))
    if batch.tokens.shape != (2, 14) or batch.tokens.dtype != np.uint8:
        raise SystemExit(f"expected uint8 tokens [2, 14], got {batch.tokens.shape}")
    folder = Path(str(arithtf.__file__)).parent
    if not (folder / "py.typed").is_file():
        raise SystemExit("py.typed is not installed")
    # In place, the bare folder is a namespace: any real package of the name goes before it.
    named = importlib.util.find_spec("kernels")
    if named is not None and named.origin is not None:
        raise SystemExit("kernels/ is importable under its own name; it would shadow a package")
    if not in_place:
        importlib.import_module("arithtf.kernels")
        found = importlib.metadata.version("arithtf")
        if found != arithtf.__version__:
            raise SystemExit(f"metadata say {found}, the package {arithtf.__version__}")
    print(f"  {folder}")


if __name__ == "__main__":
    main()
