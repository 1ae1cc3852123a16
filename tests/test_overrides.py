"""Fields set by texts: nested, typed, all of a dataclass at once; what cannot be is refused."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from arithtf.overrides import override, parsed


@dataclass(frozen=True)
class Inner:
    low: int = 0
    high: int = 10

    def __post_init__(self):
        if self.low > self.high:
            raise ValueError(f"low must not exceed high, got {self.low} > {self.high}")


@dataclass(frozen=True)
class Outer:
    seed: int = 0
    name: str = "outer"
    lengths: tuple[int, int] = (1, 10)
    inner: Inner = field(default_factory=Inner)
    more: Inner | None = None


def changed(*settings):
    return override(Outer(), parsed(settings), "a thing")


def test_nothing_set_is_the_same_value():
    value = Outer()
    assert override(value, parsed(()), "a thing") is value


def test_fields_are_set_by_their_types():
    assert changed("seed=3", "name=3", "lengths=2-5") == Outer(3, "3", (2, 5))
    assert changed("inner.high=3").inner == Inner(0, 3)
    assert changed("name=a=b").name == "a=b"


def test_fields_of_one_value_change_at_once():
    # One by one, either order would pass a value that is refused.
    assert changed("inner.low=20", "inner.high=30").inner == Inner(20, 30)
    assert changed("inner.high=-1", "inner.low=-5").inner == Inner(-5, -1)


def test_a_value_as_a_whole_and_fields_of_it():
    assert changed('more={"low": 1}', "more.high=2").more == Inner(1, 2)
    assert changed("more.high=2", 'more={"low": 1}').more == Inner(1, 2)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (("sed=3",), "a thing has no field 'sed'; did you mean seed. Its fields: seed, name, len"),
        (("inner.lo=3",), "inner has no field 'lo'; did you mean low. Its fields: low, high"),
        (("zzz=3",), "a thing has no field 'zzz'. Its fields: seed"),
        (("seed=many",), "seed: expected a whole number, got 'many'"),
        (("inner.low=x",), "inner.low: expected a whole number, got 'x'"),
        (("inner.low=11",), "low must not exceed high, got 11 > 10"),
        (("seed.x=1",), "seed is 0 and has no fields; give it as a whole, seed="),
        (("more.low=1",), "more is None and has no fields; give it as a whole, more="),
        (("seed",), "expected FIELD=VALUE, as in seed=3 or model.width=96, got seed"),
        (("=3",), "expected FIELD=VALUE"),
        (("inner..low=3",), "expected FIELD=VALUE"),
        (("seed=3", "seed=4"), "seed is set twice, to 3 and to 4"),
    ],
)
def test_what_cannot_be_set_is_refused_in_words(settings, message):
    with pytest.raises(ValueError, match=message):
        changed(*settings)
