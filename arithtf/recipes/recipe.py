"""What a training run depends on, in one frozen value."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from math import inf
from pathlib import Path
from typing import Any

from arithtf.encodings import Encoding
from arithtf.model import ModelConfig
from arithtf.origin import absolute, recall, record
from arithtf.plain import fields_of, from_fields, from_plain
from arithtf.tasks import ArithmeticTask, Coupling, Task, as_arithmetic

FORMAT = 3


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """A training run: data, model, optimiser.

    Args:
        name: what it trains; that of the task if empty.
        task: the task.
        coupling: where its ids come from.
        model: sizes and encoding.
        lengths: shortest and longest operand trained on, in digits.
        batch: instances a step.
        steps: optimiser steps.
        objective: what a step makes small, by name (`arithtf.train.objectives`) or as file.py:name.
        learning_rate: peak; rises linearly over `warmup` steps.
        schedule: its shape after them, likewise (`arithtf.train.schedules`); "linear" falls to
            `final_rate` times the peak at the last step.
        betas, weight_decay, clip: AdamW (arXiv 1711.05101) and the gradient norm it is clipped to.
        seed: of the weights and of the data.
        local: if positive, a step learns from so many local contexts instead of from all columns
            of a batch. For models with one windowed attention block (`arithtf.train.data`).
        local_batches: those whose distinct local contexts, each once, are then the training set.
        pool: if positive, all problems come from a pool of so many, drawn once for the seed; 0:
            every step draws new ones.
        problems: of a task on operands; if any, steps learn from these alone, as a person writes
            them, in one random order after another; `lengths` then only says what evaluations take
            for short.
        log_every, checkpoint_every: steps between metrics lines and between checkpoints.
        threads: torch's threads on a CPU. Part of the recipe, because sums in another order round
            to other weights; 1, because small models lose by sharing (see `arithtf.threads`).

    Raises:
        ValueError: values that cannot be trained.
    """

    name: str = ""
    task: Task
    coupling: Coupling
    model: ModelConfig
    lengths: tuple[int, int] = (1, 10)
    batch: int = 64
    steps: int = 1000
    objective: str = "next-token"
    learning_rate: float = 1.2e-2
    schedule: str = "linear"
    warmup: int = 50
    final_rate: float = 0.02
    betas: tuple[float, float] = (0.9, 0.95)
    weight_decay: float = 0.0
    clip: float = 1.0
    seed: int = 0
    local: int = 0
    local_batches: int = 128
    pool: int = 0
    problems: tuple[str, ...] = ()
    log_every: int = 50
    checkpoint_every: int = 500
    threads: int = 1

    def __post_init__(self) -> None:
        object.__setattr__(self, "name", self.name or self.task.name)
        for part in ("objective", "schedule"):
            object.__setattr__(self, part, absolute(getattr(self, part)))
        for name in ("batch", "steps", "local_batches", "log_every", "checkpoint_every", "threads"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        if self.pool < 0 or (self.pool and self.problems):
            raise ValueError(
                f"expected pool >= 0, and 0 beside problems of your own, got {self.pool}; a pool "
                "of problems is drawn, problems are given"
            )
        if self.local < 0:
            raise ValueError(f"local must not be negative, got {self.local}")
        object.__setattr__(self, "problems", tuple(self.problems))
        for problem in self.problems:
            self.arithmetic.parse(problem)
        if self.local and self.local_batches * self.batch < len(self.problems):
            raise ValueError(
                f"expected local_batches that hold all {len(self.problems)} problems, got "
                f"{self.local_batches} of {self.batch}"
            )
        lo, hi = self.lengths
        if not 1 <= lo <= hi:
            raise ValueError(f"lengths must be (lo, hi) with 1 <= lo <= hi, got {self.lengths}")
        self._check_optimiser()
        if self.local and not self.model.local:
            raise ValueError(
                "local > 0 needs predictions that depend on local contexts alone: one attention "
                "block, a window on every level, id differences only, at most one sink"
            )
        if self.model.factors != tuple(words.size for words in self.task.vocabulary.factors):
            sizes = self.task.vocabulary.sizes
            raise ValueError(
                f"the model has {self.model.vocabulary} tokens, the task {self.task.name} {sizes}; "
                "build it with vocabulary=task.vocabulary.sizes"
            )
        if self.model.levels != len(self.coupling.levels):
            raise ValueError(
                f"the model reads {self.model.levels} levels of ids, coupling "
                f"{self.coupling.name!r} has {len(self.coupling.levels)}"
            )

    def _check_optimiser(self) -> None:
        """Check numbers that would only fail in the middle of training, NaN among them.

        Raises:
            ValueError: one out of its range.
        """
        first, second = self.betas
        ranges = (
            ("seed", 0 <= self.seed < 1 << 64, "0 .. 2^64 - 1, a 64-bit word"),
            ("learning_rate", 0 <= self.learning_rate < inf, "a finite number from 0, like 0.003"),
            ("warmup", self.warmup >= 0, "0 or more steps, like 50"),
            ("final_rate", 0 <= self.final_rate <= 1, "0 .. 1, a share of the peak, like 0.02"),
            (
                "betas",
                0 <= first < 1 and 0 <= second < 1,
                "two numbers in [0, 1), like (0.9, 0.95)",
            ),
            (
                "weight_decay",
                0 <= self.weight_decay < inf,
                "a finite number of 0 or more, like 0.1",
            ),
            ("clip", self.clip > 0, "a number above 0, like 1.0"),
        )
        for name, good, expected in ranges:
            if not good:
                got = getattr(self, name)
                raise ValueError(f"expected {name} to be {expected}; got {got}: set {name}=...")

    @property
    def arithmetic(self) -> ArithmeticTask:
        """The task, where it is one on operands.

        Raises:
            ValueError: it is not.
        """
        return as_arithmetic(self.task)

    @property
    def trained_on(self) -> str:
        """Problems trained on, for people: "1 to 10 digits"; without operands "lengths 1 to 10"."""
        if isinstance(self.task, ArithmeticTask):
            return self.task.describe_lengths(self.lengths)
        low, high = self.lengths
        return f"lengths {low} to {high}" if low < high else f"length {low}"

    @property
    def budget(self) -> str:
        """What the steps learn from, for people."""
        given, shown = len(self.problems) or self.pool, self.local_batches * self.batch
        if not self.local:
            chosen = f" out of {given:,}" if given else ""
            return f"{self.steps:,} steps of {self.batch:,} problems{chosen}"
        return (
            f"{self.steps:,} steps of {self.local:,} of the distinct local contexts of "
            f"{min(given or shown, shown):,} problems"
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON form; files that parts of it come from are listed under "sources"."""
        plain, sources = record(fields_of(self))
        return {"format": FORMAT, **plain, **({"sources": sources} if sources else {})}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any], *, run: Path | None = None) -> Recipe:
        """The inverse of `to_dict`: files that it names are executed, see `arithtf.origin`.

        Args:
            data: what `to_dict` gave.
            run: the directory that the data come from; nothing in it is executed.

        Raises:
            ValueError: the data are of another format, or not the JSON of a recipe.
            SourceMissing: a file that it names is not there.
        """
        if not isinstance(data, Mapping):
            raise ValueError(f"expected a JSON object, got {json.dumps(data)[:60]}")
        values = dict(data)
        found = values.pop("format", None)
        if found != FORMAT:
            raise ValueError(
                f"expected a recipe of format {FORMAT}, got {found!r}; it was written by another "
                "version of arithtf: train again with this one"
            )
        known = Mapping[str, Mapping[str, str]]
        sources = from_plain(known, values.pop("sources", {}), "sources")
        return from_fields(cls, recall(values, sources, outside=run))


def recipe_hash(recipe: Recipe) -> str:
    """SHA-256 of a recipe's canonical JSON: the same on any machine.

    Of files that parts of it come from only their names count, not where they are or what else is
    in them: one that holds a study as well may change its evaluations. What they held is in the
    runs of the study, in `cell.json`.
    """
    data = {key: value for key, value in recipe.to_dict().items() if key != "sources"}
    return hashlib.sha256(json.dumps(data, sort_keys=True).encode()).hexdigest()


def run_name(recipe: Recipe) -> str:
    """A name for a run directory that no other recipe has: readable, then the recipe's hash."""
    return f"{_readable(recipe.name)}-s{recipe.seed}-{recipe_hash(recipe)[:12]}"


def folder_name(name: str) -> str:
    """A name of a recipe or a task as that of a folder, which may not hold everything."""
    return name if re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.+-]{0,99}", name) else _readable(name)


def _readable(name: str) -> str:
    return re.sub("[^A-Za-z0-9]+", "-", name).strip("-")[:48]


def build(
    task: Task,
    coupling: Coupling,
    encoding: Encoding,
    *,
    width: int = 64,
    heads: int = 4,
    hidden: int = 256,
    **training: Any,
) -> Recipe:
    """A recipe for one attention block and one MLP, with the vocabulary and levels that follow.

    Args:
        task, coupling, encoding: what is trained.
        width, heads, hidden: see `ModelConfig`.
        training: other fields of the recipe.
    """
    model = ModelConfig(
        vocabulary=task.vocabulary.sizes,
        levels=len(coupling.levels),
        width=width,
        heads=heads,
        hidden=hidden,
        encoding=encoding,
    )
    return Recipe(task=task, coupling=coupling, model=model, **training)
