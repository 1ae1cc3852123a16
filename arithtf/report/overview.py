"""Runs side by side: one row each, with the best published result beside it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from arithtf.console import markdown_table, markdown_text
from arithtf.evaluate.results import Row, flawed, size_text
from arithtf.report.evidence import GRADES, Evidence, read_evidence
from arithtf.report.published import NONE, PUBLISHED, Published
from arithtf.runs import load_model
from arithtf.tasks import TASKS

COLUMNS = (
    "task",
    "trained on",
    "parameters",
    "training",
    "certificate",
    "largest run",
    "best published",
)


class Overview(NamedTuple):
    """A run in one row.

    Args:
        run: the directory.
        task: and the recipe, where it has another name.
        cells: text for all of COLUMNS but the last.
        published: the best published results for the task.
        facts: the figures as numbers, by the names of eval.jsonl and certificates.
    """

    run: Path
    task: str
    cells: tuple[str, ...]
    published: tuple[Published, ...]
    facts: Row

    @property
    def published_text(self) -> str:
        """The published results in one line."""
        return "; ".join(published.text for published in self.published)


def overview(run: Path, *, verify: bool = False) -> Overview:
    """A run's row.

    Args:
        run: the directory.
        verify: check the certificate by the second path.

    Raises:
        RunError: it is not a run, or damaged.
    """
    model = load_model(run)[0] if (run / "model.safetensors").exists() else None
    evidence = read_evidence(run, model, verify=verify)
    recipe = evidence.recipe
    task = recipe.task.name
    name = task if recipe.name == task else f"{task} ({recipe.name})"
    seconds = evidence.timing.get("seconds")
    cells = (
        name,
        recipe.trained_on,
        f"{model.num_parameters():,}" if model is not None else "no weights yet",
        f"{seconds:.0f} s" if seconds is not None else "-",
        certificate_text(evidence),
        largest_text(evidence),
    )
    published = PUBLISHED.get(task, NONE)
    facts = {
        "run": str(run),
        "task": recipe.to_dict()["task"],
        "recipe": recipe.name,
        "lengths": list(recipe.lengths),
        "parameters": None if model is None else model.num_parameters(),
        "seconds": seconds,
        **_figures(evidence),
        "published": [found.text for found in published],
    }
    return Overview(run, task, cells, published, facts)


def _figures(evidence: Evidence) -> Row:
    """A run's certificate, and its evaluations added up by grade."""
    certificate = evidence.certificate or {}
    rows = [row | {"whole_work": row["count"] - flawed(row)} for row in evidence.rows]
    names = ("count", "exact", "whole_work")
    return {
        "weights": evidence.weights,
        "certified": evidence.certified,
        "verified": evidence.verified,
        **{
            name: certificate.get(name)
            for name in ("verdict", "contexts", "wrong", "margin", "lower")
        },
        "rows": [
            {"grade": grade} | {name: sum(row[name] for row in part) for name in names}
            for grade in GRADES
            if (part := [row for row in rows if row["grade"] == grade])
        ],
        "largest": largest_text(evidence),
    }


def unreadable(run: Path, error: str) -> Overview:
    """The row of a run that cannot be read."""
    cells = (str(run), "-", "-", "-", "cannot be read", "-")
    return Overview(run, "", cells, (), {"run": str(run), "error": error})


def certificate_text(evidence: Evidence) -> str:
    """What the certificate says, in one line."""
    certificate = evidence.certificate
    if certificate is None:
        unused = (evidence.run / "certificate.json").exists()
        return f"none: {evidence.open_reason}" if unused else "none"
    if certificate["verdict"] == "certified":
        if evidence.failures:
            return "contradicted: a problem came out wrong"
        checked = ", verified" if evidence.verified else ""
        checked = ", second path not able to check" if evidence.unchecked else checked
        return (
            f"certified{checked}: {certificate['contexts']:,} contexts, margin "
            f"{certificate['margin']:.3g}, {certificate['lower']:.3g} after rounding"
        )
    if certificate["wrong"]:
        return f"wrong in {certificate['wrong']:,} of {certificate['contexts']:,} contexts"
    margin = (
        ""
        if certificate["margin"] is None
        else (f" ({certificate['contexts']:,} contexts right, margin {certificate['margin']:.3g})")
    )
    return f"not certified{margin}"


def largest_text(evidence: Evidence) -> str:
    """The largest problems that came out right, and whether any did not."""
    wrong = [row for row in evidence.rows if flawed(row)]
    right = [row for row in evidence.rows if not flawed(row)]
    parts = []
    if right:
        row = max(right, key=reach)
        alike = [
            r
            for r in right
            if (size_text(r), r["grade"]) == (size_text(row), row["grade"])
            and size(r) > 0.9 * size(row)
        ]
        problems = f"{sum(r['count'] for r in alike):,}"
        parts.append(f"{size_text(row)}, {problems} of {problems} {row['grade']}")
    if wrong:
        first = min(wrong, key=size)
        answers = sum(row["count"] - row["exact"] for row in wrong)
        what = f"{answers:,} problems wrong"
        if evidence.failures > answers:
            what = f"{answers:,} answers wrong, a mistake in the work of {evidence.failures:,}"
        parts.append(f"{what}, from {size_text(first)} on")
    return "; ".join(parts) or "none"


def reach(row: Row) -> tuple[int, float]:
    """What a right row shows: its shorter operand first, as 1 by 100,000 digits can be trivial.

    Where the two operands' lengths vary the shorter one counts as none.
    """
    if (row.get("operands") or 2) != 2:
        return row["length"], size(row)
    sides = (row.get("left"), row.get("right"))
    return min(side or 0 for side in sides), size(row)


def size(row: Row) -> float:
    """Answer tokens of a problem of a row, on average, and the digits of its operands."""
    sides = (row.get("left"), row.get("right"))
    known = [side for side in sides if side is not None]
    digits = sum(known) if known else row["length"]
    each: float = row.get("tokens", 0) / row["count"]
    return each + digits


def ordered(rows: Iterable[Overview]) -> list[Overview]:
    """Rows in the order of the tasks, then of the directories, named where names repeat."""
    order = {name: number for number, name in enumerate(TASKS)}
    found = sorted(rows, key=lambda row: (order.get(row.task, len(order)), str(row.run)))
    names = Counter(row.cells[0] for row in found)
    return [
        row
        if names[row.cells[0]] == 1
        else row._replace(cells=(f"{row.cells[0]}, {row.run}", *row.cells[1:]))
        for row in found
    ]


def markdown(rows: Sequence[Overview], notes: Sequence[str]) -> str:
    """The page in Markdown.

    Args:
        rows: of the table.
        notes: paragraphs below it.
    """
    cells = [
        (*map(markdown_text, row.cells), "; ".join(map(_linked, row.published))) for row in rows
    ]
    lines = [*markdown_table(COLUMNS, cells), *(f"\n{note}" for note in notes)]
    return "\n".join(lines) + "\n"


def _linked(published: Published) -> str:
    number = f"arXiv {published.arxiv}"
    link = f"[{number}](https://arxiv.org/abs/{published.arxiv})"
    text = markdown_text(published.text)
    return text.replace(number, link) if published.arxiv else text
