"""Fields of nested frozen dataclasses set by texts like model.width=96, as on a command line."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import is_dataclass, replace
from typing import Any, TypeVar

from arithtf.plain import check_names, field_types, from_fields, from_text

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
            found = _set(known[name], found, inner.pop(""), path)
        if inner and not is_dataclass(found):
            raise ValueError(
                f"{path} is {found!r} and has no fields; give it as a whole, {path}=..."
            )
        new[name] = override(found, inner, path, path)
    changed: T = replace(value, **new)  # type: ignore[type-var]
    return changed


def _set(expected: Any, before: Any, new: Any, where: str) -> Any:
    """A field's new value, of a text by its annotation.

    A class of a family that is given by its name takes over the fields that it has in common with
    what was there: `model=file.py` keeps the sizes.
    """
    if not isinstance(new, str):
        return new
    registry = getattr(expected, "registry", None)
    if registry is None or new[:1] == "{" or not is_dataclass(before):
        return from_text(expected, new, where)
    made = registry.resolve(new)
    same = [name for name in field_types(made) if name in field_types(type(before))]
    return from_fields(made, {name: getattr(before, name) for name in same}, where)
