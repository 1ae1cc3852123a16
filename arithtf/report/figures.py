"""The report's figures with their captions, from a run's evidence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from arithtf.model import Model
from arithtf.report import plots
from arithtf.report.attention import coupled_attention
from arithtf.report.evidence import Cell, Evidence
from arithtf.tasks import Addition, Operands

EXAMPLE = "958+67"
SHARED = 24
"""Answer tokens that fit into the drawing of attention."""


@dataclass(frozen=True)
class Drawn:
    """One <figure> of the page.

    Args:
        id: of the element.
        svg: empty where the data are missing.
        caption: what is seen, and what n is; or what is missing.
        grades: of the evidence; none for figures that are none.
        command: what makes missing data.
    """

    id: str
    svg: str = ""
    caption: str = ""
    grades: tuple[str, ...] = ()
    command: str = ""


def draw_all(evidence: Evidence, model: Model | None) -> dict[str, Drawn]:
    """All figures by name."""
    drawn = (
        accuracy(evidence),
        carry(evidence),
        grid(evidence),
        margins(evidence),
        attention(evidence, model),
        training(evidence),
    )
    return {figure.id: figure for figure in drawn}


def accuracy(evidence: Evidence) -> Drawn:
    """Exact match against length."""
    points, trained = evidence.points, evidence.recipe.lengths
    if not points and not evidence.certified:
        command, what = f"arithtf evaluate {evidence.quoted}", "Sample it:"
        if evidence.on_operands:
            command += f"\narithtf stress {evidence.quoted}"
            what = "Sample it, or stress it up to a million digits:"
        return Drawn("accuracy", caption=f"Nothing was measured yet. {what}", command=command)
    sampled = [p for p in points if p.grade == "sampled"]
    stressed = [p for p in points if p.grade == "stressed"]
    every = [p for p in points if p.grade == "exhaustive"]
    parts = []
    if sampled:
        parts.append(f"Circles: {_right(sampled)} random problems, bars are 95 % Wilson intervals.")
    if every:
        parts.append(f"Squares: {_right(every)}, every problem held out from training.")
    if stressed:
        parts.append(
            f"Diamonds: {_right(stressed)} adversarial problems, up to "
            f"{max(p.length for p in stressed):,} digits."
        )
    if any(p.share < 1 for p in points):
        parts.append("Open marks: some answer was wrong.")
    if evidence.certified:
        parts.append("Arrow: the certificate, every length.")
    caption = " ".join(parts)
    svg = plots.accuracy(points, trained, evidence.certified, f"Accuracy against length. {caption}")
    return Drawn("accuracy", svg, caption, evidence.grades)


def carry(evidence: Evidence) -> Drawn:
    """Exact match by chain length and place."""
    if not isinstance(evidence.recipe.task, Addition):
        return Drawn("carry", caption="Carry chains by length and place are drawn for sums alone.")
    what = (
        "Longest carry chain of a sum, by its length and by the column where it begins (0 is the "
        "units; a cell holds what lies between its number and the next)"
    )
    sides = ("first column of the chain", "columns it runs through")
    return _heat(evidence, "carry", evidence.carry, what, sides)


def grid(evidence: Evidence) -> Drawn:
    """Exact match by the lengths of both operands."""
    if not evidence.on_operands:
        return Drawn("grid", caption="Problems have no operands: there are no unequal lengths.")
    if evidence.recipe.arithmetic.arity < 2:
        return Drawn("grid", caption="Problems have one operand: there are no unequal lengths.")
    sides = ("digits of the first operand", "digits of the second")
    return _heat(evidence, "grid", evidence.grid, "Operands of unequal lengths", sides)


def _heat(
    evidence: Evidence, suite: str, cells: Sequence[Cell], what: str, sides: tuple[str, str]
) -> Drawn:
    """A suite as a heat map over two numbers, whose names are `sides`."""
    if not cells:
        command = f"arithtf stress {evidence.quoted} --suite {suite}"
        return Drawn(suite, caption=f"{what}: not measured yet.", command=command)
    caption = (
        f"{what}, {evidence.problems(suite):,} problems of up to {evidence.digits(suite):,} "
        f"digits; {_cells(cells)}."
    )
    svg = plots.heat(suite, cells, *sides, f"Heat map. {caption}", plots.WIDTH / 2)
    return Drawn(suite, svg, caption, ("stressed",))


def margins(evidence: Evidence) -> Drawn:
    """Margins of all local contexts."""
    certificate = evidence.certificate
    if certificate is None and not evidence.on_operands:
        return Drawn("margins", caption="Only tasks on operands can be certified.")
    if certificate is None:
        return Drawn(
            "margins",
            caption="There is no certificate yet. It checks every local context that can occur:",
            command=f"arithtf certify {evidence.quoted}",
        )
    if not certificate["histogram"] or certificate["lower"] is None:
        return Drawn("margins", caption=f"No margins: {certificate['reason']}")
    smallest, lower = certificate["margin"], certificate["lower"]
    count, wrong = certificate["contexts"], certificate["wrong"]
    seen = "none is wrong" if wrong == 0 else f"{wrong:,} are wrong"
    caption = (
        f"All {count:,} local contexts that occur in problems of any length; {seen}. "
        f"The smallest margin is {smallest:.3g} logits. Rounding in {certificate['dtype']} can "
        f"take away at most {certificate['bound']:.2g} of any margin and leaves at least "
        f"{lower:.3g} of each."
    )
    svg = plots.margins(certificate["histogram"], smallest, lower, f"Margins. {caption}")
    return Drawn("margins", svg, caption, ("certified",) if evidence.certified else ())


def attention(evidence: Evidence, model: Model | None) -> Drawn:
    """Attention weights of a real problem in coupled coordinates."""
    if model is None:
        return Drawn(
            "attention",
            caption="The run has no weights yet. Finish the training:",
            command=evidence.train_command + " --resume",
        )
    recipe = evidence.recipe
    if not evidence.on_operands:
        return Drawn("attention", caption="Attention is drawn for problems on operands alone.")
    try:
        task = recipe.arithmetic
        problem = task.parse(EXAMPLE if isinstance(task, Addition) else task.example)
        operands = Operands.from_digits([problem], arity=len(problem))
        coupled = coupled_attention(model, recipe.arithmetic, recipe.coupling, operands)
    except ValueError as error:
        return Drawn("attention", caption=f"Not drawn: {error}.")
    if len(coupled.slots) > SHARED or len(coupled.written) > SHARED:
        return Drawn(
            "attention",
            caption=f"Not drawn: without a window a query sees too much ({len(coupled.slots)} "
            "places) to draw.",
        )
    caption = (
        f"The model computing {coupled.problem}. A row per token "
        "that is written; its columns are the digits the query sees, by their column difference "
        "to the token to come and the operand they belong to. Dark is weight 1; each row sums "
        "to 1, or to 0 where its head sees nothing ($ ends the answer, ^ begins the problem). "
        "One problem, weights read from the model."
    )
    return Drawn("attention", plots.weights(coupled, f"Attention weights. {caption}"), caption)


def training(evidence: Evidence) -> Drawn:
    """Loss and exact match over the steps."""
    rows = evidence.metrics
    if not rows:
        return Drawn(
            "training",
            caption="No step was logged yet. Train:",
            command=evidence.train_command + " --resume",
        )
    recipe = evidence.recipe
    caption = (
        f"Training on fresh problems, {recipe.batch} a step; exact match is that of each logged "
        f"batch before its step (n = {recipe.batch}), at the trained lengths."
    )
    return Drawn("training", plots.training(rows, f"Training. {caption}"), caption, ("sampled",))


def _cells(cells: Sequence[Cell]) -> str:
    imperfect = sum(cell.share < 1 for cell in cells)
    if imperfect == 0:
        return f"all right in all {len(cells)} cells"
    return f"{imperfect} of {len(cells)} cells are not all right"


def _right(points: Sequence[Any]) -> str:
    right, count = sum(p.right for p in points), sum(p.count for p in points)
    return f"all {count:,}" if right == count else f"{right:,} right of {count:,}"


def contexts_shown(certificate: Mapping[str, Any] | None) -> list[dict[str, Any]]:
    """The worst context, and the first mistakes, as the page shows them."""
    if certificate is None:
        return []
    shown = [
        (context, True, f"Mistake {number}")
        for number, context in enumerate(certificate["mistakes"][:5], start=1)
    ]
    if certificate["worst"] and not shown:
        shown = [(certificate["worst"], False, "The context with the smallest margin")]
    return [
        {
            "title": title,
            "bad": bad,
            "problem": context["problem"],
            "text": f"Writing token {context['place']} of the answer (0 is the first, the least "
            f"significant digit), {context['context']}. "
            + (
                f"The model writes {context['answered']!r}."
                if bad
                else f"Margin {context['margin']:.3f}, of which rounding can take "
                f"{context['bound']:.2g}."
            ),
        }
        for context, bad, title in shown
    ]
