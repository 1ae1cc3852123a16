"""`Positions`: where tokens are and who sees whom, all of a call that gets no gradient."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass, fields
from typing import Any, cast

import torch
from torch import Tensor

NO_ID = -(2**31)
"""The id of a token that has none on a level; it matches nothing, whatever the window."""

Window = tuple[int, int] | None
"""(back, ahead): visible iff -back <= key_id - query_id <= ahead. None: no limit."""
WindowLike = int | Sequence[int] | None
"""A window as people write it: w means (w, w)."""

# Beyond every difference of two int32 ids, so that a missing id is outside every window.
FAR = 2**40
UNLIMITED = 2**33
# Fields that are tensors and their dimensions, and what these mean.
_DIMENSIONS = (("query_ids", 3), ("key_ids", 3), ("prefix", 1), ("documents", 2))
_FORMS = {1: "[B]", 2: "[B or 1, Tk]", 3: "[B or 1, levels, T]"}


def normalise_window(window: WindowLike) -> Window:
    """`w` means (w, w); None means no limit.

    Raises:
        ValueError: a negative or malformed window.
    """
    if window is None:
        return None
    pair = (window, window) if isinstance(window, int) else tuple(window)
    if len(pair) == 2:
        back, ahead = pair
        whole = isinstance(back, int) and isinstance(ahead, int)
        if whole and 0 <= back < 2**31 and 0 <= ahead < 2**31:
            return back, ahead
    raise ValueError(
        f"expected a window of None, w >= 0 or (back, ahead), both >= 0, got {window!r}"
    )


# No equality: it would compare tensors.
@dataclass(frozen=True, eq=False)
class Positions:
    """Ids, windows, order, sinks and documents of the tokens of one attention call.

    Query i sits at key column query_start + i. A pair is visible iff its id difference
    key_id - query_id lies in the window of the head's level (or the key is a sink), the order
    (causal, prefix) allows it and both are of one document.

    Args:
        query_ids: int32 [B or 1, L, Tq]; NO_ID matches nothing. None: column indices, one level.
            [Tq] and [L, Tq] are the same for all of a batch; [L, Tq] needs a window per level.
            int64 is converted, which asks a GPU whether it fits.
        key_ids: [B or 1, L, Tk]; as query_ids, and both or neither.
        windows: how far a query sees on each level: one window for all, or a sequence of one per
            level. A window is None (no limit), w, or (back, ahead): visible iff
            -back <= key_id - query_id <= ahead.
        head_levels: the level each of H heads reads; default h % L.
        sinks: leading columns (of each document) that every query may see, whatever their ids;
            they take part with the plain dot product.
        causal: key column <= query column.
        query_start: key column of the first query.
        prefix: integers [B]; columns below it are visible to all queries (in their window).
        documents: integers [Tk] or [B or 1, Tk], non-decreasing; only keys of the same document
            are visible.

    Raises:
        ValueError, TypeError: what was expected, what came, what to do.
    """

    query_ids: Tensor | None = None
    key_ids: Tensor | None = None
    _: KW_ONLY
    windows: WindowLike | Sequence[WindowLike] = None
    head_levels: Sequence[int] | None = None
    sinks: int = 0
    causal: bool = True
    query_start: int = 0
    prefix: Tensor | None = None
    documents: Tensor | None = None

    def __post_init__(self) -> None:
        put = object.__setattr__
        for name, dims in _DIMENSIONS:
            given = getattr(self, name)
            if given is not None:
                put(self, name, _integers(name, given, dims, self.windows))
        if (self.query_ids is None) != (self.key_ids is None):
            raise ValueError("expected query_ids and key_ids, or neither, got one; pass both")
        levels = 1
        if self.query_ids is not None and self.key_ids is not None:
            levels = self.key_ids.shape[1]
            if self.query_ids.shape[1] != levels:
                raise ValueError(
                    "expected query_ids and key_ids [B or 1, levels, T] of as many levels, got "
                    f"{list(self.query_ids.shape)} and {list(self.key_ids.shape)}"
                )
        put(self, "windows", _windows_of(self.windows, levels))
        if self.head_levels is not None:
            put(self, "head_levels", _levels_of(self.head_levels, levels))
        if self.sinks < 0 or self.query_start < 0:
            raise ValueError(
                f"expected sinks and query_start >= 0, got {self.sinks} and {self.query_start}"
            )

    @classmethod
    def trusted(cls, **values: Any) -> Positions:
        """Positions of all fields, which were checked before: they are not checked again."""
        made = object.__new__(cls)
        for name, value in values.items():
            object.__setattr__(made, name, value)
        return made

    def checked_for(self, query: Tensor, key: Tensor) -> Positions:
        """These positions with ids and head_levels filled in, checked against a call's tensors.

        Args:
            query: [B, H, Tq, D]. key: [B, H, Tk, D].

        Raises:
            ValueError: what was expected, what came, what to do.
        """
        batch, heads, tq, _ = query.shape
        tk, start = key.shape[2], self.query_start
        if start + tq > tk:
            raise ValueError(
                f"expected queries at columns within the {tk} keys, got columns {start} to "
                f"{start + tq - 1}; set query_start to the key column of the first query"
            )
        filled: dict[str, Any] = {}
        if self.query_ids is None or self.key_ids is None:
            columns = torch.arange(tk, dtype=torch.int32, device=key.device)[None, None]
            filled |= {"query_ids": columns[..., start : start + tq], "key_ids": columns}
        else:
            levels = self.levels
            _check_shape("query_ids", self.query_ids, (batch, levels, tq), query)
            _check_shape("key_ids", self.key_ids, (batch, levels, tk), query)
        if self.prefix is not None:
            _check_shape("prefix", self.prefix, (batch,), query)
        if self.documents is not None:
            _check_shape("documents", self.documents, (batch, tk), query)
        if self.head_levels is None:
            filled["head_levels"] = tuple(h % self.levels for h in range(heads))
        elif len(self.head_levels) != heads:
            raise ValueError(
                f"expected head_levels of {heads} numbers in 0..{self.levels - 1}, "
                f"got {list(self.head_levels)}"
            )
        if not filled:
            return self
        return Positions.trusted(**{f.name: getattr(self, f.name) for f in fields(self)} | filled)

    @property
    def pairs(self) -> tuple[Window, ...]:
        """The window of each level, normalised."""
        return cast("tuple[Window, ...]", self.windows)

    @property
    def levels(self) -> int:
        """L, how many id systems there are."""
        return len(self.pairs)

    @property
    def ids(self) -> tuple[Tensor, Tensor]:
        """Ids of queries and of keys; there once `checked_for` has filled them in."""
        assert self.query_ids is not None
        assert self.key_ids is not None
        return self.query_ids, self.key_ids

    @property
    def reads(self) -> tuple[int, ...]:
        """The level each head reads; there once `checked_for` has filled it in."""
        assert self.head_levels is not None
        return tuple(self.head_levels)

    @property
    def read(self) -> tuple[int, ...]:
        """The levels that any head reads, ascending."""
        return tuple(sorted(set(self.reads)))

    @property
    def read_windows(self) -> tuple[tuple[int, int], ...]:
        """Windows of the levels in `read`, those without limit as numbers."""
        pairs = self.pairs
        return tuple(pairs[level] or (UNLIMITED, UNLIMITED) for level in self.read)

    def _by_head(self) -> list[int]:
        """Levels in head order, a single entry where all heads read the same."""
        read = self.reads
        return [read[0]] if len(set(read)) == 1 else list(read)

    def ids_of_heads(self) -> tuple[Tensor, Tensor]:
        """Ids of queries and keys as heads read them: [B or 1, H or 1, T]."""
        query, key = self.ids
        if self.levels == 1:
            return query, key
        levels = self._by_head()
        return query[:, levels], key[:, levels]

    def differences(self) -> Tensor:
        """key_id - query_id as heads read it: int64 [B or 1, H or 1, Tq, Tk].

        Pairs in which either side has no id get a difference outside every window.
        """
        query, key = self.ids_of_heads()
        far_query = query.long().masked_fill(query == NO_ID, FAR)
        far_key = key.long().masked_fill(key == NO_ID, -FAR)
        return far_key.unsqueeze(-2) - far_query.unsqueeze(-1)

    def visibility(self, differences: Tensor) -> tuple[Tensor, Tensor | None]:
        """Visible pairs and sink columns: the definition that all implementations follow.

        Args:
            differences: what `differences()` returned.

        Returns:
            bool [B or 1, H or 1, Tq, Tk], and bool [B or 1, 1, 1, Tk] (None without sinks).
        """
        visible = self._in_window(differences)
        sink = self.sink_columns()[:, None, None] if self.sinks else None
        if sink is not None:
            visible = visible | sink
        allowed = self._allowed()
        return (visible if allowed is None else visible & allowed), sink

    def _in_window(self, differences: Tensor) -> Tensor:
        pairs = [w or (UNLIMITED, UNLIMITED) for w in self.pairs]
        if len(set(pairs)) == 1:
            back, ahead = pairs[0]
            if back == ahead:
                return differences.abs() <= back
            return (differences >= -back) & (differences <= ahead)
        of_heads = [pairs[level] for level in self._by_head()]
        bounds = [[-back for back, _ in of_heads], [ahead for _, ahead in of_heads]]
        low, high = torch.tensor(bounds, device=differences.device)[:, :, None, None].unbind()
        return (differences >= low) & (differences <= high)

    def _allowed(self) -> Tensor | None:
        """What order and documents allow: bool [B or 1, 1, Tq, Tk], None if everything."""
        query_ids, key_ids = self.ids
        end = self.query_start + query_ids.shape[-1]
        query = torch.arange(self.query_start, end, device=key_ids.device)
        key = torch.arange(key_ids.shape[-1], device=key_ids.device)
        allowed = key <= query[:, None] if self.causal else None
        if allowed is not None and self.prefix is not None:
            allowed = allowed | (key < self.prefix[:, None, None, None])
        if self.documents is not None:
            mine = self.documents[:, self.query_start : end]
            same = mine[:, None, :, None] == self.documents[:, None, None, :]
            allowed = same if allowed is None else allowed & same
        return allowed

    def sink_columns(self) -> Tensor:
        """Which columns are sinks, the first `sinks` of each document: bool [B or 1, Tk]."""
        _, key_ids = self.ids
        length, sinks = key_ids.shape[-1], self.sinks
        leading = torch.arange(length, device=key_ids.device) < sinks
        if self.documents is None or sinks >= length:
            return leading[None]
        # The column `sinks` places before a later sink is of another document.
        earlier = torch.nn.functional.pad(self.documents[:, : length - sinks], (sinks, 0))
        return leading | (earlier != self.documents)


def _integers(
    name: str, given: Tensor, dims: int, windows: WindowLike | Sequence[WindowLike]
) -> Tensor:
    """`given` as int32 of `dims` dimensions."""
    if isinstance(given, Tensor) and given.dtype == torch.int32 and given.dim() == dims:
        return given
    if not isinstance(given, Tensor) or given.dtype not in (torch.int32, torch.int64):
        came = given.dtype if isinstance(given, Tensor) else type(given).__name__
        raise TypeError(f"expected {name} int32 or int64, got {came}; use .to(torch.int32)")
    if not 1 <= given.dim() <= dims:
        raise ValueError(f"expected {name} {_FORMS[dims]}, got shape {list(given.shape)}")
    one_for_all = windows is None or isinstance(windows, int)
    if dims == 3 and given.dim() == 2 and given.shape[0] > 1 and one_for_all:
        raise ValueError(
            f"expected {name} {_FORMS[dims]}, got {list(given.shape)}, whose rows may be levels "
            "or a batch; write ids[None] for levels, ids[:, None] for a batch"
        )
    given = given if given.dtype == torch.int32 else _narrowed(name, given)
    while given.dim() < dims:
        given = given[None]
    return given


def _narrowed(name: str, given: Tensor) -> Tensor:
    """int64 as int32, which it must fit."""
    narrow = given.to(torch.int32)
    same = (narrow == given).all()
    says = f"expected {name} within int32, -2**31 (no id) to 2**31 - 1, got numbers beyond"
    if torch.compiler.is_compiling():  # a graph cannot raise, but it can assert
        torch._assert_async(same, says)
    elif not same:
        least, greatest = (int(x) for x in given.aminmax())
        raise ValueError(f"{says}: {least} to {greatest}; give ids that fit")
    return narrow


def _windows_of(given: WindowLike | Sequence[WindowLike], levels: int) -> tuple[Window, ...]:
    """A normalised window per level."""
    if given is None or isinstance(given, int):
        return (normalise_window(given),) * levels
    windows = tuple(normalise_window(window) for window in given)
    if len(windows) != levels:
        pair = f"; a single (back, ahead) is windows=({tuple(given)},)" if levels == 1 else ""
        raise ValueError(
            f"expected one window per level, got {len(windows)} windows for {levels} levels; "
            f"None is a window without limit{pair}"
        )
    return windows


def _levels_of(given: Sequence[int], levels: int) -> tuple[int, ...]:
    """Levels of heads, each of which is there."""
    reads = tuple(map(int, given))
    if min(reads, default=0) < 0 or max(reads, default=0) >= levels:
        raise ValueError(f"expected head_levels in 0..{levels - 1}, got {list(reads)}")
    return reads


def _check_shape(name: str, given: Tensor, shape: tuple[int, ...], query: Tensor) -> None:
    """Raise ValueError unless `given` has the shape (one row will do for a batch) and device."""
    if given.device != query.device:
        raise ValueError(f"expected {name} on {query.device}, got {given.device}; move it")
    alone = len(shape) > 1 and given.shape[0] == 1
    if given.shape[1:] != shape[1:] or not (alone or given.shape[0] == shape[0]):
        raise ValueError(
            f"expected {name} {_FORMS[len(shape)]} = {list(shape)}, got shape {list(given.shape)}"
        )
