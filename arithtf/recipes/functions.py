"""Recipes as functions of their task, by name."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from dataclasses import dataclass, is_dataclass, replace
from typing import Any, Generic, TypeVar

from arithtf.origin import Registry
from arithtf.overrides import Changes, override, parsed
from arithtf.plain import field_types, returns
from arithtf.recipes.recipe import Recipe
from arithtf.tasks import Coupling, Task, couplings

T = TypeVar("T", bound=Task)


class RecipeFunction(Generic[T]):
    """A function that makes a recipe for a task, with the task it is made for unless told.

    Args:
        function: chooses coupling, sizes and schedule by the task.
        task: the usual one.
        name: of the recipe; that of the function, with hyphens, if None.
    """

    def __init__(self, function: Callable[[T], Recipe], task: T, name: str | None = None) -> None:
        """Make one; `recipe` is the decorator for it."""
        functools.update_wrapper(self, function)
        self.function, self.task = function, task
        self.name = name or function.__name__.replace("_", "-")

    def __call__(self, task: T | None = None) -> Recipe:
        """The recipe for a task, named after what the task has otherwise than the usual one.

        Args:
            task: of the type of the usual one, which is taken if None.

        Raises:
            TypeError: a task of another type.
        """
        task = self.task if task is None else task
        if not isinstance(task, type(self.task)):
            usual = type(self.task).__name__
            raise TypeError(
                f"recipe {self.name} is for tasks of type {usual}, got {type(task).__name__}"
            )
        return replace(self.function(task), name=self.name + _difference(task, self.task))


def _difference(task: Any, usual: Any) -> str:
    """What a task has otherwise than the usual one, as the end of a name: "-base-16"."""
    found = ""
    for name in field_types(type(task)):
        value, before = getattr(task, name), getattr(usual, name, None)
        if value != before:
            same = type(value) is type(before) and is_dataclass(value)
            end = _difference(value, before) if same else f"-{value}"
            found += "-" + name.replace("_", "-") + end
    return found


def recipe(task: T) -> Callable[[Callable[[T], Recipe]], RecipeFunction[T]]:
    """Decorator: a function of a task becomes a recipe, with that task as the usual one."""
    return lambda function: RecipeFunction(function, task)


RECIPES: Registry[RecipeFunction[Any]] = Registry(
    "recipe",
    "a Recipe or a function that returns one (-> Recipe)",
    lambda v: isinstance(v, Recipe | RecipeFunction) or returns(v, Recipe),
    listed="`arithtf data` lists all",
)

COUPLINGS: Registry[Callable[[Any], Coupling]] = Registry(
    "coupling",
    "a Coupling or a function of a task that returns one (-> Coupling)",
    lambda v: isinstance(v, Coupling) or returns(v, Coupling),
)
for _name, _function in vars(couplings).items():
    if returns(_function, Coupling) and len(inspect.signature(_function).parameters) == 1:
        COUPLINGS.add(_name.replace("_", "-"), _function)


def get_recipe(name: str, /, *settings: str, **fields: Any) -> Recipe:
    """A recipe by name, with other values in some of its fields.

    `get_recipe("addition", "task.base=16", "model.width=96")` is what `arithtf train addition
    task.base=16 model.width=96` trains; `get_recipe("addition", task=Addition(base=16))` has the
    same task.

    Args:
        name: one of RECIPES, `file.py`, `file.py:name` or `package.module:name`.
        settings: `field=value`. Those of the task come first: coupling, sizes and schedule follow
            from the task. `coupling=name` takes one of COUPLINGS, or of a file.
        fields: values of the recipe's own fields.

    Raises:
        ValueError: there is no such recipe or field, or the values cannot be.
    """
    changes = parsed(settings)
    changes |= {field: {"": value} for field, value in fields.items()}
    first = {"task": changes.pop("task")} if "task" in changes else {}
    made: Any = RECIPES.resolve(name)
    if isinstance(made, RecipeFunction):
        found = made(override(_Start(made.task), first, "a recipe").task)
    elif first:
        raise ValueError(
            f"{name} is a recipe for one task; to set fields of the task, write it as a function "
            "of the task with @recipe(...) before it"
        )
    else:
        found = made if isinstance(made, Recipe) else made()
    return override(found, _with_coupling(changes, found.task), "a recipe")


@dataclass(frozen=True)
class _Start:
    task: Task


def _with_coupling(changes: Changes, task: Task) -> Changes:
    """The changes with a coupling in place of its name, and as many levels as it has."""
    name = changes.get("coupling", {}).get("")
    if not isinstance(name, str) or name[:1] == "{":
        return changes
    made = COUPLINGS.resolve(name)
    coupling = made if isinstance(made, Coupling) else made(task)
    levels = {"levels": {"": str(len(coupling.levels))}, **changes.get("model", {})}
    return {**changes, "coupling": {"": coupling}, "model": levels}
