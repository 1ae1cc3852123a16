"""Instances: problems as tokens and targets, with the segment that each token belongs to."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from arithtf import _core

if TYPE_CHECKING:
    from arithtf.tasks.coupling import Coupling

Bytes = npt.NDArray[np.uint8]
Tokens = npt.NDArray[Any]
"""uint8 or uint16, wide enough for the vocabulary and one value more."""

IGNORE: int = _core.IGNORE
"""The target, in tokens of one byte, of a column where nothing is predicted."""


_Run = tuple[int, int, int, int, int, int]


class Segments(NamedTuple):
    """The parts of an instance.

    Args:
        names: all parts in order; a part may come again as rows.
        prompt: those known before the first prediction, so that ids may count from their right end.
    """

    names: tuple[str, ...]
    prompt: tuple[str, ...]

    @property
    def written(self) -> tuple[str, ...]:
        """Those that a model writes."""
        return tuple(name for name in self.names if name not in self.prompt)


@dataclass(eq=False)  # not frozen: that would take as long to make as a batch of short sums
class Instances:
    """Problems side by side, without ids. All arrays are C-contiguous.

    For example `^12+34=64$` of addition has the segments bos, a, +, b, =, answer; the query at "="
    predicts the answer's first token, 6 (digits least significant first).

    Args:
        tokens: [B, T], or factored [B, T, F].
        targets: of the same shape, the next token (`ahead` 1) or the token itself (0) where it is
            predicted; elsewhere the largest value of the dtype, see `ignore`.
        runs: which columns belong to which segment, and where the random parts of ids (starts,
            randomized positions) come from.
        segments: the names that the runs' numbers stand for.
        start: the first column whose query counts. Where every prompt is aligned to its right end,
            that is the column of the last prompt token of every instance.
        ahead: 1 if targets are next tokens, 0 if they stand at the token itself.
        starts: int64 [B], each instance's own first such column, where they differ.
    """

    tokens: Tokens
    targets: Tokens
    runs: _core.Runs
    segments: Segments
    start: int
    ahead: int = 1
    starts: npt.NDArray[np.int64] | None = None

    def __len__(self) -> int:
        return len(self.tokens)

    @classmethod
    def of(
        cls,
        tokens: Tokens,
        targets: Tokens,
        segment: npt.NDArray[np.integer[Any]],
        segments: Segments,
        *,
        start: int,
        ahead: int = 1,
        starts: npt.NDArray[np.int64] | None = None,
    ) -> Instances:
        """Instances from the segment of every column: what a task of your own needs.

        For example a prompt of two keys with their values, the key asked for, and its value:

            tokens   [[3, 7, 5, 6, 5, 6]]
            segment  [[0, 1, 0, 1, 2, 3]]   of Segments(("key", "value", "asked", "answer"), ...)

        Args:
            tokens, targets, start, ahead, starts: as in the class.
            segment: [B, T], a number among `segments.names`; -1 where a column holds nothing, which
                may only be after the last token.
            segments: the names.

        Raises:
            ValueError: shapes that do not fit, a number that no segment has, or a gap.
        """
        rows, columns = tokens.shape[:2]
        if segment.shape != (rows, columns) or targets.shape != tokens.shape:
            raise ValueError(
                f"expected targets of the tokens' shape {tokens.shape} and segment numbers "
                f"{(rows, columns)}, got {targets.shape} and {segment.shape}"
            )
        known = len(segments.names)
        if segment.size and not -1 <= segment.min() <= segment.max() < known:
            raise ValueError(
                f"expected segment numbers -1..{known - 1}, got {segment.min()}..{segment.max()}"
            )
        used = segment >= 0
        if (used[:, 1:] > used[:, :-1]).any():
            raise ValueError("expected columns without a segment after the last token only")
        runs, ends = [], [0]
        known_rows: dict[tuple[int, ...], list[_Run]] = {}  # many problems have the same places
        for row in map(tuple, segment.tolist()):
            if row not in known_rows:
                places = {n: [t for t, k in enumerate(row) if k == n] for n in {*row} - {-1}}
                known_rows[row] = [r for n, at in sorted(places.items()) for r in _runs_of(n, at)]
            runs += known_rows[row]
            ends.append(len(runs))
        facts = np.zeros((rows, 4), np.int64)
        facts[:, 1] = columns
        # What is random in ids follows from the problem alone.
        facts[:, 3] = [zlib.crc32(np.ascontiguousarray(row).tobytes()) for row in tokens]
        cells = np.array(runs, np.int64).reshape(-1, 6)
        made = _core.Runs(cells, np.array(ends, np.int64), facts)
        return cls(tokens, targets, made, segments, start, ahead, starts)

    @property
    def ignore(self) -> int:
        """The target of a column where nothing is predicted."""
        return int(np.iinfo(self.targets.dtype).max)


def _runs_of(number: int, columns: list[int]) -> list[_Run]:
    """A segment's tokens as runs of equal distance: segment, row, length, first, stride, token."""
    runs, first = [], 0
    while first < len(columns):
        rest = columns[first:]
        stride = rest[1] - rest[0] if len(rest) > 1 else 1
        length = 1
        while length < len(rest) and rest[length] - rest[length - 1] == stride:
            length += 1
        runs.append((number, 0, length, first, stride, rest[0]))
        first += length
    return runs


class Ids(NamedTuple):
    """Position ids of a batch; NO_ID where a token has none.

    Args:
        query: int32 [B, L, T], what the predicted token's place is.
        key: int32 [B, L, T], what each token's own place is.
    """

    query: npt.NDArray[np.int32]
    key: npt.NDArray[np.int32]


class Batch(NamedTuple):
    """Instances with their ids: what models, certificates and evaluators read.

    Columns start .. stop - 1 hold the queries that count.

    Args:
        tokens: uint8 [B, T].
        query_ids: int32 [B, L, T], NO_ID where there is none.
        key_ids: int32 [B, L, T], NO_ID where there is none.
        targets: uint8 [B, T], the next token where it is predicted, else IGNORE.
        start: the first column whose query counts.
        instances: where tokens and targets came from; None of a batch made by hand.
    """

    tokens: Tokens
    query_ids: npt.NDArray[np.int32]
    key_ids: npt.NDArray[np.int32]
    targets: Tokens
    start: int
    instances: Instances | None = None

    @property
    def stop(self) -> int:
        """One past the last column whose query counts: T, or T - 1 if targets are next tokens."""
        ahead = 1 if self.instances is None else self.instances.ahead
        return self.tokens.shape[1] - ahead

    @property
    def asked(self) -> Tokens:
        """Targets of the columns start .. stop - 1, [B, stop - start], a view."""
        return self.targets[:, self.start : self.stop]

    @classmethod
    def of(cls, instances: Instances, coupling: Coupling, *, threads: int = 0) -> Batch:
        """Instances with the ids that a coupling gives them.

        Raises:
            ValueError: the coupling does not fit the segments, or an id does not fit 32 bits.
        """
        ids = coupling.ids(instances, threads=threads)
        return cls(
            instances.tokens, ids.query, ids.key, instances.targets, instances.start, instances
        )
