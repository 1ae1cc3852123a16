"""Modules that can be called, so that `arithtf.attention` is a package and an operator."""

from __future__ import annotations

import inspect
import sys
from types import ModuleType
from typing import Any


class CallableModule(ModuleType):
    """A module that, when called, calls its function of the same name."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call the module's function of the module's name."""
        return getattr(self, self.__name__.rpartition(".")[2])(*args, **kwargs)


def make_callable(name: str) -> None:
    """Let the imported module `name` be called; `inspect.signature` shows its function's."""
    module = sys.modules[name]
    module.__class__ = CallableModule
    function = getattr(module, name.rpartition(".")[2])
    module.__dict__["__signature__"] = inspect.signature(function)
