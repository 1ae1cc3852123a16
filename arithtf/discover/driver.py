"""From a task to a coupling whose contexts are enumerated, and to a recipe that trains it."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from arithtf.certify import CannotCertify, check_task
from arithtf.certify.cover import check_enumerable
from arithtf.discover.growth import Report
from arithtf.discover.search import GENERATIONS, Found, Search, Windows, drawn
from arithtf.encodings import Encoding, Table
from arithtf.model import ModelConfig
from arithtf.origin import portable
from arithtf.recipes import RECIPES, Recipe
from arithtf.runs import RunError, read_json, write_json
from arithtf.runs.shapes import COUNT, FLAG, OBJECT, Kind, misfit
from arithtf.tasks import ArithmeticTask, Coupling, Task, task_to_dict
from arithtf.train.data import collected

FORMAT = 2
FILE = "discovery.json"
_SHOWN = 8  # couplings passed over that the file names
_SCHEDULE = (
    "lengths",
    "batch",
    "local",
    "local_batches",
    "steps",
    "learning_rate",
    "warmup",
    "weight_decay",
)
_MORE = 4  # times as many problems from which a scratchpad's contexts are collected
_DECAY = 0.1  # weight decay on scratchpads


@dataclass(frozen=True)
class Discovery:
    """What a search found.

    Args:
        coupling, windows: as a recipe takes them.
        finished: False if the search was cut off; the coupling is then the best until there.
        found: what the examples say of it.
        contexts: all that occur at any length, by enumeration; None if that was not possible.
        lookups: different lookups of each written segment's queries, and how many relations gave.
        tried: candidates scored.
        log_space: log10 of the number of tables of as many levels.
        passed_over: couplings that were refused, and why.
        seconds: from examples to coupling, and the enumeration after it.
    """

    coupling: Coupling
    windows: Windows
    finished: bool
    found: Found
    contexts: int | None
    lookups: Mapping[str, tuple[int, int]]
    tried: int
    log_space: float
    passed_over: tuple[tuple[Coupling, Windows, str], ...]
    seconds: tuple[float, float]

    def to_dict(self, task: Task, seed: int) -> dict[str, Any]:
        """JSON form without the seconds, so that the same search writes the same bytes."""
        return {
            "format": FORMAT,
            "task": portable(task_to_dict(task)),
            "seed": seed,
            "finished": self.finished,
            "coupling": self.coupling.to_dict(),
            "windows": [list(window) for window in self.windows],
            "contexts": self.contexts,
            "examples": {
                "contexts": self.found.contexts,
                "conflicts": self.found.conflicts,
                "new_in_longer": self.found.new_longer,
                "new_in_short": self.found.new_short,
            },
            "description_length": self.found.length,
            "lookups": {name: list(counts) for name, counts in self.lookups.items()},
            "tried": self.tried,
            "log10_space": round(self.log_space, 2),
            "passed_over": [
                {"coupling": c.to_dict(), "windows": [list(x) for x in w], "why": why}
                for c, w, why in self.passed_over[:_SHOWN]
            ],
        }


class NothingFound(RunError):
    """No coupling of the space is free of conflicts and enumerable."""


class Discoverer:
    """A search with the covering set's judgement; `best` works at any moment, also after Ctrl-C.

    Args:
        task: the task.
        seed: of the examples.
        report: called while candidates are scored.
    """

    def __init__(
        self,
        task: ArithmeticTask,
        *,
        seed: int = 0,
        report: Report = lambda what, done, total: None,
    ) -> None:
        """Draw the examples."""
        self._begun = time.perf_counter()
        self._task = task
        self._clashing: list[tuple[Coupling, Windows, str]] = []
        self._search = Search(*drawn(task, seed), refuse=self._refuse, report=report)

    def run(self) -> Discovery:
        """The best coupling that has no conflict at any length.

        Where the task's covering set accepts none of the simplest lookups by itself, it is one
        for a coupling of its own; then the best on the examples is returned, not enumerated.

        Raises:
            NothingFound: there is none within the generations that are searched.
        """
        for found in self._search.results():
            begun = time.perf_counter()
            coupling, windows = self._search.coupling(found.tables)
            if not self._search.enumerable:
                recipe = recipe_of(self._task, coupling, windows, seed=0)
                if recipe.local and collected(recipe).conflicts():
                    why = f"two of {recipe.local_batches * recipe.batch:,} training problems clash"
                    self._clashing.append((coupling, windows, why))
                    continue
                self._clashing.append((coupling, windows, self._refuse(coupling, windows) or ""))
                return self._discovery(found, None, 0.0, finished=True)
            try:
                contexts = len(check_task(self._task, coupling, windows).contexts.target)
            except CannotCertify as error:
                self._clashing.append((coupling, windows, str(error)))
                continue
            return self._discovery(found, contexts, time.perf_counter() - begun, finished=True)
        raise NothingFound(
            f"no coupling for {self._task.name} was found in {GENERATIONS} generations: "
            f"{self._search.tried:,} tables tried, {len(self._passed_over())} passed over"
        )

    def best(self) -> Discovery | None:
        """The best so far, unfinished; None before anything was scored."""
        found = self._search.best()
        return None if found is None else self._discovery(found, None, 0.0, finished=False)

    def _discovery(
        self, found: Found, contexts: int | None, enumerated: float, *, finished: bool
    ) -> Discovery:
        search = self._search
        coupling, windows = search.coupling(found.tables)
        return Discovery(
            coupling,
            windows,
            finished,
            found,
            contexts,
            search.lookups(),
            search.tried,
            search.log_space(),
            self._passed_over(),
            (time.perf_counter() - self._begun - enumerated, enumerated),
        )

    def _refuse(self, coupling: Coupling, windows: Windows) -> str | None:
        try:
            check_enumerable(self._task, coupling, windows)
        except ValueError as error:
            return str(error)
        return None

    def _passed_over(self) -> tuple[tuple[Coupling, Windows, str], ...]:
        refused = ((*self._search.coupling(t), why) for t, why in self._search.refused)
        return (*self._clashing, *refused)


_PAIR = Kind("two whole numbers", lambda value: len(value) == 2 and all(map(COUNT.fits, value)))
SHAPE = {
    "task": OBJECT,
    "seed": COUNT,
    "finished": FLAG,
}
FOUND = {
    "coupling": OBJECT,
    "windows": Kind(
        "a list of two whole numbers each",
        lambda value: (
            isinstance(value, list)
            and all(isinstance(pair, list) and _PAIR.fits(pair) for pair in value)
        ),
    ),
}


def read_discovery(path: Path, task: Task, seed: int) -> tuple[Coupling, Windows] | None:
    """The coupling of a finished search for that task with that seed; None if there is none.

    Raises:
        RunError: the file is of another task, seed or format.
    """
    if not path.exists():
        return None
    data = read_json(path, {"format": COUNT})
    if data["format"] != FORMAT:
        raise RunError(f"{path} is not a discovery of format {FORMAT}; choose another --out")
    if wrong := misfit(data, SHAPE):
        raise RunError(f"{path} is damaged: {wrong}; remove it, and the search begins anew")
    if data["task"] != portable(task_to_dict(task)) or data["seed"] != seed:
        raise RunError(f"{path} is of another task or seed; choose another --out")
    if not data["finished"]:
        return None
    if wrong := misfit(data, FOUND):
        raise RunError(f"{path} is damaged: {wrong}; remove it, and the search begins anew")
    windows = tuple((back, ahead) for back, ahead in data["windows"])
    try:
        return Coupling.from_dict(data["coupling"]), windows
    except (LookupError, TypeError, ValueError) as error:
        raise RunError(
            f"{path} is damaged: its coupling is none: {error}; remove it, and the search begins "
            "anew"
        ) from None


def save_discovery(path: Path, discovery: Discovery, task: Task, seed: int) -> None:
    """Write it atomically."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_json(path, discovery.to_dict(task, seed))


def recipe_of(task: Task, coupling: Coupling, windows: Windows, *, seed: int) -> Recipe:
    """A recipe that trains a found coupling.

    Sizes and schedule are those of the ready-made recipe of the task, where there is one, and the
    defaults elsewhere; of its coupling, windows and heads' levels nothing is taken. Where that
    recipe trains on distinct local contexts, another coupling has others: they are collected from
    more problems, short ones among them, and tokens may share a level, which takes more hidden
    units to tell apart.
    """
    ready = RECIPES.get(task.name)
    settings = ready(task) if ready and isinstance(task, type(ready.task)) else None
    config = settings.model if settings else ModelConfig(vocabulary=task.vocabulary.size)
    heads, hidden = config.heads, config.hidden
    while heads < len(windows) and config.width % (2 * heads) == 0:
        heads *= 2
    schedule = {name: getattr(settings, name) for name in _SCHEDULE} if settings else {}
    if settings and settings.local:
        hidden *= 2
        schedule |= {
            "lengths": (1, settings.lengths[1]),
            "local_batches": _MORE * settings.local_batches,
            "weight_decay": _DECAY,
        }
    encoding = Encoding(
        mechanism=Table(reach=max(1, *(max(window) for window in windows))),
        windows=windows,
        sinks=1,
        head_levels=_head_levels(coupling, windows, heads),
    )
    model = ModelConfig(
        vocabulary=task.vocabulary.size,
        levels=len(windows),
        encoding=encoding,
        heads=heads,
        width=config.width,
        hidden=hidden,
        blocks=config.blocks,
    )
    return Recipe(
        name=f"discover-{task.name}",
        task=task,
        coupling=coupling,
        model=model,
        seed=seed,
        **schedule,
    )


def _head_levels(coupling: Coupling, windows: Windows, heads: int) -> tuple[int, ...]:
    """A head for each level, the others in turn to where most tokens are seen by a head."""
    seen = [
        len(level.key) * (back + ahead + 1)
        for level, (back, ahead) in zip(coupling.levels, windows, strict=True)
    ]
    given = [1] * len(seen)
    while sum(given) < heads:
        given[max(range(len(seen)), key=lambda level: (seen[level] / given[level], -level))] += 1
    return tuple(level for level, count in enumerate(given) for _ in range(count))
