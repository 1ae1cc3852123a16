"""`arithtf data`: a recipe's instances, so that a person sees the coupling."""

from __future__ import annotations

import argparse

from arithtf.console import say
from arithtf.origin import portable
from arithtf.recipes import RECIPES, Recipe, get_recipe
from arithtf.tasks import (
    Address,
    ArithmeticTask,
    Batch,
    Coupling,
    Draw,
    Level,
    form_text,
    segments_text,
    show,
    symbols_text,
    task_to_dict,
)


def data(arguments: argparse.Namespace) -> int:
    """List the recipes, or show instances of one."""
    if arguments.recipe is None:
        width = max(len(name) for name in RECIPES)
        for name, make in RECIPES.items():
            say(f"{name:<{width}}  {about(make, make())}")
        return 0
    recipe = get_recipe(arguments.recipe, *arguments.settings)
    say(_described(recipe, about(RECIPES.resolve(arguments.recipe), recipe)))
    say(coupling_text(recipe.coupling))
    address, draw = Address(arguments.seed, "train", 1), Draw(recipe.lengths, arguments.show)
    task, instances = recipe.task, recipe.task.sample(address, draw)
    batch = Batch.of(instances, recipe.coupling)
    if isinstance(task, ArithmeticTask):
        operands = task.operands(address, draw)
        titles = [task.problem_text(operands, i) for i in range(arguments.show)]
    else:
        titles = [segments_text(task, instances, i) for i in range(arguments.show)]
    for i, title in enumerate(titles):
        say(f"\n{title}")
        say(show(task, recipe.coupling, batch, i))
    return 0


def about(made: object, recipe: Recipe) -> str:
    """A recipe in one line: the first of its function, or what it is made of."""
    lines = "" if isinstance(made, Recipe) else (made.__doc__ or "").strip().splitlines()
    if lines:
        return lines[0]
    return (
        f"{recipe.task.name.capitalize()} with {recipe.model.encoding}, on ids by "
        f"{recipe.coupling.name}."
    )


def _described(recipe: Recipe, what: str) -> str:
    return "\n".join(
        [
            f"recipe {recipe.name}: {what}",
            f"trained on {recipe.trained_on}, {recipe.budget}",
            f"task {portable(task_to_dict(recipe.task))}",
            str(recipe.model.encoding),
        ]
    )


def coupling_text(coupling: Coupling) -> str:
    """A coupling's table: per level and segment, the id as a formula of the token's place."""
    lines = [f"coupling {coupling.name}: ids by segment"]
    if symbols := symbols_text(coupling):
        lines.append(f"  {symbols}")
    for level in coupling.levels:
        lines.append(f"  level {level.name!r}{_level_notes(level)}")
        for side, forms in (("is", level.key), ("to come", level.query)):
            cells = ", ".join(f"{segment}: {form_text(p)}" for segment, p in forms.items())
            lines.append(f"    {side:<8} {cells or 'none'}")
    return "\n".join(lines)


def _level_notes(level: Level) -> str:
    low, high = level.start
    notes = [
        f"modulo {level.period}" if level.period else "",
        f"start {low}..{high}{', one per batch' if level.shared_start else ''}"
        if high > low
        else (f"start {low}" if low else ""),
        f"index drawn from 0..{level.randomized - 1}" if level.randomized else "",
    ]
    text = ", ".join(note for note in notes if note)
    return f" ({text})" if text else ""
