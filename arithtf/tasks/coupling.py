"""Couplings as data: which position ids the tokens of an instance get, as tables.

For each level and segment, an affine form of what a token knows about its place. The key side says
what a token is; the query side says it of the token to come.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, astuple, dataclass, field, fields
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from arithtf import _core
from arithtf.plain import FieldsOnly
from arithtf.tasks.instances import Ids, Instances, Segments

NO_ID: int = _core.NO_ID
"""The id of a token that has none on a level; it matches nothing."""


@dataclass(frozen=True, kw_only=True)
class Place:
    """id = offset + left * i + right * r + row * rho + index * n + (row_stride + cell * rho) * w.

    Args:
        offset: constant.
        left: factor of i, the token's index from the left in its segment.
        right: factor of r, its index from the right; only in complete segments (the prompt).
        row: factor of rho, the row number of a repeated segment.
        index: factor of n, the token's index in the instance (BOS is 0, PADs not counted).
        row_stride: factor of w, the distance of two rows where ids number the cells of a scratchpad
            row by row (a function of the prompt's lengths; 0 in tasks without rows).
        cell: factor of rho * w: cell=1, left=1 is a number of its own for every cell.
    """

    offset: int = 0
    left: int = 0
    right: int = 0
    row: int = 0
    index: int = 0
    row_stride: int = 0
    cell: int = 0


@dataclass(frozen=True, kw_only=True)
class Level:
    """One id system of an instance.

    Args:
        name: what the ids count, for people.
        key: segment name -> form of what a token is. A segment not named has no id.
        query: segment name of the token to come -> form.
        period: if positive, ids are taken modulo it.
        start: (low, high); added to every id: uniform per instance in split "train", low otherwise.
        shared_start: one start for the whole batch instead of one per instance.
        randomized: if positive, n is replaced by a sorted random sample of [0, randomized).
    """

    name: str
    key: Mapping[str, Place] = field(hash=False)
    query: Mapping[str, Place] = field(hash=False)
    period: int = 0
    start: tuple[int, int] = (0, 0)
    shared_start: bool = False
    randomized: int = 0

    def __post_init__(self) -> None:
        low, high = self.start
        if low > high:
            raise ValueError(f"level {self.name!r}: start must be (low, high), got {self.start}")
        if self.period < 0 or self.randomized < 0:
            raise ValueError(f"level {self.name!r}: period and randomized must be >= 0")
        if max(abs(low), abs(high), self.period, self.randomized) >= 2**31:
            raise ValueError(f"level {self.name!r}: start, period and randomized go up to 2^31 - 1")
        object.__setattr__(self, "key", dict(self.key))
        object.__setattr__(self, "query", dict(self.query))
        object.__setattr__(self, "start", (low, high))


@dataclass(frozen=True)
class Coupling(FieldsOnly):
    """A named tuple of levels: everything that decides the ids of a task's tokens.

    Args:
        name: how recipes and reports call it.
        levels: at least one level.
    """

    name: str
    levels: tuple[Level, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "levels", tuple(self.levels))
        if not self.levels:
            raise ValueError(f"coupling {self.name!r} needs at least one level, got none")

    def ids(self, instances: Instances, *, threads: int = 0) -> Ids:
        """The ids of all tokens on all levels.

        Args:
            instances: B instances of T columns, of any task whose segments the forms name.
            threads: 0 chooses by size; the ids are the same for any number.

        Returns:
            query and key ids int32 [B, L, T]. What is random in them follows from
            `instances.runs`; a level without a random part gives every problem ids of its own.

        Raises:
            ValueError: a segment that the instances do not have, `right` in one that is being
                written, or an id that does not fit 32 bits.
        """
        tables = self._compiled.get(instances.segments)
        if tables is None:
            tables = self._compiled[instances.segments] = compile_coupling(self, instances.segments)
        columns = instances.tokens.shape[1]
        return Ids(*tables.ids(instances.runs, columns, instances.ahead, threads))

    @cached_property
    def _compiled(self) -> dict[Segments, _core.Coupling]:
        return {}

    def to_dict(self) -> dict[str, Any]:
        """A plain dictionary for JSON; forms hold only what is not zero."""
        return {"name": self.name, "levels": [_level_to_dict(level) for level in self.levels]}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Coupling:
        """The coupling that `to_dict` wrote.

        Raises:
            ValueError: a field that is missing or unknown.
        """
        _expect_fields(
            data, required={"name", "levels"}, allowed={"name", "levels"}, what="coupling"
        )
        return cls(data["name"], tuple(_level_from_dict(level) for level in data["levels"]))


def _level_to_dict(level: Level) -> dict[str, Any]:
    data = asdict(level)
    data["start"] = list(level.start)
    for side in ("key", "query"):
        data[side] = {
            segment: {name: value for name, value in form.items() if value}
            for segment, form in data[side].items()
        }
    return data


def _level_from_dict(data: Mapping[str, Any]) -> Level:
    allowed = {f.name for f in fields(Level)}
    _expect_fields(data, required={"name", "key", "query"}, allowed=allowed, what="level")
    values = dict(data)
    for side in ("key", "query"):
        for segment, form in data[side].items():
            places = {f.name for f in fields(Place)}
            _expect_fields(form, required=set(), allowed=places, what=f"form of {segment!r}")
        values[side] = {segment: Place(**form) for segment, form in data[side].items()}
    if "start" in values:
        low, high = values["start"]
        values["start"] = (low, high)
    return Level(**values)


def _expect_fields(
    data: Mapping[str, Any], *, required: set[str], allowed: set[str], what: str
) -> None:
    if missing := sorted(required - set(data)):
        raise ValueError(f"a {what} needs the fields {missing}, got {sorted(data)}")
    if unknown := sorted(set(data) - allowed):
        raise ValueError(f"a {what} has the fields {sorted(allowed)}, got also {unknown}")


def check_coupling(coupling: Coupling, segments: Segments) -> None:
    """Check that a coupling can be evaluated on a task's segments.

    Raises:
        ValueError: a segment the task does not have, or `right` where no length is known yet.
    """
    for level in coupling.levels:
        for side, forms in (("key", level.key), ("query", level.query)):
            for segment, form in forms.items():
                where = f"level {level.name!r}, {side} side, segment {segment!r}"
                if segment not in segments.names:
                    raise ValueError(f"{where}: expected one of the segments {segments.names}")
                if form.right and segment not in segments.prompt:
                    raise ValueError(
                        f"{where}: right must be 0, got {form.right}; the segment is being "
                        "written, its length is not known: use left"
                    )


@lru_cache(maxsize=256)
def compile_coupling(coupling: Coupling, segments: Segments) -> _core.Coupling:
    """A coupling as the tables of the C++ core, for a task's segments.

    Raises:
        ValueError: see `check_coupling`.
    """
    check_coupling(coupling, segments)
    shape = (len(coupling.levels), len(segments.names), 8)
    tables = {side: np.zeros(shape, np.int64) for side in ("key", "query")}
    settings = np.zeros((len(coupling.levels), 5), np.int64)
    for number, level in enumerate(coupling.levels):
        for side, forms in (("key", level.key), ("query", level.query)):
            for segment, form in forms.items():
                row = (1, *astuple(form))
                tables[side][number, segments.names.index(segment)] = row
        settings[number] = (level.period, *level.start, level.shared_start, level.randomized)
    return _core.Coupling(tables["key"], tables["query"], settings)


def segment_numbers(instances: Instances) -> NDArray[np.int32]:
    """The segment of every column as its number among `segments.names`, NO_ID where there is none.

    Returns:
        int32 [B, T].
    """
    key = {name: Place(offset=number) for number, name in enumerate(instances.segments.names)}
    numbers = Coupling("segments", (Level(name="segment", key=key, query={}),))
    return numbers.ids(instances).key[:, 0]
