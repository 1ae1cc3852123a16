"""`arithtf evaluate`, `stress`, `certify`, `verify-certificate` and `report`."""

from __future__ import annotations

import argparse
import contextlib
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path

from arithtf.certify import Certificate
from arithtf.certify import certify as certify_model
from arithtf.certify import verify_certificate as verify
from arithtf.console import Misuse, count, figures, percent, progress, say, seconds, table
from arithtf.evaluate import Row, record
from arithtf.evaluate import evaluate as evaluate_model
from arithtf.evaluate import stress as stress_model
from arithtf.evaluate.problems import too_large
from arithtf.evaluate.results import by_suite, flawed, shape_text, size_text, step_of
from arithtf.evaluate.sample import longest_of
from arithtf.evaluate.suites import MAX_TOKENS
from arithtf.model import Model
from arithtf.recipes import Recipe
from arithtf.runs import RunError, load_model, load_recipe
from arithtf.tasks import ArithmeticTask

LENGTHS = (10, 100, 1000)
COUNT = 1000

SAMPLE = 1 << 25
"""Columns of all problems of a length that is sampled unless others are asked for."""


def evaluate(arguments: argparse.Namespace) -> int:
    """Sample problems of the test split and print shares with their intervals."""
    run = arguments.run_directory
    model, recipe = load_model(run)
    problems = arguments.count or COUNT
    lengths = arguments.lengths or usual_lengths(recipe, problems)
    with figures(arguments.json) as take:
        rows = evaluate_shown(
            model, recipe, run, lengths=lengths, problems=problems, seed=arguments.seed
        )
        show_sampled(rows)
        take(rows)
    return 0


def show_sampled(rows: Sequence[Row]) -> None:
    """A table of sampled lengths."""
    cells = [
        (
            count(row["length"]),
            _problems_text(row),
            *(
                _with_interval(row, row[name] / row["count"], name)
                for name in ("exact", "whole_work")
            ),
            _with_interval(row, row["accuracy"], "accuracy"),
            row["grade"],
        )
        for row in rows
    ]
    on_operands = rows[0].get("operands", 2) is not None
    length, each = ("digits", "per digit") if on_operands else ("length", "per token")
    columns = ("answer [95 %]", "whole work [95 %]", f"{each} [95 %]")
    table((length, "right", *columns, "grade"), cells)


def _problems_text(row: Row) -> str:
    right = f"{count(row['exact'])} of {count(row['count'])}"
    if row["count"] == row["drawn"]:
        return right
    return f"{right} different, {count(row['drawn'])} drawn"


def _with_interval(row: Row, share: float, name: str) -> str:
    """A share, and its interval unless it is of all problems there are."""
    ends = f" [{percent(row[f'{name}_low'])}, {percent(row[f'{name}_high'])}]"
    return percent(share) + ("" if row["grade"] == "exhaustive" else ends)


def evaluate_shown(
    model: Model,
    recipe: Recipe,
    run: Path,
    *,
    lengths: Sequence[int],
    problems: int,
    seed: int = 0,
) -> list[Row]:
    """Sample problems with progress by length, and record every row at once.

    Args:
        model, recipe, run: of a run directory.
        lengths: in digits.
        problems: of each length.
        seed: of the problems.

    Returns:
        The rows of all lengths.
    """
    done = 0
    with progress("evaluate", len(lengths)) as update:

        def note(row: Row) -> None:
            nonlocal done
            done += 1
            right = f"{count(row['exact'])} of {count(row['count'])}"
            update(done, f"{step_of(row)}: {right} right")
            record(run, [row])  # last: a full disk must not take the figure along

        return evaluate_model(
            model, recipe, lengths=lengths, count=problems, seed=seed, progress=note
        )


def usual_lengths(recipe: Recipe, problems: int) -> tuple[int, ...]:
    """Those of LENGTHS at which so many problems are a matter of a minute; the first at least.

    Those trained on, the shortest and the longest, where problems have no operands: a task may
    not have longer ones.
    """
    if not isinstance(recipe.task, ArithmeticTask):
        return tuple(sorted(set(recipe.lengths)))
    fitting = [n for n in LENGTHS[1:] if longest_of(recipe, n) * problems <= SAMPLE]
    return (LENGTHS[0], *fitting)


def stress(arguments: argparse.Namespace) -> int:
    """Run suites; exit code 1 if any problem had a mistake, in the work if not in the answer."""
    model, recipe = load_model(arguments.run_directory)
    suites = [(arguments.suite, arguments.max_digits)]
    with figures(arguments.json) as take:
        rows = stress_shown(
            model, recipe, arguments.run_directory, suites, max_tokens=arguments.max_tokens
        )
        show_suites(rows)
        for name, shape, tokens in too_large(
            recipe.arithmetic, arguments.max_digits, arguments.max_tokens
        ):
            say(
                f"left out: {name} of {shape_text(shape)} and more ({count(tokens)} tokens a "
                f"problem, the limit is {count(arguments.max_tokens)}; see --max-tokens)"
            )
        take(rows)
    return 1 if any(map(flawed, rows)) else 0


def stress_shown(
    model: Model,
    recipe: Recipe,
    run: Path,
    suites: Sequence[tuple[str, int]],
    *,
    max_tokens: int = MAX_TOKENS,
) -> list[Row]:
    """Run suites with a line as each of their sizes begins, and record every row at once.

    Args:
        model, recipe, run: of a run directory.
        suites: (name, longest operand in digits).
        max_tokens: columns of the largest problem.

    Returns:
        The rows of all suites.
    """
    announce = _announcer()

    def note(row: Row) -> None:
        # At once: a model may not be able to take the next length, or the user to wait for it.
        record(run, [row])
        announce(row)

    rows: list[Row] = []
    for suite, max_digits in suites:
        rows += stress_model(
            model, recipe, suite, max_digits=max_digits, max_tokens=max_tokens, progress=note
        )
    return rows


def show_suites(rows: Sequence[Row]) -> None:
    """A table of suites, and a line for each row with a mistake."""
    cells = []
    for name, size, part in by_suite(rows):
        right, problems = (sum(row[key] for row in part) for key in ("exact", "count"))
        cells.append(
            (
                name,
                size,
                f"{count(right)} of {count(problems)}",
                percent(right / problems),
                percent(1 - sum(map(flawed, part)) / problems),
                seconds(sum(row["seconds"] for row in part)),
                part[0]["grade"],
            )
        )
    table(("suite", "size", "right", "answer", "whole work", "time", "grade"), cells)
    show_mistakes(rows)


def show_mistakes(rows: Sequence[Row]) -> None:
    """A line for each row with a mistake."""
    for row in rows:
        if flawed(row):
            say(f"wrong: {failure_text(row)}")


def failure_text(row: Row) -> str:
    """Where a suite's row went wrong."""
    facts = [f"{row['suite']} {row['distribution']}", size_text(row)]
    if row["chain"] is not None:
        facts.append(f"a carry chain of {count(row['chain'])} columns from column {row['place']}")
    answers = row["count"] - row["exact"]
    facts.append(f"{count(answers)} of {count(row['count'])} answers wrong")
    if flawed(row) > answers:
        facts.append(f"a mistake in the work of {count(flawed(row))}")
    if row["first_wrong"] is not None:
        facts.append(f"first at written token {count(row['first_wrong'])}")
    return ", ".join(facts)


def _announcer() -> Callable[[Row], None]:
    """A line when a suite reaches a new size; suites shown together are announced once."""
    seen: set[tuple[str, str]] = set()

    def announce(row: Row) -> None:
        suite, step = row["suite"], step_of(row)
        if (suite, step) not in seen:
            seen.add((suite, step))
            say(f"stress {suite}" + (f": {step}" if step else ""))

    return announce


def certify(arguments: argparse.Namespace) -> int:
    """Certify a run and write the certificate; exit code 0 only if certified."""
    with figures(arguments.json) as take:
        certificate = certify_shown(arguments.run_directory, arguments.out)
        take([certificate.to_dict()])
    return 0 if certificate.certified else 1


def certify_shown(run: Path, out: Path | None = None) -> Certificate:
    """Certify a run, say the verdict, and write the certificate, into the run if out is None."""
    out = out or run / "certificate.json"
    certificate = certify_model(run)
    say(certificate_text(certificate))  # first: a full disk must not take the verdict along
    certificate.save(out)
    say(f"certificate: {out}")
    return certificate


def certificate_text(certificate: Certificate) -> str:
    """A certificate in a few lines."""
    lines = []
    if certificate.certified:
        lines.append(
            f"certified: exact at every operand length ({count(certificate.contexts)} local "
            f"contexts, all right, in {seconds(certificate.seconds)})"
        )
    elif certificate.verdict == "wrong":
        lines.append(
            f"not certified: wrong in {count(certificate.wrong)} of "
            f"{count(certificate.contexts)} local contexts"
        )
        lines += [
            f"  wrong: {shown.problem.partition('=')[0]}= at token {shown.place} of the answer: "
            f"{shown.answered} instead of {shown.expected}"
            for shown in certificate.mistakes[:3]
        ]
    else:
        lines.append(f"not certified: {certificate.reason}")
    if certificate.margin is not None and certificate.lower is not None:
        lines.append(
            f"smallest margin: {certificate.margin:.4g} logits, at least {certificate.lower:.4g} "
            f"after any {certificate.dtype} rounding"
        )
    if certificate.worst is not None:
        worst = certificate.worst
        where = f"worst context: {worst.context}"
        if worst.problem:
            where = (
                f"worst problem: {worst.problem}, token {worst.place} of the answer "
                f"({worst.context})"
            )
        lines.append(f"  {where}; rounding bound {worst.bound:.3g}")
    return "\n".join(lines)


def verify_certificate(arguments: argparse.Namespace) -> int:
    """Check a certificate by the second path; exit code 0 only if it holds."""
    run: Path = arguments.run_directory
    path: Path = arguments.certificate or run / "certificate.json"
    if not path.exists():
        raise Misuse(f"{run} has no certificate.json; make one with `arithtf certify {run}`")
    with figures(arguments.json) as take:
        if (weights := run / "model.safetensors").exists() and not weights.is_file():
            raise RunError(f"{weights} cannot be read: it is no file")  # a pipe would be waited for
        with contextlib.suppress(RunError):  # the second path reads, and refuses, by itself
            load_recipe(run)  # warns where fields were edited that no certificate is about
        found = verify(path, run)
        for problem in found.problems:
            say(f"{'does not hold' if found.able else 'cannot be checked'}: {problem}")
        if found.valid:
            margin = "" if found.margin is None else f", smallest margin {found.margin:.4g} logits"
            say(
                f"the certificate holds: {count(found.contexts)} local contexts derived and "
                f"evaluated anew{margin}, in {seconds(found.seconds)}"
            )
        else:
            say(f"compared: {path} with config.json and model.safetensors in {run}")
        take([{"valid": found.valid, **asdict(found)}])
    return 0 if found.valid else 1


def report(arguments: argparse.Namespace) -> int:
    """Write the page."""
    from arithtf.report import write_report

    say(f"report: {write_report(arguments.run_directory)}")
    return 0
