"""What a run's files say, as numbers for the figures."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from shlex import quote
from typing import NamedTuple, TypeVar

from arithtf.certify import Certificate, CertificateError, verify_certificate
from arithtf.console import percent
from arithtf.evaluate import wilson
from arithtf.evaluate.results import Row, by_suite, damage, flawed
from arithtf.model import Model
from arithtf.recipes import Recipe, get_recipe
from arithtf.runs import (
    load_recipe,
    read_json,
    read_lines,
    recipe_changes,
    weights_changes,
    weights_hash,
)
from arithtf.tasks import ArithmeticTask
from arithtf.train.loop import TIMING
from arithtf.train.metrics import METRICS

At = TypeVar("At")
GRADES = ("sampled", "exhaustive", "stressed", "certified")
"""Grades of evidence that a report has, from the weakest of them on."""


@dataclass(frozen=True)
class _Counted:
    """Problems, and how many of their answers are right."""

    right: int
    count: int

    @property
    def share(self) -> float:
        """Of right answers."""
        return self.right / self.count


@dataclass(frozen=True)
class Point(_Counted):
    """Exact match at one length.

    Args:
        length: digits of the longer operand.
        grade: "sampled", "exhaustive" or "stressed".
    """

    length: int
    grade: str


@dataclass(frozen=True)
class Cell(_Counted):
    """Exact match at a pair of numbers."""

    x: int
    y: int


class Result(NamedTuple):
    """A line of the table of all results.

    Args:
        what: was measured.
        value: share of right answers, or logits; None where there is none.
        unit: "share" or "logits".
        grade: of the evidence.
        detail: what the number is of.
    """

    what: str
    value: float | None
    unit: str
    grade: str
    detail: str

    @property
    def shown(self) -> str:
        """The value for people: shares as percentages that never round up to 100."""
        if self.value is None:
            return "-"
        return percent(self.value) if self.unit == "share" else f"{self.value:.4g} {self.unit}"


def results(rows: Iterable[Row], certificate: Row | None) -> list[Result]:
    """Every result of a run with its unit and its grade, the certificate last.

    Args:
        rows: of eval.jsonl, of the same weights.
        certificate: that of these weights, if it is to be shown.
    """
    found = []
    for suite, size, part in by_suite(rows):
        right, problems = (sum(row[key] for row in part) for key in ("exact", "count"))
        name, detail = suite, f"{right:,} of {problems:,}"
        if part[0]["grade"] == "sampled":
            name = "random problems"
            low, high = map(percent, wilson(right, problems))
            detail += f", 95 % interval {low} to {high}"
        elif part[0]["grade"] == "exhaustive":
            name = "every problem held out"
        if (mistaken := sum(map(flawed, part))) > problems - right:
            detail += f"; whole work {problems - mistaken:,} of {problems:,}"
        if suite == "tour":
            detail += f", holding {part[0]['covered']:,} of {part[0]['contexts']:,} contexts"
        share = right / problems
        found.append(Result(f"{name}, {size}", share, "share", part[0]["grade"], detail))
    if certificate is None:
        return found
    if certificate["verdict"] != "certified":
        reason = certificate["reason"]
        return [*found, Result("every length", None, "share", "not certified", reason)]
    every = f"{certificate['contexts']:,}"
    after = f"smallest margin {certificate['margin']:.4g}, any {certificate['dtype']} computation"
    return [
        *found,
        Result("every length", 1.0, "share", "certified", f"{every} of {every} local contexts"),
        Result(
            "smallest margin after rounding", certificate["lower"], "logits", "certified", after
        ),
    ]


@dataclass(frozen=True)
class Evidence:
    """All evidence of a run; what was not made yet is empty or None.

    Args:
        run: the directory.
        recipe: what was trained.
        weights: hash of the weights; empty before there are any.
        metrics: rows of metrics.jsonl.
        timing: seconds, threads and versions of the training.
        certificate: of these very weights.
        verified: whether the second path was asked about the certificate; it agreed.
        unchecked: why it could not be asked, where it knows no contexts of such a model.
        open_reason: why there is no certificate.
        rows: evaluations of these very weights; without repetitions.
        changes: where recipe or weights are not those that training left.
    """

    run: Path
    recipe: Recipe
    weights: str = ""
    metrics: Sequence[Row] = ()
    timing: Row = field(default_factory=dict)
    certificate: Row | None = None
    open_reason: str = ""
    verified: bool = False
    unchecked: str = ""
    rows: Sequence[Row] = ()
    changes: Sequence[str] = ()

    @property
    def shown(self) -> str:
        """The run's path."""
        return str(self.run)

    @property
    def quoted(self) -> str:
        """The run's path as a shell takes it."""
        return quote(str(self.run))

    @property
    def on_operands(self) -> bool:
        """The task is one on operands, as certificates and suites need it."""
        return isinstance(self.recipe.task, ArithmeticTask)

    @property
    def certified(self) -> bool:
        """The certificate says so, and no problem speaks against it."""
        return (
            self.certificate is not None
            and self.certificate["verdict"] == "certified"
            and self.failures == 0
        )

    @property
    def failures(self) -> int:
        """Problems with a mistake, in the work if not in the answer."""
        return sum(map(flawed, self.rows))

    @property
    def grades(self) -> tuple[str, ...]:
        """The grades of evidence that the run has."""
        found = {row["grade"] for row in self.rows} | ({"certified"} if self.certified else set())
        return tuple(grade for grade in GRADES if grade in found)

    @property
    def train_command(self) -> str:
        """The command that trains this run."""
        recipe = self.recipe
        parts = [f"arithtf train {quote(recipe.name)} --out {self.quoted}"]
        usual = _named(recipe.name)
        if usual is not None and usual.seed != recipe.seed:
            parts.append(f"--seed {recipe.seed}")
        if usual is not None and usual.steps != recipe.steps:
            parts.append(f"--steps {recipe.steps}")
        return " ".join(parts)

    @property
    def points(self) -> list[Point]:
        """Right answers by length: sampled lengths, small splits, and the ladder."""
        rows = [*self._suite("sampled"), *self._suite("ladder")]
        return [
            point
            for grade in GRADES
            for point in _points([row for row in rows if row["grade"] == grade], grade)
        ]

    @property
    def carry(self) -> list[Cell]:
        """Exact match by first column and length of the longest carry chain, both in bins."""
        return _cells(
            (_bin(row["place"]), _bin(row["chain"]), row)
            for row in self._suite("carry")
            if row["chain"] is not None
        )

    @property
    def grid(self) -> list[Cell]:
        """Exact match by the lengths of both operands."""
        return _cells((row["left"], row["right"], row) for row in self._suite("grid"))

    def problems(self, suite: str) -> int:
        """Problems of a suite."""
        return sum(row["count"] for row in self._suite(suite))

    def digits(self, suite: str) -> int:
        """Digits of a suite's longest operands."""
        return max((row["length"] for row in self._suite(suite)), default=0)

    def _suite(self, name: str) -> list[Row]:
        return [row for row in self.rows if row["suite"] == name]


def _named(name: str) -> Recipe | None:
    """The recipe of that name, if there is one."""
    try:
        return get_recipe(name)
    except ValueError:
        return None


def read_evidence(run: Path, model: Model | None, *, verify: bool = False) -> Evidence:
    """Read a run directory.

    Args:
        run: the directory.
        model: its model, if there are weights; evidence about other weights is left out.
        verify: check a certificate by the second path; one that does not hold is left out. Where
            this path knows no contexts of such a model, it still checks that the certificate is
            unchanged and about these weights, and `unchecked` says the rest.

    Raises:
        RunError: it is not a run directory.
    """
    weights = weights_hash(model) if model is not None else ""
    recipe = load_recipe(run)
    certificate, reason = _certificate(run, recipe, weights)
    verified, unchecked = False, ""
    if verify and certificate is not None and certificate["verdict"] == "certified":
        found = verify_certificate(run / "certificate.json", run)
        verified = found.valid
        if not found.able:
            unchecked = found.problems[0]
        elif not verified:
            certificate = None
            reason = f"Its certificate does not hold by the second path: {found.problems[0]}."
    return Evidence(
        run=run,
        recipe=recipe,
        weights=weights,
        metrics=read_lines(run / "metrics.jsonl", METRICS),
        timing=read_json(run / "timing.json", TIMING) if (run / "timing.json").exists() else {},
        certificate=certificate,
        open_reason=reason,
        verified=verified,
        unchecked=unchecked,
        rows=_distinct(_rows(run, weights)),
        changes=[*recipe_changes(run), *weights_changes(run, weights)],
    )


def _rows(run: Path, weights: str) -> list[Row]:
    """Evaluations of these weights; figures of studies stand in the same file."""

    def ours(row: Row) -> bool:
        return row.get("weights") == weights and ("suite" in row or "measure" not in row)

    rows = read_lines(run / "eval.jsonl", check=lambda row: damage(row) if ours(row) else "")
    return [row for row in rows if ours(row)]


def _certificate(run: Path, recipe: Recipe, weights: str) -> tuple[Row | None, str]:
    """The certificate if it is good for this recipe and these weights, else why not."""
    path = run / "certificate.json"
    if not path.exists():
        if not isinstance(recipe.task, ArithmeticTask):
            return None, "Nothing is proved: only tasks on operands can be certified."
        return None, "Nothing is proved yet: there is no certificate."
    try:
        certificate = Certificate.load(path).to_dict()
    except CertificateError as error:
        return None, f"Its certificate cannot be used: {error}."
    if certificate["weights"] != weights:
        return None, "Its certificate is about other weights; certify it again."
    ours = recipe.to_dict()
    for part in ("task", "coupling", "model"):
        if certificate[part] != ours[part]:
            return None, f"Its certificate is about another {part}; certify it again."
    return certificate, ""


ADDRESS = ("suite", "distribution", "length", "operands", "left", "right", "chain", "place", "seed")


def _distinct(rows: Iterable[Row]) -> list[Row]:
    """Rows without repetitions: of one address the row with most mistakes, then most problems.

    Problems are a function of the address and their number, so a repetition adds no evidence; and
    no later row makes an earlier mistake disappear.
    """
    kept: dict[str, Row] = {}
    for row in rows:
        address = json.dumps([row.get(name) for name in ADDRESS])
        kept[address] = max((row, kept.get(address, row)), key=lambda r: (flawed(r), r["count"]))
    return list(kept.values())


def _bin(number: int) -> int:
    """The largest of 0, 1, 10, 100, .. that is not above a number."""
    return 10 ** (len(str(number)) - 1) if number else 0


def _points(rows: Iterable[Row], grade: str) -> list[Point]:
    """Rows of one length added up."""
    added = _added((row["length"], row) for row in rows)
    return [Point(*numbers, length, grade) for length, numbers in sorted(added.items())]


def _cells(rows: Iterable[tuple[int, int, Row]]) -> list[Cell]:
    """Rows of one pair added up."""
    return [Cell(*n, *at) for at, n in _added(((x, y), row) for x, y, row in rows).items()]


def _added(rows: Iterable[tuple[At, Row]]) -> dict[At, tuple[int, int]]:
    """How many problems came out right, and how many there are, by where rows belong."""
    found: dict[At, tuple[int, int]] = {}
    for at, row in rows:
        right, count = found.get(at, (0, 0))
        found[at] = right + row["exact"], count + row["count"]
    return found
