"""Examples as the search sees them: tokens, the segment of each and its place in it; no ids."""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from arithtf import _core
from arithtf.tasks import IGNORE, NO_ID, Address, Coupling, Draw, Level, Place, Segments, Task

PLACES = tuple(f.name for f in fields(Place) if f.name != "offset")
"""What a token can know of its place: left, right, row, index, width (see `Place`)."""

_SAMPLE = 64  # instances drawn to see how many queries one has


@dataclass(frozen=True, eq=False)
class Examples:
    """Instances without ids.

    Args:
        segments: the layout's segments.
        written: those that the model writes, which have queries.
        places: names of the places known, in the order of the arrays.
        tokens: uint8 [B, T].
        targets: uint8 [B, T], IGNORE where nothing is predicted.
        query_places: int32 [B, 1 + P, T]: segment's number and places of the token to come.
        key_places: int32 [B, 1 + P, T]: the same of the token that stands there; NO_ID for a
            place that it does not know.
    """

    segments: tuple[str, ...]
    written: tuple[str, ...]
    places: tuple[str, ...]
    tokens: NDArray[np.uint8]
    targets: NDArray[np.uint8]
    query_places: NDArray[np.int32]
    key_places: NDArray[np.int32]

    query_token: NDArray[np.uint8] = field(init=False)
    target: NDArray[np.uint8] = field(init=False)

    def __post_init__(self) -> None:
        asked = self.targets != IGNORE
        object.__setattr__(self, "query_token", self.tokens[asked])
        object.__setattr__(self, "target", self.targets[asked])

    def __len__(self) -> int:
        return len(self.tokens)

    @property
    def queries(self) -> int:
        """Predictions in all instances."""
        return len(self.target)

    def head(self, queries: int) -> Examples:
        """The first instances, so many that they have at least this many queries."""
        ends = np.cumsum((self.targets != IGNORE).sum(axis=1))
        count = int(np.searchsorted(ends, queries)) + 1
        return self._part(slice(0, count))

    def only(self, segment: int) -> Examples:
        """The same instances with the queries of one segment alone."""
        asked = self.query_places[:, 0] == segment
        return replace(self, targets=np.where(asked, self.targets, IGNORE).astype(np.uint8))

    def _part(self, part: slice) -> Examples:
        return replace(
            self,
            tokens=self.tokens[part],
            targets=self.targets[part],
            query_places=self.query_places[part],
            key_places=self.key_places[part],
        )

    def joined(self, more: Examples) -> Examples:
        """These instances and then others of the same task."""
        width = max(self.tokens.shape[1], more.tokens.shape[1])

        def both(name: str, filler: int) -> Any:
            parts = []
            for part in (getattr(self, name), getattr(more, name)):
                padding = [(0, 0)] * (part.ndim - 1) + [(0, width - part.shape[-1])]
                parts.append(np.pad(part, padding, constant_values=filler))
            return np.concatenate(parts)

        return replace(
            self,
            tokens=both("tokens", 0),
            targets=both("targets", IGNORE),
            query_places=both("query_places", NO_ID),
            key_places=both("key_places", NO_ID),
        )

    def lookups(
        self, relations: NDArray[np.int64], low: int, high: int
    ) -> tuple[NDArray[np.uint64], NDArray[np.int32]]:
        """What each query sees by relations of places.

        Args:
            relations: int64 [N, 2 + 2P]: query and key segment, factors of the key's places and of
                the query's.
            low, high: values of key minus query that are looked at.

        Returns:
            uint64 [N, high - low + 1, queries], a sum of codes of the tokens seen, 0 for none; and
            int32 [N, high - low + 1], the most tokens that one query sees.
        """
        return _core.lookups(
            self.tokens, self.query_places, self.key_places, self.targets, relations, low, high, 0
        )


def places_coupling(segments: Segments) -> Coupling:
    """Ids that are no alignment: the number of each token's segment, and each place by itself."""
    number = {name: Place(offset=at) for at, name in enumerate(segments.names)}
    levels = [Level(name="segment", key=number, query=number)]
    for place in PLACES:
        known = [name for name in segments.names if place != "right" or name in segments.prompt]
        forms = {name: Place(**{place: 1}) for name in known}
        levels.append(Level(name=place, key=forms, query=forms))
    return Coupling("places", tuple(levels))


def draw_examples(
    task: Task, *, seed: int, step: int, lengths: tuple[int, int], queries: int
) -> Examples:
    """Problems of the training split with about that many queries.

    Args:
        task: the task; only its tokens and the places of its layout are used.
        seed, step: the address of the draw.
        lengths: shortest and longest operand.
        queries: predictions wanted; whole instances are drawn.

    Returns:
        The examples.
    """
    coupling = places_coupling(task.segments)

    def draw(size: int) -> Examples:
        made = task.sample(Address(seed, "train", step), Draw(lengths, size))
        ids = coupling.ids(made)
        return Examples(
            made.segments.names,
            made.segments.written,
            PLACES,
            made.tokens,
            made.targets,
            ids.query,
            ids.key,
        )

    sample = draw(_SAMPLE)
    return draw(max(1, round(queries * len(sample) / sample.queries)))
