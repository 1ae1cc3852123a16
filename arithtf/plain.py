"""Frozen dataclasses as plain JSON, as JSON back, and their fields from text, by annotation.

A class of a family (tasks, mechanisms, ...) is written with its name, so that reading finds it
again: the family's base has a class variable `registry` (see `arithtf.origin`), and under the
registry's `tag` stands the name of the class. Values of other classes are their fields alone.
Classes that write themselves have methods `to_dict` and `from_dict`.
"""

from __future__ import annotations

import inspect
import json
import re
import types
import typing
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import MISSING, fields, is_dataclass
from difflib import get_close_matches
from typing import Any, Literal, TypeVar, Union, get_args, get_origin

from arithtf.origin import Registry

T = TypeVar("T")

_NONE = type(None)
_SCALARS = {
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    str: "a text",
    _NONE: "none",
}


def to_plain(value: Any) -> Any:
    """The JSON form of a dataclass; of tuples lists; of what is JSON itself.

    Raises:
        ValueError: a class of a family that could not be found again.
    """
    if isinstance(value, Mapping):
        return {name: to_plain(item) for name, item in value.items()}
    if isinstance(value, tuple | list):
        return [to_plain(item) for item in value]
    if hasattr(value, "to_dict"):
        return value.to_dict()
    registry = getattr(value, "registry", None)
    named = {} if registry is None else {registry.tag: registry.name_of(type(value))}
    return {**named, **fields_of(value)} if named or is_dataclass(value) else value


def fields_of(value: Any) -> dict[str, Any]:
    """The fields of a dataclass by name, each in its JSON form."""
    return {name: to_plain(getattr(value, name)) for name in field_types(type(value))}


def from_plain(expected: Any, data: Any, where: str = "") -> Any:
    """The value of which `to_plain` wrote the data.

    Args:
        expected: an annotation: int, float, bool, str, None, Literal, a union, tuple, Mapping with
            names, a dataclass, the base of a family.
        data: plain JSON.
        where: the field, for errors: "model.width".

    Raises:
        ValueError: the data are of another form; says what was expected where.
    """
    origin, args = get_origin(expected), get_args(expected)
    if expected is Any:
        return data
    if origin in (Union, types.UnionType):
        return _first_that_fits(expected, data, where)
    if origin is Literal and data in args:
        return data
    if origin is tuple and isinstance(data, list | tuple):
        items = args[:1] * len(data) if args[-1] is ... else args
        if len(items) == len(data):
            pairs = enumerate(zip(items, data, strict=True))
            return tuple(from_plain(kind, item, f"{where}[{i}]") for i, (kind, item) in pairs)
    if origin is not None and isinstance(data, Mapping) and issubclass(origin, Mapping):
        return {k: from_plain(args[1], v, _joined(where, k)) for k, v in data.items()}
    if isinstance(expected, type):
        if expected in (None, _NONE, bool, str) and isinstance(data, expected):
            return data
        if expected in (int, float) and type(data) in (int, expected) and _sound(data):
            return expected(data)
        if expected not in _SCALARS and isinstance(data, expected):
            return data
        if expected not in _SCALARS and origin is None and isinstance(data, Mapping):
            return _object(expected, data, where)
    raise ValueError(f"{_at(where)}expected {described(expected)}, got {_shown(data)}")


def from_fields(cls: type[T], data: Mapping[str, Any], where: str = "") -> T:
    """The dataclass of which `fields_of` wrote the data.

    Raises:
        ValueError: fields that are unknown, missing or of another form; says what was expected.
    """
    known = field_types(cls)
    check_names(data, list(known), where or cls.__name__)
    for field in fields(cls) if is_dataclass(cls) else ():
        needed = field.init and field.default is field.default_factory is MISSING
        if needed and field.name not in data:
            raise ValueError(f"{_at(where)}expected a value for {field.name!r}, got none")
    return cls(**{k: from_plain(known[k], v, _joined(where, k)) for k, v in data.items()})


def from_text(expected: Any, text: str, where: str = "") -> Any:
    """A value as a person writes it: 96, 0.3, true, none, 1-8 for a pair, a,b,c for a list, JSON.

    A class of a family is written by its name alone (see `arithtf.origin`); its fields are then the
    defaults.

    Raises:
        ValueError: the text is no such value; says what was expected.
    """
    origin, args = get_origin(expected), get_args(expected)
    wrong = f"{_at(where)}expected {described(expected)}, got {text!r}"
    if text[:1] in ("[", "{"):
        try:
            return from_plain(expected, json.loads(text), where)
        except json.JSONDecodeError as error:
            raise ValueError(f"{wrong}, which is not JSON: {error}") from None
    if origin in (Union, types.UnionType):
        for kind in args:
            try:
                return from_text(kind, text, where)
            except ValueError as error:
                wrong = str(error) if _registry(kind) else wrong
        raise ValueError(wrong)
    if origin is tuple:
        variadic = args[-1] is ...
        parts = text.split("," if variadic or "," in text else "-") if text else []
        kinds = args[:1] * len(parts) if variadic else args
        if len(kinds) != len(parts):
            raise ValueError(wrong)
        return tuple(from_text(k, part, where) for k, part in zip(kinds, parts, strict=True))
    if (registry := _registry(expected)) is not None:
        return from_fields(registry.resolve(text), {}, where)
    data: Any = text
    if expected is not str:
        words = {"none": None, "true": True, "false": False}
        try:
            data = words[text.lower()] if text.lower() in words else float(text)
            data = int(text) if re.fullmatch("-?[0-9]+", text) else data
        except ValueError:
            data = text
    try:
        return from_plain(expected, data, where)
    except ValueError:
        raise ValueError(wrong) from None


def field_types(cls: Any) -> dict[str, Any]:
    """The annotations of a dataclass's fields, in order; of another class none."""
    if not is_dataclass(cls):
        return {}
    hints = typing.get_type_hints(cls)
    return {field.name: hints[field.name] for field in fields(cls) if field.init}


def returns(value: Any, cls: type) -> bool:
    """Whether a function says that it returns an object of a class."""
    said = inspect.get_annotations(value).get("return") if inspect.isfunction(value) else None
    return said in (cls, cls.__name__)


class FieldsOnly:
    """A dataclass whose cached properties stay behind when it is pickled or copied."""

    def __getstate__(self) -> dict[str, Any]:
        names = field_types(type(self))
        return {name: value for name, value in vars(self).items() if name in names}


def check_names(given: Iterable[str], known: Sequence[str], what: str) -> None:
    """Check that names are among those of a thing's fields.

    Raises:
        ValueError: one is not; says which are like it, and all.
    """
    for name in given:
        if name not in known:
            like = get_close_matches(name, known, n=1)
            meant = f"; did you mean {like[0]}?" if like else "."
            has = ", ".join(known) or "none"
            raise ValueError(f"{what} has no field {name!r}{meant} Its fields: {has}")


def described(expected: Any) -> str:
    """An annotation in words."""
    origin, args = get_origin(expected), get_args(expected)
    if origin in (Union, types.UnionType):
        return " or ".join(dict.fromkeys(described(arg) for arg in args))
    if origin is Literal:
        return "one of " + ", ".join(map(str, args))
    if origin is tuple and len(args) == 2 and args[1] is ...:
        return f"a list (a,b,c) of items that are each {described(args[0])}"
    if origin is tuple:
        return "two numbers like 1-8" if len(args) == 2 else f"{len(args)} values with commas"
    registry = _registry(expected)
    if registry is not None:
        return registry.expected
    return _SCALARS.get(expected) or f"the fields of {getattr(expected, '__name__', expected)}"


def _first_that_fits(union: Any, data: Any, where: str) -> Any:
    errors = {}
    for kind in get_args(union):
        try:
            return from_plain(kind, data, where)
        except ValueError as error:
            errors[kind] = error
    # A dataclass's own complaint says more than that the data are none of several things.
    if isinstance(data, Mapping):
        raise next(error for kind, error in errors.items() if kind is not _NONE)
    raise ValueError(f"{_at(where)}expected {described(union)}, got {_shown(data)}")


def _object(cls: type, data: Mapping[str, Any], where: str) -> Any:
    if hasattr(cls, "from_dict"):
        return cls.from_dict(data)
    registry, values = _registry(cls), dict(data)
    if registry is not None:
        name = values.pop(registry.tag, None)
        if not isinstance(name, str):
            got = _shown(data)
            raise ValueError(f"{_at(where)}expected a {registry.kind} by its name, got {got}")
        cls = registry.resolve(name)
    return from_fields(cls, values, where)


def _sound(number: int | float) -> bool:
    """Whether a number is one, and not larger than a float can be unless it is infinite."""
    return number == number if isinstance(number, float) else abs(number) < 10**300


def _registry(expected: Any) -> Registry[Any] | None:
    registry = getattr(expected, "registry", None)
    return registry if isinstance(registry, Registry) else None


def _joined(where: str, name: str) -> str:
    return f"{where}.{name}" if where else name


def _at(where: str) -> str:
    return f"{where}: " if where else ""


def _shown(data: Any) -> str:
    text = json.dumps(data, default=repr)
    return text if len(text) <= 60 else f"{text[:57]}..."
