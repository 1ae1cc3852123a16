"""Several tasks' couplings as one, for a model that does them all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

from arithtf.tasks.coupling import Coupling, Level, Place
from arithtf.tasks.work import Window, Work


@dataclass(frozen=True)
class Part:
    """One of the tasks.

    Args:
        name: its segments are called "<name> <segment>" in the joint coupling.
        work: its coupling and windows.
        at: for each of its levels the number of the joint level that takes it in.
        sign: the segment that holds its sign.
        written: segments that are predicted.
    """

    name: str
    work: Work
    at: tuple[int, ...]
    sign: str
    written: tuple[str, ...]


def join(parts: Sequence[Part], windows: Sequence[Window]) -> Work:
    """Couplings side by side, and a last level on which every answer's token sees the sign.

    A level of window (0, 0) may go into one of a wider window: its ids are multiplied so that only
    difference 0 lies within. Other windows must agree.

    Args:
        parts: the tasks; no two of a task's levels go into the same joint level.
        windows: of the joint levels, without the last.

    Raises:
        ValueError: levels whose windows do not fit.
    """
    keys: list[dict[str, Place]] = [{} for _ in windows]
    queries: list[dict[str, Place]] = [{} for _ in windows]
    signs: dict[str, Place] = {}
    asking: dict[str, Place] = {}
    for part in parts:
        for level, window, at in zip(
            part.work.coupling.levels, part.work.windows, part.at, strict=True
        ):
            factor = scale(part.name, level, window, windows[at])
            for forms, joint in ((level.key, keys[at]), (level.query, queries[at])):
                for segment, place in forms.items():
                    joint[f"{part.name} {segment}"] = times(place, factor)
        asking.update(dict.fromkeys((f"{part.name} {s}" for s in part.written), Place()))
        signs[f"{part.name} {part.sign}"] = Place()
    levels = [
        Level(name=f"level {i}", key=key, query=query)
        for i, (key, query) in enumerate(zip(keys, queries, strict=True))
    ]
    levels.append(Level(name="sign", key=signs, query=asking))
    return Work(Coupling("joined", tuple(levels)), (*windows, (0, 0)))


def scale(name: str, level: Level, window: Window, into: Window) -> int:
    """What a level's ids are multiplied by to go into a level of another window.

    Raises:
        ValueError: the windows do not fit.
    """
    if window == into:
        return 1
    if window != (0, 0):
        raise ValueError(
            f"level {level.name!r} of {name} has the window {window}, which a joint level of "
            f"window {into} would widen; give it one of the same window"
        )
    return max(into) + 1


def times(place: Place, factor: int) -> Place:
    """A form multiplied by a number."""
    return Place(**{name: factor * value for name, value in asdict(place).items()})


def of_part(coupling: Coupling, name: str) -> Coupling:
    """What a joint coupling says of one task, in the task's own segments."""
    prefix = f"{name} "

    def own(forms: Mapping[str, Place]) -> dict[str, Place]:
        return {s.removeprefix(prefix): p for s, p in forms.items() if s.startswith(prefix)}

    levels = (
        Level(name=level.name, key=own(level.key), query=own(level.query), start=level.start)
        for level in coupling.levels
    )
    return Coupling(coupling.name, tuple(levels))
