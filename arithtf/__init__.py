"""arithtf: train small transformers on short arithmetic, prove them exact at every length.

    import arithtf

    run = arithtf.load("runs/addition")   # -> LoadedRun
    run.solve(["123+45"])                 # -> ["168"], by the model's own greedy decoding
    run.logits(tokens, query_ids)         # -> next-token logits
    run.model, run.recipe

    arithtf.train(recipe, "runs/mine")    # recipes: arithtf.recipes.get_recipe(name)
    arithtf.certify(run.model, ...)
    arithtf.attention(query, key, value, ...)
    arithtf.tasks, arithtf.encodings, arithtf.theory

`train`, `certify` and `attention` are modules that can be called: the function of that name inside.
All of it is imported when first used.
"""

import importlib
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from arithtf import encodings, evaluate, recipes, tasks, theory
    from arithtf.attention import attention
    from arithtf.certify import certify
    from arithtf.evaluate import LoadedRun, load
    from arithtf.train import train

__version__ = "0.1.0"

_PACKAGES = ("attention", "certify", "encodings", "evaluate", "recipes", "tasks", "theory", "train")
_FROM_EVALUATE = ("LoadedRun", "load")

__all__ = [
    "LoadedRun",
    "__version__",
    "attention",
    "certify",
    "encodings",
    "evaluate",
    "load",
    "recipes",
    "tasks",
    "theory",
    "train",
]


def __getattr__(name: str) -> Any:
    if name == "_core":
        return _load_core()
    if name in _PACKAGES:
        return importlib.import_module(f"arithtf.{name}")
    if name in _FROM_EVALUATE:
        return getattr(importlib.import_module("arithtf.evaluate"), name)
    raise AttributeError(f"module 'arithtf' has no attribute {name!r}")


def _load_core() -> ModuleType:
    try:
        return importlib.import_module("arithtf._core")
    except ModuleNotFoundError:
        raise ImportError(
            "the C++ core, arithtf._core, is not built for this Python; "
            "build it with `pip install -e .` in the checkout",
            name="arithtf._core",
        ) from None


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
