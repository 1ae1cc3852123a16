"""`arithtf demo`: train the adder, certify it, stress it, report; one table with all evidence."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from arithtf.certify import Certificate, certify
from arithtf.commands.evidence import (
    by_suite,
    certificate_text,
    evaluate_shown,
    show_mistakes,
    stress_shown,
)
from arithtf.commands.training import train_shown
from arithtf.console import count, misuse, percent, say, seconds, table, warn
from arithtf.evaluate import Row
from arithtf.recipes import Recipe, get_recipe
from arithtf.report import write_report
from arithtf.runs import FILES, RunError, load_model, lock, read_json, weights_hash, write_json

RECIPE, SUMMARY = "addition", "summary.json"
LENGTHS = (5, 10, 30, 100, 300, 1000)
COUNT = 500
GRID = 10_000
"""Longest operands of the grid: its cells of a million digits would take longer than all else."""


def run(arguments: argparse.Namespace) -> int:
    """Make the demo's run; exit code 0 only if it is certified and no problem came out wrong."""
    out: Path = arguments.out
    recipe = get_recipe(RECIPE)
    prepare(out)
    train_shown(recipe, out)
    model, _ = load_model(out)  # what is examined is what the directory holds
    say("\ncertify: every local context that can occur at any length")
    certificate = certify(out)
    say(certificate_text(certificate))
    certificate.save(out / "certificate.json")
    say(f"\nevaluate: random problems of {', '.join(count(n) for n in LENGTHS)} digits")
    sampled = evaluate_shown(model, recipe, out, lengths=LENGTHS, problems=COUNT)
    say(f"\nstress: adversarial problems of up to {count(arguments.max_digits)} digits")
    farthest = arguments.max_digits
    near = min(farthest, GRID)
    suites = [("carry", farthest), ("ladder", farthest), ("adversarial", near), ("grid", near)]
    suites.append(("tour", 1))
    stressed = stress_shown(model, recipe, out, suites)
    show_mistakes(stressed)
    rows = summary_rows(sampled, stressed, certificate)
    facts = {
        "recipe": recipe.name,
        "seed": recipe.seed,
        "trained_on_digits": list(recipe.lengths),
        "parameters": model.num_parameters(),
        "weights": weights_hash(model),
        "training": read_json(out / "timing.json"),
        "certificate_seconds": certificate.seconds,
    }
    write_json(out / SUMMARY, {"rows": rows, "facts": facts})
    report_path = _report(out)
    say()
    cells = [(row["what"], shown_value(row), row["grade"], row["detail"]) for row in rows]
    table(("what", "value", "grade", "detail"), cells, title=_title(recipe))
    say(
        f"{count(model.num_parameters())} parameters; trained in "
        f"{seconds(facts['training']['seconds'])}, certified in {seconds(certificate.seconds)}"
    )
    say(f"report: {report_path}\n" if report_path else "")
    say(f"yours: echo 958+67 | arithtf solve {out}")
    wrong = sum(row["count"] - row["exact"] for row in stressed)
    if not certificate.certified:
        warn("arithtf demo: the model is not certified")
    if wrong:
        warn(f"arithtf demo: {count(wrong)} adversarial problems came out wrong")
    return 0 if certificate.certified and not wrong else 1


def prepare(out: Path) -> None:
    """Make `out` ready: empty, or cleared of what an earlier demo left, which has a summary.json.

    Raises:
        Misuse: `out` is a file, or holds something that no demo made; it is not touched.
        RunError: another process is writing there.
    """
    if out.exists() and not out.is_dir():
        misuse(f"{out} is not a directory; choose another --out")
    out.mkdir(parents=True, exist_ok=True)
    found = {path.name for path in out.iterdir()} - {".lock"}
    if found and SUMMARY not in found:
        misuse(f"{out} holds something that the demo did not make; choose another --out")
    with lock(out):
        for name in FILES:
            if name != SUMMARY:
                (out / name).unlink(missing_ok=True)
        # Written first: a demo that is cut off leaves a directory that the next one may clear.
        write_json(out / SUMMARY, {"rows": [], "facts": {}})


def _report(out: Path) -> Path | None:
    """The report's path; a missing package is said, and no reason to lose the rest."""
    try:
        return write_report(out)
    except RunError as error:
        warn(f"no report: {error}")
        return None


def summary_rows(
    sampled: Sequence[Row], stressed: Sequence[Row], certificate: Certificate
) -> list[dict[str, Any]]:
    """Every number with its unit and its grade of evidence.

    Args:
        sampled: rows of `evaluate`.
        stressed: rows of `stress`.
        certificate: the model's.

    Returns:
        Rows {"what", "value", "unit", "grade", "detail"}, weakest grade first.
    """
    rows = [
        _row(
            f"random sums, {count(row['length'])} digits",
            row["exact"] / row["count"],
            "share",
            "sampled",
            f"{count(row['exact'])} of {count(row['count'])}, 95 % interval "
            f"{percent(row['exact_low'])} to {percent(row['exact_high'])}",
        )
        for row in sampled
    ]
    for suite, size, part in by_suite(stressed):
        right, problems = (sum(row[key] for row in part) for key in ("exact", "count"))
        detail = f"{count(right)} of {count(problems)}"
        if suite == "tour":
            covered, contexts = (count(part[0][key]) for key in ("covered", "contexts"))
            detail += f", holding {covered} of {contexts} contexts"
        rows.append(_row(f"{suite}, {size}", right / problems, "share", "stressed", detail))
    return rows + _certified_rows(certificate)


def _certified_rows(certificate: Certificate) -> list[dict[str, Any]]:
    """What the certificate says; without one, that it says nothing."""
    if not certificate.certified:
        return [_row("sums of any length", None, "share", "not certified", certificate.reason)]
    return [
        _row(
            "sums of any length",
            1.0,
            "share",
            "certified",
            f"{count(certificate.contexts)} of {count(certificate.contexts)} local contexts",
        ),
        _row(
            "smallest margin after rounding",
            certificate.lower,
            "logits",
            "certified",
            f"smallest margin {certificate.margin:.4g}, any {certificate.dtype} computation",
        ),
    ]


def _row(what: str, value: float | None, unit: str, grade: str, detail: str) -> dict[str, Any]:
    return {"what": what, "value": value, "unit": unit, "grade": grade, "detail": detail}


def shown_value(row: Mapping[str, Any]) -> str:
    """A row's value for people: shares as percentages that never round up to 100."""
    if row["value"] is None:
        return "-"
    if row["unit"] == "share":
        return f"{percent(row['value'])} exact"
    return f"{row['value']:.4g} {row['unit']}"


def _title(recipe: Recipe) -> str:
    return f"{recipe.name}, trained on {recipe.trained_on}"
