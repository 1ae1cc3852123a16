"""Rows of eval.jsonl: what was evaluated, how it went, and which grade of evidence it is.

| key | content |
|---|---|
| suite | "sampled", "carry", "adversarial", "ladder", "grid" or "tour" |
| distribution | how the problems were drawn; "every" if each was taken once |
| grade | "sampled" (random problems), "exhaustive" (every problem of a small split) or "stressed" |
|  | (adversarial suites up to a stated length) |
| length | digits of the longest operand, or the size of a problem without operands |
| operands | how many operands a problem has; null of a task without operands |
| left, right | digits of the first, the second operand; null where they vary |
| chain, place | the longest run of columns that carry, and its first column; null where they vary |
| drawn, count | problems drawn, and how many different ones they are; all else is about these |
| exact | how many answers were right: what `solve` prints |
| whole_work | how many were written without any mistake, work and end mark included |
| digits, wrong_digits | digits of the right answers, and how many the model's do not have there |
| tokens, wrong_tokens | all tokens written (work, EOS), and how many were not the argmax |
| first_wrong | the lowest place in what was written that was wrong; null if none was |
| margin | the smallest margin; null if it is not finite |
| seconds | of layout and verification |
| weights | hash of the weights |

In the grid of a task with any number of operands, left is how many there are, right their digits.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from arithtf.evaluate.score import Scores
from arithtf.runs import append_line
from arithtf.runs.shapes import COUNT, TEXT, misfit

Row = dict[str, Any]


def result_row(
    suite: str,
    distribution: str,
    scores: Scores,
    *,
    length: int,
    seconds: float,
    weights: str,
    **facts: Any,
) -> Row:
    """One row from the scores of some problems; see the module's table.

    Args:
        suite, distribution, length, seconds, weights: as in the table.
        scores: of the row's problems.
        facts: further keys, or those of the table that are not null.
    """
    verdict = scores.work
    wrong = verdict.first_wrong[~verdict.exact]
    margin = float(verdict.margin.min())
    return {
        "suite": suite,
        "distribution": distribution,
        "grade": "sampled" if suite == "sampled" else "stressed",
        "length": length,
        "operands": None,
        "left": None,
        "right": None,
        "chain": None,
        "place": None,
        "drawn": len(scores),
        "count": len(scores),
        "exact": int(scores.answer.sum()),
        "whole_work": int(verdict.exact.sum()),
        "digits": int(scores.digits.sum()),
        "wrong_digits": int(scores.wrong_digits.sum()),
        "tokens": int(verdict.tokens.sum()),
        "wrong_tokens": int(verdict.wrong.sum()),
        "first_wrong": int(wrong.min()) if wrong.size else None,
        "margin": margin if math.isfinite(margin) else None,
        "seconds": round(seconds, 6),
        "weights": weights,
    } | facts


def flawed(row: Mapping[str, Any]) -> int:
    """Problems with a mistake anywhere, in the work if not in the answer."""
    # Rows from before answers were told apart have the whole work as their one figure.
    return int(row["count"] - row.get("whole_work", row["exact"]))


_NUMBERS = ("operands", "left", "right", "chain", "place", "tokens")
SHAPE = {
    "suite": TEXT,
    "distribution": TEXT,
    "grade": TEXT,
    "length": COUNT,
    "count": COUNT,
    "exact": COUNT,
    "whole_work": COUNT,
    **dict.fromkeys(_NUMBERS, COUNT.or_null()),
}
"""What a row must hold for those who show it; `whole_work` and `_NUMBERS` may be missing."""


def damage(row: Row) -> str:
    """Why a row of eval.jsonl cannot be shown; empty where it can."""
    wrong = misfit({"whole_work": 0, "distribution": ""} | dict.fromkeys(_NUMBERS) | row, SHAPE)
    if not wrong and not row["exact"] <= row["count"] > 0:
        wrong = f"{row['exact']} of {row['count']} problems are right"
    if not wrong and row.get("whole_work", 0) > row["count"]:
        wrong = f"the work of {row['whole_work']} of {row['count']} problems is right"
    if not wrong and row["suite"] == "tour":
        wrong = misfit(row, {"covered": COUNT, "contexts": COUNT})
    return wrong


def size_text(row: Mapping[str, Any]) -> str:
    """How large a row's problems are: "1,000 x 20 digits", "100 numbers of 50 digits"."""
    left, right = row.get("left"), row.get("right")
    numbers = row.get("operands") or 2
    if left is not None and right is not None and numbers == 2:
        return shape_text((left, right))
    return shape_text((row["length"],) * (numbers if numbers > 2 else 1))


def shape_text(shape: Sequence[int]) -> str:
    """Operand lengths for people."""
    if len(shape) > 2:
        return f"{len(shape):,} numbers of {max(shape):,} digits"
    return f"{' x '.join(f'{length:,}' for length in shape)} digits"


def by_suite(rows: Iterable[Row]) -> list[tuple[str, str, list[Row]]]:
    """Rows that are shown together, of one step (`step_of`) and grade.

    Returns:
        (suite, how large its problems are, rows).
    """
    found: dict[tuple[str, str, str], list[Row]] = {}
    for row in rows:
        found.setdefault((row["suite"], step_of(row), row["grade"]), []).append(row)
    return [
        (suite, step or f"up to {size_text(max(part, key=_size))}", part)
        for (suite, step, _), part in found.items()
    ]


def step_of(row: Mapping[str, Any]) -> str:
    """What a suite's rows are shown by; empty where they are shown together."""
    if row["suite"] == "sampled" and row.get("operands", 2) is None:
        return f"length {row['length']:,}"
    if row["suite"] in ("sampled", "carry"):
        return shape_text((row["length"],))
    return size_text(row) if row["suite"] == "ladder" else ""


def _size(row: Mapping[str, Any]) -> tuple[int, int, int]:
    left, right = row.get("left") or 0, row.get("right") or 0
    return row["length"], row.get("operands") or 0, left * right


def record(run: Path, rows: Iterable[Row]) -> None:
    """Append rows to a run's eval.jsonl."""
    for row in rows:
        append_line(run / "eval.jsonl", row)
