"""Discovery: couplings found from a task's examples alone (see docs/discover.md).

`examples` (tokens and places, no ids) -> `space` (relations and lookups) -> `growth` (a segment's
tables, scored by `scoring`) -> `refine` (smaller ones) -> `search` (all segments together, longer
examples) -> `driver` (the covering set's judgement, the recipe).
"""

from __future__ import annotations

from arithtf.discover.driver import (
    FILE,
    Discoverer,
    Discovery,
    NothingFound,
    read_discovery,
    recipe_of,
    save_discovery,
)

__all__ = [
    "FILE",
    "Discoverer",
    "Discovery",
    "NothingFound",
    "read_discovery",
    "recipe_of",
    "save_discovery",
]
