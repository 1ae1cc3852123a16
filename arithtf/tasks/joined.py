"""Several tasks' couplings as one, for a model that does them all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from arithtf.tasks.coupling import Coupling, Level, Place
from arithtf.tasks.work import Work, one_token_each


@dataclass(frozen=True)
class Part:
    """One of the tasks.

    Args:
        name: its segments are called "<name> <segment>" in the joint coupling.
        coupling: its own, of one token a level.
        at: for each of its levels the number of the joint level that takes it in.
        sign: the segment that holds its sign.
        written: segments that are predicted.
    """

    name: str
    coupling: Coupling
    at: tuple[int, ...]
    sign: str
    written: tuple[str, ...]

    def __post_init__(self) -> None:
        levels = len(self.coupling.levels)
        if len(self.at) != levels or len(set(self.at)) != levels:
            raise ValueError(
                f"{self.name}: expected a joint level of its own for each of {levels} levels, got "
                f"{self.at}"
            )


def join(parts: Sequence[Part]) -> Work:
    """Couplings side by side, and a last level on which every answer's token sees the sign.

    An instance is one of a single task, so levels of different tasks can share a joint level: their
    ids never meet.
    """
    count = 1 + max(number for part in parts for number in part.at)
    keys: list[dict[str, Place]] = [{} for _ in range(count)]
    queries: list[dict[str, Place]] = [{} for _ in range(count)]
    signs: dict[str, Place] = {}
    asking: dict[str, Place] = {}
    for part in parts:
        for level, at in zip(part.coupling.levels, part.at, strict=True):
            keys[at].update({f"{part.name} {s}": place for s, place in level.key.items()})
            queries[at].update({f"{part.name} {s}": place for s, place in level.query.items()})
        asking.update(dict.fromkeys((f"{part.name} {s}" for s in part.written), Place()))
        signs[f"{part.name} {part.sign}"] = Place()
    levels = [
        Level(name=f"level {i}", key=key, query=query)
        for i, (key, query) in enumerate(zip(keys, queries, strict=True))
    ]
    levels.append(Level(name="sign", key=signs, query=asking))
    return one_token_each(Coupling("joined", tuple(levels)))


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
