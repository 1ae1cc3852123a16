"""Contexts as the derivations of scratchpads write them down."""

from __future__ import annotations

from dataclasses import dataclass

from arithtf.certify.verify.contexts import ABSENT, Ints, NotDerivable

__all__ = ["ABSENT", "Derived", "NotDerivable"]


@dataclass(frozen=True)
class Derived:
    """N contexts.

    Args:
        query: [N], the query's token.
        target: [N], the right next token.
        slots: [N, W], visible tokens, ABSENT where there is none.
        differences: [W], id difference of each slot; equal ones are neighbours.
        bos: token of the sinks.
        levels: [W], level of each slot; None: all are on the only one. Slots of one level are
            neighbours.
    """

    query: Ints
    target: Ints
    slots: Ints
    differences: Ints
    bos: int
    levels: Ints | None = None
