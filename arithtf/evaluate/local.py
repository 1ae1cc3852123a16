"""What a model's predictions can depend on: everything, a window, or a local context alone."""

from __future__ import annotations

from arithtf.model import Model, Transformer


def is_windowed(model: Model) -> bool:
    """A prediction depends on the keys in its window and nothing else.

    A class derived from `Transformer` may compute something else with the same config.
    """
    return type(model) is Transformer and model.config.windowed


def is_local(model: Model) -> bool:
    """A prediction is a function of its local context."""
    return type(model) is Transformer and model.config.local
