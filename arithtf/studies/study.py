"""A study: a grid of recipes and seeds, and what is measured of each run.

Every cell of the grid is an ordinary run directory, named by its recipe's hash. So a study may
grow, and any number of workers agree on what is where.
"""

from __future__ import annotations

import inspect
import re
import typing
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, is_dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

from arithtf.origin import Registry
from arithtf.overrides import parsed
from arithtf.plain import check_names, from_text, returns
from arithtf.recipes import Recipe, recipe_hash, run_name

Row = dict[str, Any]
Evaluation = Callable[[Path], Iterable[Row]]

FOLDER = Path("studies")
PREDICTIONS = "predictions.json"


def identity(evaluation: Evaluation) -> str:
    """What an evaluation is called in files: with its settings, if it is a dataclass."""
    if is_dataclass(evaluation):
        return repr(evaluation)
    return str(getattr(evaluation, "__qualname__", repr(evaluation)))


class Cell(NamedTuple):
    """One recipe with one seed.

    Args:
        name: of its run directory: readable, then the hash of the recipe, the seed in it.
        recipe: what is trained.
        group: the hash of the recipe but for its seed; seeds of one group are summed up.
    """

    name: str
    recipe: Recipe
    group: str


@dataclass(frozen=True, kw_only=True)
class Study:
    """A grid of recipes and seeds.

    Args:
        name: of its folder.
        recipes: yields the recipes; their names are what boards show.
        what: one line for people.
        seeds: every recipe is run with each of these.
        evaluations: functions of a finished run's directory, or dataclasses that are called with
            it, that yield rows for its eval.jsonl (`arithtf.studies.evaluations` has some, and
            `measured`, which boards read). Where one is added or its settings change, finished
            cells are evaluated again by it alone.
        factors: what a board's first columns show of a recipe; its name if None.
        predictions: what is expected of a recipe before it is trained, as rows of `measured`.
        trained: False if recipes are looked at without being trained.

    Raises:
        ValueError: a name that cannot be one of a folder, no seeds, or evaluations that cannot be
            told apart by their names.
    """

    name: str
    recipes: Callable[[], Iterable[Recipe]]
    what: str = ""
    seeds: Sequence[int] = range(3)
    evaluations: tuple[Evaluation, ...] = ()
    factors: Callable[[Recipe], Mapping[str, Any]] | None = None
    predictions: Callable[[Recipe], Iterable[Row]] | None = None
    trained: bool = True

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", self.name):
            raise ValueError(
                "expected a study's name of letters, digits and . _ - like widths-small, "
                f"got {self.name!r}"
            )
        if not self.seeds:
            raise ValueError(f"study {self.name} has no seeds; give it seeds=range(3)")
        names = [identity(evaluation) for evaluation in self.evaluations]
        for name in names:
            if " at 0x" in name or names.count(name) > 1:
                raise ValueError(
                    f"study {self.name}: expected evaluations that their names tell apart in every "
                    f"process, got {name}; write a function with a name of its own, or a dataclass"
                )

    def cells(self) -> list[Cell]:
        """All cells: each recipe with all seeds, then the next.

        Raises:
            ValueError: there are none, two are the same run, or a recipe cannot be made.
            TypeError: a recipe is none.
        """
        found: dict[str, Cell] = {}
        for recipe in self._recipes():
            group = recipe_hash(replace(recipe, seed=0))
            for seed in self.seeds:
                seeded = replace(recipe, seed=seed)
                name = run_name(seeded)
                if name in found:
                    raise ValueError(
                        f"study {self.name} has recipe {recipe.name!r} with seed {seed} twice; "
                        "each recipe and each seed may be there once"
                    )
                found[name] = Cell(name, seeded, group)
        return list(found.values())

    def _recipes(self) -> list[Recipe]:
        made: list[Recipe] = []
        try:
            for recipe in self.recipes():
                made.append(recipe)
        except (ValueError, TypeError) as error:
            number = len(made) + 1
            raise ValueError(
                f"study {self.name}: recipe number {number} cannot be made: {error}"
            ) from error
        if not made:
            raise ValueError(
                f"study {self.name} has no recipes; its function recipes= must yield some"
            )
        for recipe in made:
            if not isinstance(recipe, Recipe):
                raise TypeError(
                    f"study {self.name}: expected a Recipe, got {recipe!r}; "
                    "arithtf.recipes.get_recipe makes one of a name"
                )
        return made

    def factors_of(self, recipe: Recipe) -> dict[str, Any]:
        """What a board's first columns show of a recipe."""
        return {"recipe": recipe.name} if self.factors is None else dict(self.factors(recipe))

    @property
    def folder(self) -> Path:
        """Where it is run unless told otherwise."""
        return FOLDER / self.name


STUDIES: Registry[Study | Callable[..., Study]] = Registry(
    "study",
    "a Study or a function that returns one (-> Study)",
    lambda value: isinstance(value, Study) or returns(value, Study),
    plural="studies",
    listed="`arithtf study list` lists all",
)


def get_study(name: str, *settings: str) -> Study:
    """A study by name.

    Args:
        name: one of STUDIES, `file.py`, `file.py:name` or `package.module:name`.
        settings: `parameter=value` for the parameters of a study that is written as a function.

    Raises:
        ValueError: there is no such study or parameter, or a value cannot be.
    """
    made = STUDIES.resolve(name)
    changes = parsed(settings)
    if isinstance(made, Study):
        if changes:
            raise ValueError(
                f"{name} is one study and takes no settings; to give it some, write it as a "
                "function with parameters that returns a Study"
            )
        return made
    hints = typing.get_type_hints(made)
    check_names(changes, list(inspect.signature(made).parameters), f"study {name}")
    values = {}
    for key, change in changes.items():
        if set(change) != {""}:
            raise ValueError(f"expected {key}=VALUE, got fields of it: {', '.join(change)}")
        values[key] = from_text(hints[key], change[""], key)
    return made(**values)
