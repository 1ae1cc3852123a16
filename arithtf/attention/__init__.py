"""Attention over arbitrary position ids: one operator, several implementations.

`attention` is the public operator and `Positions` says where tokens are and who sees whom;
`explain` says which implementation would run and why, `reference` defines what is correct.
Mechanisms are frozen dataclasses of tensors.

The module itself can be called as the operator: `arithtf.attention(query, key, value, positions)`.
"""

from arithtf.attention.api import Choice, attention, explain
from arithtf.attention.mechanism import LogScale, Mechanism
from arithtf.attention.mechanisms import (
    NONE,
    Alibi,
    BiasTable,
    BucketBias,
    Content,
    Fire,
    Kerple,
    NoMechanism,
    Rotary,
)
from arithtf.attention.positions import NO_ID, Positions, Window, normalise_window
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
    "Kerple",
    "KeyOrder",
    "LogScale",
    "Mechanism",
    "NoMechanism",
    "Positions",
    "Rotary",
    "Window",
    "attention",
    "attention_step",
    "explain",
    "normalise_window",
    "order_keys",
]

make_callable(__name__)
