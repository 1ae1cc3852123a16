"""Right answers beside right work: what a model says, and all that it writes on the way there.

*Whole work*: every token that the model writes is the right one, work and end mark included. One
pass tells (`verify`). *Answer*: what `solve` would print is right. Where the whole work is right so
is the answer; else the model is decoded, since it can err in its work and still come to the right
answer. Digits are those of the answer as printed, compared from the least significant one on.

A scratchpad that is left blank (`View`) cannot be decoded, and numbers of a base above 36 have no
text. There an answer is right if every token is, and digits are those of the one pass.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from arithtf.evaluate.decode import Decoder
from arithtf.evaluate.groups import batches
from arithtf.evaluate.solve import read_answer
from arithtf.evaluate.verify import Verdict, verify, verify_operands
from arithtf.model import Model
from arithtf.tasks import IGNORE, ArithmeticTask, Batch, Coupling, Operands, View
from arithtf.tasks.vocabulary import DIGITS

Bytes = npt.NDArray[np.uint8]
Longs = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Scores:
    """How B problems went.

    Args:
        work: the verdict on all that is written; `work.exact` is the whole work.
        answer: bool [B], the answer is right.
        digits: int64 [B], digits of the right answer; of an answer without any, its signs.
        wrong_digits: int64 [B], how many of them the model's answer does not have in their place.
    """

    work: Verdict
    answer: npt.NDArray[np.bool_]
    digits: Longs
    wrong_digits: Longs

    def __len__(self) -> int:
        return len(self.answer)

    def __getitem__(self, part: slice) -> Scores:
        """Those of some of the problems."""
        rest = (self.answer[part], self.digits[part], self.wrong_digits[part])
        return Scores(self.work[part], *rest)

    @classmethod
    def join(cls, parts: Sequence[Scores]) -> Scores:
        """Several scores as one."""
        columns = ("answer", "digits", "wrong_digits")
        rest = (np.concatenate([getattr(part, name) for part in parts]) for name in columns)
        return cls(Verdict.join([part.work for part in parts]), *rest)


class Scorer:
    """Scores problems of one model.

    Args:
        model: the model.
        task, coupling: of its recipe.
    """

    def __init__(self, model: Model, task: ArithmeticTask, coupling: Coupling) -> None:
        self.model, self.task, self.coupling = model, task, coupling
        self.decoder = Decoder(model, task, coupling)
        blank = isinstance(task, View) and task.scratchpad == "blank"
        self.printed = task.vocabulary.base <= len(DIGITS) and not blank

    def __call__(self, operands: Operands) -> Scores:
        """The scores of B problems, in their order.

        Raises:
            ValueError: see `verify_operands`.
        """
        verdict = verify_operands(self.model, self.task, self.coupling, operands)
        if not self.printed:
            return Scores(verdict, verdict.exact, *self._predicted(operands))
        truth = [self.task.render(tokens) for tokens in self.task.answer(operands)]
        digits = np.array([sum(map(len, numbers(text))) for text in truth], np.int64)
        answer, wrong = verdict.exact.copy(), np.zeros(len(truth), np.int64)
        erring = np.flatnonzero(~verdict.exact).tolist()
        if erring:
            said = self.decoder(operands.select(erring))
            for i, tokens in zip(erring, said, strict=True):
                text, _ = read_answer(self.task, tokens)
                answer[i] = text == truth[i]
                wrong[i] = 0 if answer[i] else misplaced(truth[i], text or "")
        return Scores(verdict, answer, digits, wrong)

    def _predicted(self, operands: Operands) -> tuple[Longs, Longs]:
        """Digits, and how many are not predicted where all before them is given right."""
        digits, wrong = np.zeros((2, len(operands)), np.int64)
        for chosen, batch in batches(self.task, self.coupling, operands):
            verdict = verify(self.model, self._proper(batch))
            digits[chosen], wrong[chosen] = verdict.tokens, verdict.wrong
        return digits, wrong

    def _proper(self, batch: Batch) -> Batch:
        """The batch with targets at the answer alone, without work and end mark."""
        targets = np.full_like(batch.targets, IGNORE)
        for row, given in zip(targets, batch.targets, strict=True):
            at = np.flatnonzero(given != IGNORE)[:-1]
            at = at[self.task.scratchpad_length(given[at]) :]
            row[at] = given[at]
        return batch._replace(targets=targets)


def numbers(text: str) -> list[str]:
    """The numbers in an answer: of "14 r 2" 14 and 2, of "-5" 5, of "<", which has none, itself."""
    found = [part for part in re.split(r" r |[^0-9a-z]+", text) if part]
    return found or [text]


def misplaced(truth: str, said: str) -> int:
    """Digits of a right answer that another one does not have in their place."""
    others = numbers(said)
    others += [""] * len(numbers(truth))
    wrong = 0
    for own, other in zip(numbers(truth), others, strict=False):
        a, b = (np.frombuffer(text[::-1].encode("utf-8"), np.uint8) for text in (own, other))
        shared = min(a.size, b.size)
        wrong += a.size - int((a[:shared] == b[:shared]).sum())
    return wrong
