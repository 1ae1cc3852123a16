"""`arithtf discover`."""

from __future__ import annotations

import argparse
import signal
import time
from pathlib import Path
from typing import Any

from arithtf.commands.evidence import certify_shown, show_sampled
from arithtf.commands.training import train_shown
from arithtf.console import Take, count, figures, say, seconds, table, warn
from arithtf.discover import (
    FILE,
    Discoverer,
    Discovery,
    read_discovery,
    recipe_of,
    save_discovery,
)
from arithtf.discover.growth import Report
from arithtf.evaluate import Row, evaluate, record
from arithtf.model import Model
from arithtf.overrides import override, parsed
from arithtf.plain import check_names, field_types, from_text
from arithtf.recipes import Recipe, folder_name
from arithtf.tasks import (
    TASKS,
    ArithmeticTask,
    Coupling,
    Task,
    as_arithmetic,
    form_text,
    symbols_text,
)

INTERRUPTED = 130
PATIENCE = 3.0
"""Seconds after which a part of the search that is not done says how far it is."""

LENGTHS, COUNT = (5, 10, 20), 100
"""Digits and number of the problems sampled where nothing can be proved."""


def discover(arguments: argparse.Namespace) -> int:
    """Search, then train and certify; exit code 0 if certified, or found with --no-train."""
    shortcut = [] if arguments.seed is None else [f"seed={arguments.seed}"]
    changes = parsed([*arguments.settings, *shortcut])
    usual = as_arithmetic(TASKS.resolve(arguments.task)())
    task = override(usual, changes.pop("task", {}), "the task", "task")
    check_names(changes, list(field_types(Recipe)), "a recipe")  # before the search's minutes
    seed = from_text(int, changes.get("seed", {"": "0"})[""], "seed")
    out = arguments.out or Path("runs") / f"discover-{folder_name(task.name)}"
    with figures(arguments.json) as take:
        return _found(task, changes, seed, out, take, train=not arguments.no_train)


def _found(
    task: ArithmeticTask, changes: dict[str, Any], seed: int, out: Path, take: Take, *, train: bool
) -> int:
    """Find a coupling, or read the one found before; then train with it and certify, if asked."""
    known = read_discovery(out / FILE, task, seed)
    if known is None:
        discovery = _search(task, seed, out / FILE)
        if discovery is None:
            return INTERRUPTED
        known = discovery.coupling, discovery.windows
    else:
        say(f"the coupling was found before and is taken from {out / FILE}")
    show_coupling(*known)
    take([{"run": str(out), "coupling": known[0].to_dict(), "windows": known[1]}])
    if not train:
        return 0
    return _prove(override(recipe_of(task, *known, seed=seed), changes, "a recipe"), out, take)


def _search(task: ArithmeticTask, seed: int, path: Path) -> Discovery | None:
    """The finished search, written to `path`; None after Ctrl-C, with the best so far there."""
    discoverer: Discoverer | None = None
    try:
        discoverer = Discoverer(task, seed=seed, report=_reporter())
        discovery = discoverer.run()
    except KeyboardInterrupt:
        # A second Ctrl-C would lose what the first one keeps.
        before = signal.signal(signal.SIGINT, signal.SIG_IGN)
        try:
            _keep_best(discoverer, task, seed, path)
        finally:
            signal.signal(signal.SIGINT, before)
        return None
    save_discovery(path, discovery, task, seed)
    found, (searched, enumerated) = discovery.found, discovery.seconds
    say(
        f"found in {seconds(searched)}: {count(discovery.tried)} tables tried of about "
        f"10^{discovery.log_space:.0f} with as many levels, {len(discovery.passed_over)} passed "
        "over because their contexts cannot be enumerated or clash"
    )
    say(
        f"on the examples: {count(found.contexts)} contexts, no conflict; longer problems add "
        f"{count(found.new_longer)}, as many further short ones {count(found.new_short)}"
    )
    if discovery.contexts is None:
        why = discovery.passed_over[0][2] if discovery.passed_over else "unknown"
        say(f"longer problems than these cannot be enumerated: {why}")
    else:
        say(
            f"at every length: {count(discovery.contexts)} contexts, no conflict, enumerated in "
            f"{seconds(enumerated)}"
        )
    say(f"written to {path}")
    return discovery


def _keep_best(discoverer: Discoverer | None, task: Task, seed: int, path: Path) -> None:
    best = discoverer.best() if discoverer else None
    if best is None:
        warn("arithtf discover: interrupted before any table was tried")
        return
    save_discovery(path, best, task, seed)
    show_coupling(best.coupling, best.windows)
    warn(
        f"arithtf discover: interrupted; the best so far, with {count(best.found.conflicts)} "
        f"conflicts in {count(best.found.contexts)} contexts of the examples, is in {path}"
    )


def show_coupling(coupling: Coupling, windows: tuple[tuple[int, int], ...]) -> None:
    """A coupling as a table, a line for each level."""
    rows = [
        (
            level.name,
            ", ".join(f"{name}: {form_text(place)}" for name, place in level.key.items()),
            ", ".join(f"{name}: {form_text(place)}" for name, place in level.query.items()),
            f"{back} back, {ahead} ahead",
        )
        for level, (back, ahead) in zip(coupling.levels, windows, strict=True)
    ]
    table(("level", "tokens have ids", "tokens to come ask for", "window"), rows)
    if symbols := symbols_text(coupling):
        say(symbols)


def _reporter() -> Report:
    """A line for each part of the search when it is done, and every few seconds before."""
    begun = shown = time.perf_counter()

    def report(what: str, done: int, total: int) -> None:
        nonlocal shown
        now = time.perf_counter()
        if total and (done == total or now - shown >= PATIENCE):
            shown = now
            spent = seconds(now - begun)
            say(f"{what}: {count(done)} of {count(total)}, {spent} since the start")

    return report


def _sample(model: Model, recipe: Recipe, out: Path) -> list[Row]:
    """What can be said without a proof: shares of random problems, with their intervals."""
    rows = evaluate(model, recipe, lengths=LENGTHS, count=COUNT, seed=recipe.seed)
    record(out, rows)
    show_sampled(rows)
    return rows


def _prove(recipe: Recipe, out: Path, take: Take) -> int:
    """Train and certify; a run that was cut off goes on."""
    model = train_shown(recipe, out, resume=True)
    certificate = certify_shown(out)
    take([certificate.to_dict()])
    if certificate.verdict == "refused":
        take(_sample(model, recipe, out))
    return 0 if certificate.certified else 1
