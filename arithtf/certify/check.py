"""`certify`: enumerate contexts, run the model on each, bound the rounding, take a tour."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from arithtf import __version__
from arithtf.certify.certificate import Certificate, Shown, Verdict, contexts_hash
from arithtf.certify.contexts import TaskContexts, render_context
from arithtf.certify.provable import CannotCertify, check_task, require_provable
from arithtf.certify.rounding import ContextBounds, context_bounds
from arithtf.certify.shown import real_problem
from arithtf.model import ContextSet, Model, Transformer, context_logits
from arithtf.origin import portable
from arithtf.plain import to_plain
from arithtf.runs import known_hash, load_model
from arithtf.tasks import IGNORE, ArithmeticTask, Batch, Coupling, Vocabulary, task_to_dict
from arithtf.threads import torch_threads

Decide = Callable[[Transformer, Batch], NDArray[np.integer]]
SHOWN_MISTAKES = 20


class Checked(NamedTuple):
    """A model on N contexts.

    Args:
        answer: int64 [N], the token with the largest logit, a wrong one if any implementation
            gives one.
        wrong: bool [N].
        margin: float64 [N], in exact arithmetic.
        bound: float64 [N], what rounding can take away from it.
        deviation: largest |float32 - float64| of a logit or margin as a share of its bound.
    """

    answer: NDArray[np.int64]
    wrong: NDArray[np.bool_]
    margin: NDArray[np.float64]
    bound: NDArray[np.float64]
    deviation: float


def check_contexts(
    model: Transformer, contexts: ContextSet, vocabulary: Vocabulary, implementations: Sequence[str]
) -> Checked:
    """Run the model's ordinary forward on contexts, by each implementation, and bound the rounding.

    Args:
        model: a transformer that `require_provable` accepts.
        contexts: N contexts with their targets.
        vocabulary: of the task.
        implementations: of attention.
    """
    target = torch.from_numpy(contexts.target.astype(np.int64))
    exact = context_bounds(model, contexts, bos=vocabulary.bos)
    answer, deviation = exact.logits.argmax(1), 0.0
    wrong = ~(exact.margin > 0)
    for impl in implementations:
        logits = context_logits(
            model, contexts, bos=vocabulary.bos, pad=vocabulary.pad, impl=impl
        ).cpu()
        given = logits.argmax(1)
        # NaN logits are never right, whatever argmax makes of them.
        mistaken = (given != target) | ~torch.isfinite(logits).all(1)
        answer = torch.where(mistaken & ~wrong, given, answer)
        wrong |= mistaken
        deviation = max(deviation, _deviation(exact, logits.double(), target))
    margin = exact.margin.numpy()
    return Checked(answer.numpy(), wrong.numpy(), margin, margin - exact.lower.numpy(), deviation)


def _deviation(exact: ContextBounds, logits: Tensor, target: Tensor) -> float:
    """How far a run is from the exact model, as the largest share of a bound of logit or margin."""
    if not len(target):
        return 0.0
    right = target[:, None]
    rest = logits.scatter(1, right, -torch.inf).amax(1)
    above = logits.gather(1, right)[:, 0] - rest - exact.margin
    most = torch.where(above > 0, exact.upper - exact.margin, exact.margin - exact.lower)
    shares = ((logits - exact.logits).abs() / exact.error).amax(1), above.abs() / most
    return float(torch.stack(shares).nan_to_num(nan=torch.inf).amax())


def certify(
    model: Model | str | os.PathLike[str],
    task: ArithmeticTask | None = None,
    coupling: Coupling | None = None,
    *,
    impl: str | Sequence[str] | None = None,
    tour: bool = True,
    decide: Decide | None = None,
) -> Certificate:
    """Check a model on every local context that occurs in any instance of any length.

    Args:
        model: the model; or a run directory, which then names task and coupling as well.
        task: what it was trained on.
        coupling: where its ids come from.
        impl: implementations of attention to run on every context, "reference" or "cpu" or both;
            None runs all that can. The rounding bound covers every conforming one.
        tour: cross-check on real instances by the ordinary evaluator.
        decide: that evaluator: model and batch -> what the model predicts at columns start ..
            stop - 1, [B, stop - start], given the true tokens before each; None uses its forward.

    Returns:
        A certificate; its verdict is "refused" where nothing can be proved, with the reason.

    Raises:
        ValueError, TypeError: arguments that do not name a model, a task and a coupling.
        RunError: the run directory has no model.
    """
    began = time.perf_counter()
    found_model, task, coupling = _resolve(model, task, coupling)
    certificate = Certificate(
        verdict="refused",
        reason="",
        task=portable(task_to_dict(task)),
        coupling=coupling.to_dict(),
        model=portable(to_plain(found_model.config)),
        weights=known_hash(found_model),
        versions=_versions(),
    )
    try:
        model = require_provable(found_model, task, coupling)
        implementations = _implementations(model, impl)
        encoding = model.config.encoding
        found = check_task(task, coupling, encoding.windows, sinks=encoding.sinks)
        checked = check_contexts(model, found.contexts, task.vocabulary, implementations)
        certificate = _judge(certificate, found, checked, implementations)
        if tour and certificate.certified:
            certificate = _after_tour(certificate, model, found, decide)
    except CannotCertify as reason:
        certificate = replace(certificate, reason=str(reason))
    return replace(certificate, seconds=time.perf_counter() - began)


def _resolve(
    model: Model | str | os.PathLike[str],
    task: ArithmeticTask | None,
    coupling: Coupling | None,
) -> tuple[Model, ArithmeticTask, Coupling]:
    if isinstance(model, str | os.PathLike):
        if task is not None or coupling is not None:
            raise ValueError("a run directory names its task and coupling; do not pass others")
        model, recipe = load_model(Path(model), certifying=True)
        return model, recipe.arithmetic, recipe.coupling
    if not isinstance(model, Model):
        raise TypeError(f"expected a Model or a run directory, got {type(model).__name__}")
    if task is None or coupling is None:
        raise ValueError("expected task and coupling along with a model; pass those of its recipe")
    return model, task, coupling


def _implementations(model: Transformer, impl: str | Sequence[str] | None) -> tuple[str, ...]:
    """The implementations to run."""
    if impl is None:
        cpu = model.device.type == "cpu" and model.config.encoding.linear
        return ("reference", "cpu") if cpu else ("reference",)
    chosen = (impl,) if isinstance(impl, str) else tuple(impl)
    if not chosen or not set(chosen) <= {"reference", "cpu"}:
        raise ValueError(f"expected impl 'reference', 'cpu' or both, got {impl!r}")
    return chosen


def _versions() -> dict[str, str]:
    return {
        "arithtf": __version__,
        "torch": torch.__version__,
        "numpy": np.__version__,
        "python": platform.python_version(),
        "machine": platform.machine(),
    }


def _judge(
    certificate: Certificate,
    found: TaskContexts,
    checked: Checked,
    implementations: tuple[str, ...],
) -> Certificate:
    """The certificate with all that the contexts say."""
    lower = checked.margin - checked.bound
    verdict, reason = _verdict(checked, lower)

    def show(i: int) -> Shown:
        problem, place = real_problem(found, i)
        vocabulary = found.task.vocabulary
        return Shown(
            problem=problem,
            place=place,
            context=render_context(found.contexts, i, found.coupling, vocabulary),
            expected=vocabulary.text([found.contexts.target[i]]),
            answered=vocabulary.text([checked.answer[i]]),
            margin=float(checked.margin[i]),
            bound=float(checked.bound[i]),
        )

    mistakes = np.flatnonzero(checked.wrong)
    mistakes = mistakes[np.argsort(checked.margin[mistakes], kind="stable")][:SHOWN_MISTAKES]
    counts, edges = np.histogram(checked.margin, bins=60)
    finite = bool(np.isfinite(checked.bound).all())
    return replace(
        certificate,
        verdict=verdict,
        reason=reason,
        implementations=implementations,
        contexts=len(checked.margin),
        contexts_hash=contexts_hash(found.contexts),
        wrong=int(checked.wrong.sum()),
        mistakes=tuple(show(int(i)) for i in mistakes),
        margin=float(checked.margin.min()),
        lower=float(lower.min()) if finite else None,
        bound=float(checked.bound.max()) if finite else None,
        worst=_whole(show(int(checked.margin.argmin()))) if finite else None,
        histogram={"edges": edges.tolist(), "counts": counts.tolist()},
    )


def _verdict(checked: Checked, lower: NDArray[np.float64]) -> tuple[Verdict, str]:
    count = len(checked.margin)
    if count == 0:
        return "refused", "the task has no contexts, so there is nothing to prove"
    if checked.wrong.any():
        return "wrong", f"the model errs in {int(checked.wrong.sum())} of {count} contexts"
    if not (lower > 0).all():
        return "refused", (
            f"the rounding bound exceeds the margin in {int((~(lower > 0)).sum())} of {count} "
            "contexts; train for larger margins"
        )
    if not checked.deviation <= 1:
        return "refused", (
            "a float32 run was further from the exact logits than rounding can explain: the "
            "implementation that ran does not conform to the arithmetic the bound is for"
        )
    return "certified", ""


def _whole(shown: Shown) -> Shown:
    """Without a problem that is too long to show, or has no text, and so cannot be read back."""
    return replace(shown, problem="", place=0) if " .." in shown.problem else shown


def _after_tour(
    certificate: Certificate, model: Transformer, found: TaskContexts, decide: Decide | None
) -> Certificate:
    """The certificate after a tour; a mistake there contradicts the contexts and takes it back."""
    impl = "cpu" if "cpu" in certificate.implementations else "reference"
    with torch_threads(1):
        took = run_tour(model, found, decide or forward_decisions(impl))
    if took.covered != certificate.contexts:
        return replace(certificate, verdict="refused", reason="the tour missed contexts")
    if took.wrong:
        reason = f"the model errs in {took.wrong} predictions of the tour"
        return replace(certificate, verdict="wrong", reason=reason)
    return certificate


class Tour(NamedTuple):
    """Real instances that contain every context, run through the ordinary evaluator.

    Args:
        instances: how many.
        longest: digits of the longest operand.
        predictions: answer tokens predicted.
        wrong: of these, how many are wrong.
        covered: contexts that occurred.
    """

    instances: int
    longest: int
    predictions: int
    wrong: int
    covered: int


def run_tour(model: Transformer, found: TaskContexts, decide: Decide) -> Tour:
    """Evaluate the tour, and count the contexts that occurred in what was evaluated.

    Args:
        model: as in `certify`.
        found: the contexts of the model's task; the tour is the instances they were found in.
        decide: the evaluator.
    """
    predictions = wrong = 0

    def evaluated() -> Iterator[Batch]:
        nonlocal predictions, wrong
        for batch in found.layouts():
            targets = batch.asked
            asked = targets != IGNORE
            predictions += int(asked.sum())
            wrong += int((asked & (decide(model, batch) != targets)).sum())
            yield batch

    covered = found.covered(evaluated())
    longest = int(np.diff(found.operands.offsets).max(initial=0))
    return Tour(len(found.operands), longest, predictions, wrong, covered)


def forward_decisions(impl: str, tokens: int = 2**17, queries: int = 2**15) -> Decide:
    """The evaluator that is the model's ordinary forward, in pieces.

    Args:
        impl: implementation of attention.
        tokens: tokens of the rows that run together.
        queries: queries of a piece.
    """

    @torch.inference_mode()
    def decide(model: Transformer, batch: Batch) -> NDArray[np.int64]:
        rows, columns = batch.tokens.shape
        decided = np.empty((rows, batch.stop - batch.start), np.int64)
        at_once = max(1, tokens // columns)
        for row in range(0, rows, at_once):
            part = slice(row, row + at_once)
            arrays = (batch.tokens[part], batch.query_ids[part], batch.key_ids[part])
            inputs = [torch.from_numpy(a).to(model.device) for a in arrays]
            step = max(1, queries // len(inputs[0]))
            for first in range(batch.start, batch.stop, step):
                stop = min(first + step, batch.stop)
                logits = model(*inputs, start=first, stop=stop, impl=impl)
                here = slice(first - batch.start, stop - batch.start)
                decided[part, here] = logits.argmax(-1).cpu().numpy()
        return decided

    return decide
