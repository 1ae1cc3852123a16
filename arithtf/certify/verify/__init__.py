"""The second path: a certificate checked again by other code than made it.

1. *Fields* (`fields`). The certificate is about this run: task, coupling, model and the hash of the
   weights are the same, and no setting and no weight is unknown.
2. *Contexts* (`columns`, `scratchpads`). All local contexts are derived anew from the task's
   declared rule and the coupling's affine forms. Their number and hash are the certificate's, and
   none has two right answers.
3. *Truth* (`truth`). What the rule writes is what Python's integers say.
4. *Margins* (`network`). The model is evaluated in NumPy in every context, with a bound of its own
   on what float32 rounding can do. Every margin is positive after rounding.

So the verdict rests on nothing that the certificate says. Its figures are compared with those found
here; what is the maker's word is the finer rounding bound (`bound`, `lower`: no larger than the
margin allows), which implementations ran, how long it took, and with which versions.

Shared with what made it is the task's declaration: the class of the task with its vocabulary,
`truth`, what is a problem and how texts are read and written; the objects that `rule()` and
`scratchpad()` return (`Rule`, `Scratchpad`); `write`, which runs a scratchpad in plain Python;
`Coupling.from_dict` and `check_coupling`, which read the coupling and hold it against the task's
segments; `recall`, which finds a person's own file. An error there misleads both paths, but for
what step 3 finds. Nothing else is shared: not the core's tables, ids and contexts, the covering
sets, the model, or the rounding bound. Importing the package loads PyTorch, and constructing a task
compiles tables in the C++ core; what is derived and computed here uses neither.
tests/certify/test_verify_apart.py lists the names that are imported, and verifies with every
operation of PyTorch and of the core refused.

To read it, begin with `contexts` and `walk`, then `automaton`, `places` and `columns` for column
tasks; on top of these `rows`, `bounds`, `strip`, `visible` and `scratchpads` for work in rows.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from arithtf.certify.verify.automaton import Automaton
from arithtf.certify.verify.columns import derive_columns
from arithtf.certify.verify.contexts import ABSENT, Contexts, NotDerivable, ascending, union
from arithtf.certify.verify.fields import (
    Invalid,
    Json,
    check_model,
    check_shapes,
    hash_weights,
    read_claim,
    read_json,
    read_weights,
)
from arithtf.certify.verify.network import UNIT, Margins, margins
from arithtf.certify.verify.scratchpads import derive_scratchpad
from arithtf.certify.verify.truth import Digits, Write, first_error
from arithtf.origin import portable, recall
from arithtf.tasks import (
    ArithmeticTask,
    Calculator,
    ColumnTask,
    Coupling,
    task_from_dict,
    task_to_dict,
)
from arithtf.tasks.arithmetic.operands import digits_text
from arithtf.tasks.arithmetic.scratchpad import write
from arithtf.tasks.arithmetic.scratchpad_task import ScratchpadTask
from arithtf.tasks.coupling import check_coupling
from arithtf.tasks.vocabulary import DigitVocabulary

__all__ = ["Verification", "derive", "verify_certificate"]

SHOWN = {"problem", "place", "context", "expected", "answered", "margin", "bound"}
CLOSE = 1e-6  # relative: margins of two float64 evaluations agree to many more digits


@dataclass(frozen=True)
class Verification:
    """What the second path found.

    Args:
        problems: everything that does not hold; empty if the certificate does.
        contexts: number of contexts derived.
        margin: smallest margin found.
        seconds: it took.
        able: False where nothing is wrong, but this path knows no contexts of such a model.
    """

    problems: tuple[str, ...]
    contexts: int = 0
    margin: float | None = None
    seconds: float = 0.0
    able: bool = True

    @property
    def valid(self) -> bool:
        """The certificate is right: the run's model is exact at every length."""
        return not self.problems


def verify_certificate(file: str | os.PathLike[str], run: str | os.PathLike[str]) -> Verification:
    """Check a certificate against a run directory.

    Args:
        file: the certificate's JSON.
        run: the run directory whose model it is about.

    Returns:
        The verification; `valid` says whether the claim holds. Files that cannot be read are
        problems as well.
    """
    began = time.perf_counter()
    problems: list[str] = []
    count, margin, able = 0, None, True
    try:
        claim = read_claim(Path(file))
        config = read_json(Path(run) / "config.json")
        weights = read_weights(Path(run) / "model.safetensors")
        if hash_weights(weights) != claim["weights"]:
            problems.append("the run's weights are not those certified: their hash differs")
        problems += [
            f"the run's {part} is not the one that was certified"
            for part in ("task", "coupling", "model")
            if config[part] != claim[part]
        ]
        task, coupling = _declared(config, Path(run))
        unknown = check_model(config["model"], len(coupling.levels), task.vocabulary.size)
        unknown = unknown or check_shapes(config["model"], weights)
        problems += unknown
        if not unknown:
            encoding = config["model"]["encoding"]
            contexts, write = derive(task, coupling, encoding["windows"], encoding["sinks"])
            count = len(contexts.query)
            problems += _compare_contexts(claim, contexts)
            wide = {name: array.astype(np.float64) for name, array in weights.items()}
            found = margins(config["model"], wide, contexts, task.vocabulary.bos)
            margin = float(found.exact.min())
            problems += _compare_margins(claim, found)
            problems += _compare_worst(claim, task, coupling, contexts, found, write)
            if not problems and (error := first_error(task, write)):
                problems.append(error)
    except (NotDerivable, Invalid) as problem:
        able = bool(problems) or isinstance(problem, Invalid)
        problems.append(str(problem))
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        # What odd values in the files lead to; nothing that is not understood may pass.
        problems.append(f"the files are malformed: {type(error).__name__}: {error}")
    return Verification(tuple(problems), count, margin, time.perf_counter() - began, able)


def _declared(config: Json, run: Path) -> tuple[ArithmeticTask, Coupling]:
    """The task and the coupling that a configuration names.

    Raises:
        Invalid: it is not all that they are.
        NotDerivable: another kind of task.
    """
    task = task_from_dict(recall(config["task"], config.get("sources", {}), outside=run))
    coupling = Coupling.from_dict(config["coupling"])
    for part, data in (("task", task_to_dict(task)), ("coupling", coupling.to_dict())):
        if portable(data) != config[part]:
            raise Invalid(f"the run's {part} has settings that are unknown or missing")
    if not isinstance(task, ArithmeticTask):
        raise NotDerivable(f"task {task.name!r} is not one on operands: it has no declared rule")
    return task, coupling


def derive(
    task: ArithmeticTask, coupling: Coupling, windows: Any, sinks: int, *, pair: bool = False
) -> tuple[Contexts, Write]:
    """All contexts of a task, from what it declares.

    Args:
        task: a task with a rule.
        coupling: where its ids come from.
        windows: (back, ahead) of every level.
        sinks: leading tokens that are no part of a context, 0 or 1.
        pair: problems have two operands.

    Returns:
        The contexts, and what writes the answer to operands' digits by the same declaration.

    Raises:
        NotDerivable: they are not finitely many, or not known here.
        ValueError: the coupling does not fit the task.
    """
    for level in coupling.levels:
        if level.period or level.randomized:
            raise NotDerivable(f"level {level.name!r}: its ids are periodic or random")
    check_coupling(coupling, task.segments)
    if isinstance(task, ColumnTask):
        automaton = Automaton(task.rule(), task.vocabulary)
        found = derive_columns(automaton, task.prompt, coupling.to_dict(), windows, sinks)
        return found, automaton.write
    if isinstance(task, ScratchpadTask):
        pad, words = task.scratchpad(), task.vocabulary

        def written(operands: Sequence[Digits]) -> list[int]:
            return [one.token for one in write(pad, words, operands)]

        pair = pair or not task.is_valid([np.ones(1, np.uint8)] * 3)
        turns = 1 if pair and pad.turns is None else None
        found = derive_scratchpad(
            pad, words, task.prompt, coupling.to_dict(), windows, sinks, turns
        )
        return found, written
    if isinstance(task, Calculator):
        return _derive_parts(task, coupling, windows, sinks)
    raise NotDerivable(f"task {task.name!r} declares no rule by columns or rows")


def _derive_parts(
    task: Calculator, coupling: Coupling, windows: Any, sinks: int
) -> tuple[Contexts, Write]:
    """The contexts of a joint task's parts, of two operands each, in its vocabulary."""
    tables, writes, found = [], [], []
    for part in task.parts.values():
        table = np.array([task.vocabulary.id(word) for word in part.vocabulary.words] + [ABSENT])
        contexts, own = derive(part, _own(coupling, f"{part.name} "), windows, sinks, pair=True)
        seen = contexts.seen.copy()
        seen[:, :, 2] = table[seen[:, :, 2]]
        found.append(Contexts(table[contexts.query], table[contexts.target], ascending(seen)))
        tables.append(table)
        writes.append(own)

    def written(operands: Sequence[Digits]) -> list[int]:
        number = operands[0][0]
        return [int(tables[number][token]) for token in writes[number](operands[1:])]

    return union(found), written


def _own(coupling: Coupling, prefix: str) -> Coupling:
    """What a joint coupling says of the segments of one part, which begin with a prefix."""
    levels = []
    for level in coupling.levels:
        key, query = (
            {name.removeprefix(prefix): f for name, f in side.items() if name.startswith(prefix)}
            for side in (level.key, level.query)
        )
        levels.append(replace(level, key=key, query=query))
    return Coupling(coupling.name, tuple(levels))


def _compare_contexts(claim: Json, contexts: Contexts) -> list[str]:
    problems = []
    count = len(contexts.query)
    if claim["contexts"] != count:
        problems.append(f"the certificate is about {claim['contexts']} contexts, there are {count}")
    elif claim["contexts_hash"] != contexts.hash():
        problems.append("the certificate is about other contexts than there are: the hash differs")
    if clashes := contexts.clashes():
        problems.append(f"{clashes} contexts have two right answers")
    return problems


def _compare_margins(claim: Json, found: Margins) -> list[str]:
    """Are all contexts right after any rounding, and by as much as the certificate says?"""
    problems, smallest = [], float(found.exact.min())
    if wrong := int((~(found.exact > 0)).sum()):
        problems.append(f"the model errs in {wrong} contexts")
    elif unsure := int((~(found.lower > 0)).sum()):
        problems.append(
            f"rounding might take the margin in {unsure} contexts: by this path's own bound "
            f"{found.lower.min():.3g} is left of the smallest"
        )
    if not abs(smallest - claim["margin"]) <= CLOSE * abs(smallest):
        problems.append(
            f"the smallest margin is {smallest:.6f}, the certificate says {claim['margin']:.6f}"
        )
    least = claim["margin"] - claim["bound"] - CLOSE * abs(claim["margin"])
    if not 0 < claim["lower"] < claim["margin"] or claim["lower"] < least:
        problems.append("margin, bound and lower bound of the certificate do not fit each other")
    # No bound is below one rounding of a logit, nor twice what bounds that only go forward give.
    if not UNIT * found.largest <= claim["bound"] <= 2 * float((found.exact - found.lower).max()):
        problems.append(f"the certificate's rounding bound {claim['bound']:.3g} cannot be right")
    if not _is_histogram(claim["histogram"], np.sort(found.exact)):
        problems.append("the certificate's histogram is not that of the margins")
    return problems


def _is_histogram(claimed: Json, ordered: NDArray[np.float64]) -> bool:
    """Whether counts between equally wide edges are right, but for margins close to an edge."""
    edges, counts = np.array(claimed["edges"], float), np.array(claimed["counts"])
    spread = CLOSE * (1 + float(np.abs(ordered).max()))
    even = np.linspace(ordered[0], ordered[-1], len(edges))
    if set(claimed) != {"edges", "counts"} or not (np.abs(edges - even) <= spread).all():
        return False
    low, high = (np.searchsorted(ordered, edges[1:-1] + s) for s in (-spread, spread))
    below, total = counts.cumsum()[:-1], counts.sum()
    return bool(((low <= below) & (below <= high)).all() and total == len(ordered))


def _compare_worst(
    claim: Json,
    task: ArithmeticTask,
    coupling: Coupling,
    contexts: Contexts,
    found: Margins,
    write: Write,
) -> list[str]:
    """Is the context that the certificate shows the one with the smallest margin?"""
    worst, words = claim["worst"], task.vocabulary
    smallest = float(found.exact.min())
    spread = CLOSE * abs(smallest)
    here = [
        i
        for i in np.flatnonzero(found.exact <= smallest + 2 * spread).tolist()
        if worst["context"] == _text(contexts, i, coupling, words)
    ]
    fits = set(worst) == SHOWN
    fits &= bool(here) and abs(worst["margin"] - smallest) <= spread
    fits &= 0 < worst["bound"] <= claim["bound"]
    fits &= worst["expected"] == worst["answered"]
    if fits:
        query, target = (words.text([int(x[here[0]])]) for x in (contexts.query, contexts.target))
        place = worst["place"]
        fits = worst["expected"] == target and type(place) is int and place >= 0
        if worst["problem"]:
            question = worst["problem"].partition("=")[0]
            operands = task.parse(question)
            tokens = write([tuple(digits.tolist()) for digits in operands])
            text = task.question([digits_text(digits) for digits in operands])
            fits &= worst["problem"] == f"{text}={task.render(np.array(tokens))}"
            fits &= words.text(tokens[place : place + 1]) == target
            fits &= words.text([words.equals, *tokens][place : place + 1]) == query
        else:
            fits &= place == 0
    return [] if fits else ["the certificate's worst context is not that of the smallest margin"]


def _text(contexts: Contexts, i: int, coupling: Coupling, words: DigitVocabulary) -> str:
    """A context as a certificate shows it: "after '=': column +0: 2 4 -> 6"."""
    seen: dict[str, list[str]] = {}
    for level, difference, token in contexts.seen[i].tolist():
        if token != ABSENT:
            place = f"{coupling.levels[level].name} {difference:+d}"
            seen.setdefault(place, []).append(words.token_text(token))
    shown = "; ".join(f"{place}: {' '.join(tokens)}" for place, tokens in seen.items())
    query, target = (words.token_text(int(x[i])) for x in (contexts.query, contexts.target))
    return f"after {query!r}: {shown or 'nothing seen'} -> {target}"
