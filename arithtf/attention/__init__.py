"""Attention over arbitrary position ids: one operator, several implementations.

`attention` is the public operator, `explain` says which implementation it would run and why,
`reference` defines what is correct. Mechanisms are frozen dataclasses of tensors.
"""

from arithtf.attention.api import Choice, attention, explain
from arithtf.attention.geometry import Geometry, Window, normalise_window
from arithtf.attention.mechanisms import (
    NO_ID,
    NONE,
    Alibi,
    BiasTable,
    BucketBias,
    Content,
    Fire,
    Kerple,
    LogScale,
    Mechanism,
    NoMechanism,
    Rotary,
)
from arithtf.attention.step import KeyOrder, attention_step, order_keys
from arithtf.callable import make_callable

__all__ = [
    "NONE",
    "NO_ID",
    "Alibi",
    "BiasTable",
    "BucketBias",
    "Choice",
    "Content",
    "Fire",
    "Geometry",
    "Kerple",
    "KeyOrder",
    "LogScale",
    "Mechanism",
    "NoMechanism",
    "Rotary",
    "Window",
    "attention",
    "attention_step",
    "explain",
    "normalise_window",
    "order_keys",
]

make_callable(__name__)
