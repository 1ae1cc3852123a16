"""Fields of nested frozen dataclasses set by texts like model.width=96, as on a command line."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import is_dataclass, replace
from typing import Any, TypeVar

from arithtf.plain import check_names, field_types, from_text

T = TypeVar("T")
Changes = dict[str, Any]
"""Texts by field, and nested ones under the field they belong to; "" is the field as a whole."""


def parsed(settings: Iterable[str]) -> Changes:
    """Settings by field: ("model.width=96", "seed=3") -> {"model": {"width": {"": "96"}}, ...}.

    Raises:
        ValueError: a text that is no setting, or a field that is set twice.
    """
    changes: Changes = {}
    for setting in settings:
        path, equals, text = setting.partition("=")
        if not equals or not all(part.isidentifier() for part in path.split(".")):
            raise ValueError(f"expected FIELD=VALUE, as in seed=3 or model.width=96, got {setting}")
        node = changes
        for part in path.split("."):
            node = node.setdefault(part, {})
        if node.setdefault("", text) != text:
            raise ValueError(f"{path} is set twice, to {node['']} and to {text}; give it once")
    return changes


def override(value: T, changes: Mapping[str, Any], what: str, where: str = "") -> T:
    """A dataclass with other values in some of its fields.

    All fields of one dataclass change at once, those inside it first: values that only fit each
    other can be set together.

    Args:
        value: a frozen dataclass.
        changes: as `parsed` gives them, texts read by the fields' annotations; what is no text is
            the value itself.
        what: what `value` is, for errors: "a recipe".
        where: the field that holds it.

    Raises:
        ValueError: there is no such field, or it cannot have the value; says what would do.
    """
    if not changes:
        return value
    known = field_types(type(value))
    check_names(changes, list(known), what)
    new: dict[str, Any] = {}
    for name, change in changes.items():
        path = f"{where}.{name}" if where else name
        inner, found = dict(change), getattr(value, name)
        if "" in inner:
            found = inner.pop("")
            found = from_text(known[name], found, path) if isinstance(found, str) else found
        if inner and not is_dataclass(found):
            raise ValueError(
                f"{path} is {found!r} and has no fields; give it as a whole, {path}=..."
            )
        new[name] = override(found, inner, path, path)
    changed: T = replace(value, **new)  # type: ignore[type-var]
    return changed
