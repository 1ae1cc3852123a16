"""`arithtf demo`: train the adder, certify it, stress it, report; one table with all evidence."""

from __future__ import annotations

import argparse
from pathlib import Path

from arithtf.certify import Certificate
from arithtf.commands.evidence import (
    certify_shown,
    evaluate_shown,
    show_mistakes,
    stress_shown,
)
from arithtf.commands.training import train_shown
from arithtf.console import count, figures, misuse, say, seconds, table, warn
from arithtf.evaluate import Row
from arithtf.evaluate.results import flawed
from arithtf.recipes import get_recipe
from arithtf.report import write_report
from arithtf.report.evidence import results
from arithtf.runs import FILES, RunError, load_model, lock, read_json, weights_hash, write_json

RECIPE, SUMMARY = "addition", "summary.json"
LENGTHS = (5, 10, 30, 100, 300, 1000)
COUNT = 500
GRID = 10_000
"""Longest operands of the grid: its cells of a million digits would take longer than all else."""


def run(arguments: argparse.Namespace) -> int:
    """Make the demo's run; exit code 0 only if it is certified and no problem came out wrong."""
    with figures(arguments.json) as take:
        certificate, rows = _made(arguments)
        take([certificate.to_dict(), *rows])
    return 0 if certificate.certified and not any(map(flawed, rows)) else 1


def _made(arguments: argparse.Namespace) -> tuple[Certificate, list[Row]]:
    """The whole story, told as it goes: the certificate and the rows of all evaluations."""
    out: Path = arguments.out
    recipe = get_recipe(RECIPE)
    prepare(out)
    train_shown(recipe, out)
    model, _ = load_model(out)  # what is examined is what the directory holds
    say("\ncertify: every local context that can occur at any length")
    certificate = certify_shown(out)
    say(f"\nevaluate: random problems of {', '.join(count(n) for n in LENGTHS)} digits")
    sampled = evaluate_shown(model, recipe, out, lengths=LENGTHS, problems=COUNT)
    say(f"\nstress: adversarial problems of up to {count(arguments.max_digits)} digits")
    farthest = arguments.max_digits
    near = min(farthest, GRID)
    suites = [("carry", farthest), ("ladder", farthest), ("adversarial", near), ("grid", near)]
    suites.append(("tour", 1))
    stressed = stress_shown(model, recipe, out, suites)
    show_mistakes(stressed)
    found = results([*sampled, *stressed], certificate.to_dict())
    facts = {
        "recipe": recipe.name,
        "seed": recipe.seed,
        "trained_on_digits": list(recipe.lengths),
        "parameters": model.num_parameters(),
        "weights": weights_hash(model),
        "training": read_json(out / "timing.json"),
        "certificate_seconds": certificate.seconds,
    }
    write_json(out / SUMMARY, {"rows": [row._asdict() for row in found], "facts": facts})
    report_path = _report(out)
    say()
    cells = [(row.what, row.shown, row.grade, row.detail) for row in found]
    title = f"{recipe.name}, trained on {recipe.trained_on}"
    table(("what", "right answers", "grade", "of what"), cells, title=title)
    say(
        f"{count(model.num_parameters())} parameters; trained in "
        f"{seconds(facts['training']['seconds'])}, certified in {seconds(certificate.seconds)}"
    )
    say(f"report: {report_path}\n" if report_path else "")
    say(f"yours: echo 958+67 | arithtf solve {out}")
    wrong = sum(map(flawed, stressed))
    if not certificate.certified:
        warn("arithtf demo: the model is not certified")
    if wrong:
        warn(f"arithtf demo: {count(wrong)} adversarial problems came out wrong")
    return certificate, [*sampled, *stressed]


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
