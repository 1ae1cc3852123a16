"""Dataclasses as JSON and back, and fields from text: typed by annotation, refused in words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Literal

import pytest

from arithtf.origin import Registry
from arithtf.plain import from_plain, from_text, to_plain


class Shape:
    registry: ClassVar[Registry] = Registry(
        "shape", "a Shape", lambda v: isinstance(v, type) and issubclass(v, Shape)
    )


@dataclass(frozen=True)
class Square(Shape):
    side: float = 1.0


@dataclass(frozen=True)
class Point(Shape):
    pass


for made in (Square, Point):
    Shape.registry.add(made.__name__.lower(), made)


@dataclass(frozen=True, kw_only=True)
class Drawing:
    size: int
    name: str = "drawing"
    scale: float = 1.0
    filled: bool = False
    colour: Literal["red", "blue"] = "red"
    shape: Shape | None = None
    pair: tuple[int, int] = (1, 10)
    windows: tuple[int | tuple[int, int] | None, ...] = (None,)
    words: tuple[str, ...] = ()
    by_name: Mapping[str, Square] = field(default_factory=dict)

    def __post_init__(self):
        if self.size < 1:
            raise ValueError(f"size must be at least 1, got {self.size}")


FULL = Drawing(
    size=3,
    scale=2,
    filled=True,
    colour="blue",
    shape=Square(2.5),
    pair=(2, 3),
    windows=(1, (2, 3), None),
    words=("a", "b"),
    by_name={"x": Square(), "y": Square(3.0)},
)


def test_what_is_written_is_read_back():
    data = to_plain(FULL)
    assert data["shape"] == {"name": "square", "side": 2.5}
    assert data["windows"] == [1, [2, 3], None]
    assert from_plain(Drawing, data) == FULL
    assert from_plain(Drawing, {"size": 1}) == Drawing(size=1)
    assert type(from_plain(float, 2)) is float


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"size": 0}, "size must be at least 1, got 0"),
        ({"size": 1.5}, r"size: expected a whole number, got 1.5"),
        ({"size": True}, r"size: expected a whole number, got true"),
        ({"filled": 1}, r"filled: expected true or false, got 1"),
        ({"colour": "green"}, 'colour: expected one of red, blue, got "green"'),
        ({"pair": [1, 2, 3]}, r"pair: expected two numbers like 1-8, got \[1, 2, 3\]"),
        ({"pair": [1, "a"]}, r'pair\[1\]: expected a whole number, got "a"'),
        ({"words": "ab"}, "words: expected a list"),
        ({"windows": ["a"]}, r"windows\[0\]: expected a whole number or two numbers .* or none"),
        ({"shape": {"name": "sqare"}}, "no shape is named 'sqare'; did you mean square"),
        ({"shape": {"name": "square", "sied": 1}}, "shape has no field 'sied'; did you mean side"),
        ({"shape": {"side": 1}}, "shape: expected a shape by its name"),
        ({"sizes": 1}, "Drawing has no field 'sizes'; did you mean size. Its fields: size, name"),
        ({"by_name": {"x": {"name": "square", "side": "1"}}}, "by_name.x.side: expected a number"),
    ],
)
def test_wrong_data_are_refused_in_words(change, message):
    with pytest.raises(ValueError, match=message):
        from_plain(Drawing, {**to_plain(FULL), **change})


def test_a_field_without_default_is_needed():
    with pytest.raises(ValueError, match="expected a value for 'size', got none"):
        from_plain(Drawing, {"name": "x"})


@pytest.mark.parametrize(
    ("expected", "text", "value"),
    [
        (int, "96", 96),
        (int, "-1", -1),
        (float, "3e-4", 3e-4),
        (float, "2", 2.0),
        (bool, "true", True),
        (str, "true", "true"),
        (str, "7", "7"),
        (int | None, "none", None),
        (Literal["red", "blue"], "blue", "blue"),
        (tuple[int, int], "1-8", (1, 8)),
        (tuple[int, int], "1,8", (1, 8)),
        (tuple[float, float], "0.9,0.95", (0.9, 0.95)),
        (tuple[str, ...], "attention,mlp", ("attention", "mlp")),
        (tuple[str, ...], "", ()),
        (tuple[int, ...] | None, "0,0,1", (0, 0, 1)),
        (tuple[int, ...] | None, "none", None),
        (tuple[int | tuple[int, int] | None, ...], "1-0,none,3", ((1, 0), None, 3)),
        (tuple[int | tuple[int, int] | None, ...], "[[1, 0], null]", ((1, 0), None)),
        (Shape | None, "square", Square()),
        (Shape | None, "none", None),
        (Shape | None, '{"name": "square", "side": 2}', Square(2.0)),
    ],
)
def test_texts(expected, text, value):
    found = from_text(expected, text, "field")
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("expected", "text", "message"),
    [
        (int, "96.5", "field: expected a whole number, got '96.5'"),
        (int, "many", "field: expected a whole number, got 'many'"),
        (bool, "1", "field: expected true or false, got '1'"),
        (tuple[int, int], "1-8-9", "field: expected two numbers like 1-8, got '1-8-9'"),
        (tuple[int, int], "[1, 8", "not JSON"),
        (tuple[int, ...] | None, "0,x", "expected a list .* whole number or none, got '0,x'"),
        (Shape | None, "sqare", "no shape is named 'sqare'; did you mean square"),
    ],
)
def test_texts_that_are_no_value(expected, text, message):
    with pytest.raises(ValueError, match=message):
        from_text(expected, text, "field")
