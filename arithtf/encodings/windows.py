"""Windows where each must be finite: what a query sees is then a local context."""

from __future__ import annotations

from collections.abc import Sequence

from arithtf.tasks.coupling import Level

Window = tuple[int, int]
WindowLike = int | tuple[int, int] | None


def finite_windows(windows: Sequence[WindowLike], levels: Sequence[Level]) -> list[Window]:
    """Write every level's window as (back, ahead).

    Args:
        windows: one per level, an int w standing for (w, w).
        levels: the coupling's levels.

    Returns:
        A list of (back, ahead).

    Raises:
        ValueError: not one window per level, or an infinite one.
    """
    if len(windows) != len(levels):
        raise ValueError(f"expected one window per level ({len(levels)}), got {len(windows)}")
    pairs = []
    for level, window in zip(levels, windows, strict=True):
        if window is None:
            raise ValueError(
                f"level {level.name!r} has an infinite window: a query sees ever more keys, so"
                " there is no finite set of local contexts; give the level a window (back, ahead)"
            )
        pairs.append((window, window) if isinstance(window, int) else (window[0], window[1]))
    return pairs
