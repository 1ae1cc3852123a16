"""What JSON data must look like: fields by name, and of which kind each is."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple


class Kind(NamedTuple):
    """A kind of value.

    Args:
        words: what it is, for errors: "a text".
        fits: whether a value is one.
    """

    words: str
    fits: Callable[[Any], bool]

    def or_null(self) -> Kind:
        """This kind, or null."""
        return Kind(f"{self.words} or null", lambda value: value is None or self.fits(value))

    def listed(self) -> Kind:
        """A list of this kind."""

        def fits(value: Any) -> bool:
            return isinstance(value, list) and all(map(self.fits, value))

        return Kind(f"a list, each item {self.words}", fits)


Shape = Mapping[str, Kind]

_INFINITE = float("inf")

COUNT = Kind(
    "a whole number from 0 to 10^18",
    lambda value: type(value) is int and 0 <= value <= 10**18,
)
NUMBER = Kind(
    "a finite number",
    lambda value: type(value) in (int, float) and abs(value) < 1e300,
)
FLAG = Kind("true or false", lambda value: type(value) is bool)
TEXT = Kind("a text", lambda value: isinstance(value, str))
SHARE = Kind("a number from 0 to 1", lambda value: NUMBER.fits(value) and 0 <= value <= 1)
FIGURE = Kind(
    "a number, true, false or null",
    lambda value: (
        value is None
        or type(value) is bool
        or (
            type(value) in (int, float) and (value in (_INFINITE, -_INFINITE) or NUMBER.fits(value))
        )
    ),
)
OBJECT = Kind("an object", lambda value: isinstance(value, dict))
TEXTS = Kind(
    "an object of texts",
    lambda value: isinstance(value, dict) and all(isinstance(text, str) for text in value.values()),
)
DIGEST = Kind(
    "64 digits from 0 to f",
    lambda value: isinstance(value, str) and re.fullmatch("[0-9a-f]{64}", value) is not None,
)


def misfit(data: Any, shape: Shape) -> str:
    """Why data are not of a shape; empty if they are.

    Args:
        data: plain JSON.
        shape: fields that an object must have, others are free.
    """
    if not isinstance(data, dict):
        return f"expected an object, got {brief(data)}"
    for name, kind in shape.items():
        if name not in data:
            return f"expected {kind.words} as {name!r}, got none"
        if not kind.fits(data[name]):
            return f"expected {kind.words} as {name!r}, got {brief(data[name])}"
    return ""


def shaped(shape: Shape) -> Kind:
    """The kind of an object of a shape."""
    return Kind(f"an object with {', '.join(shape)}", lambda value: not misfit(value, shape))


def brief(data: Any) -> str:
    """The beginning of data as JSON; of what holds others only what it is."""
    if isinstance(data, dict | list) and data:
        return "an object" if isinstance(data, dict) else "a list"
    text = json.dumps(data)
    return text if len(text) <= 40 else f"{text[:37]}..."
