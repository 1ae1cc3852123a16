"""Benchmarks by name: a function yields rows, every row gets the facts of the run beside it."""

from __future__ import annotations

import datetime
import importlib
import inspect
import os
import pkgutil
import platform
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

from arithtf.studies.provenance import git

Row = dict[str, Any]
Benchmark = Callable[..., Iterable[Row]]

ROOT = Path(__file__).resolve().parent
_BENCHMARKS: dict[str, Benchmark] = {}
_NOT_BENCHMARKS = {"__main__", "registry", "run"}


def benchmark(name: str) -> Callable[[Benchmark], Benchmark]:
    """Register a function that yields rows (dictionaries of plain values) under a name.

    It may take settings, which have defaults.

    Raises:
        ValueError: a name that is taken.
    """

    def register(function: Benchmark) -> Benchmark:
        if name in _BENCHMARKS:
            raise ValueError(f"there is already a benchmark {name!r}; choose another name")
        _BENCHMARKS[name] = function
        return function

    return register


def discover() -> dict[str, Benchmark]:
    """All benchmarks of the modules beside this one, by name."""
    for module in pkgutil.iter_modules([str(ROOT)]):
        if module.name not in _NOT_BENCHMARKS:
            importlib.import_module(f"bench.{module.name}")
    return dict(sorted(_BENCHMARKS.items()))


def rows(name: str, **settings: object) -> Iterator[Row]:
    """The rows of one benchmark with the common facts.

    Args:
        name: of the benchmark.
        settings: those it takes, by name.

    Raises:
        ValueError: no benchmark of this name, or it does not take a setting.
    """
    known = discover()
    if name not in known:
        raise ValueError(f"expected one of the benchmarks {', '.join(known)}, got {name!r}")
    taken = set(inspect.signature(known[name]).parameters)
    if unknown := sorted(set(settings) - taken):
        raise ValueError(f"benchmark {name!r} takes the settings {sorted(taken)}, got {unknown}")
    for row in known[name](**settings):
        yield {"benchmark": name, **row, **facts()}


@cache
def facts() -> Row:
    """What a measurement depends on besides its arguments."""
    import numpy
    import torch

    found: Row = {
        "commit": git(ROOT, "rev-parse", "--short=12", "HEAD") or "unknown",
        # Rows that were appended before are no change of what is measured.
        "dirty": bool(
            git(ROOT, "status", "--porcelain", "--untracked-files=no", "--", ":!results")
        ),
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "python": platform.python_version(),
        "numpy": numpy.__version__,
        "torch": torch.__version__,
        "cpu": _cpu_name(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
    }
    if torch.cuda.is_available():
        found |= {"gpu": torch.cuda.get_device_name(), "triton": metadata.version("triton")}
    return found


def _cpu_name() -> str:
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
