"""Addition modulo any number: with a written-out running residue, and without."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from arithtf.tasks.addition import KINDS
from arithtf.tasks.base import IGNORE, Split
from arithtf.tasks.batch import Batch, Bytes, Operands
from arithtf.tasks.column_rule import Pass, Rule
from arithtf.tasks.column_task import ColumnTask
from arithtf.tasks.columns import WindowLike, column_reach
from arithtf.tasks.coupling import NO_ID, Coupling
from arithtf.tasks.modular import MAX_RESIDUE, modular_sum
from arithtf.tasks.vocabulary import Vocabulary


@dataclass(frozen=True)
class ResidueAddition(ColumnTask):
    """(a + b) modulo any p, with a written-out running residue.

    An instance is BOS, a, "+", b, "=", answer, with both operands zero-padded to the longer one.
    The answer is a token for each column from the left: the residue of the sum of the digits so
    far (Horner's rule, r <- base r + a + b mod p). The last one is the result. A residue is one
    token, whatever its size.

    Args:
        modulus: 2..240.
        base: number base, 2..128.

    Raises:
        ValueError: a modulus out of range.
    """

    modulus: int = 101
    base: int = 10

    name: ClassVar[str] = "residue-addition"
    arity: ClassVar[int] = 2
    segments: ClassVar[tuple[str, ...]] = ("bos", "a", "+", "b", "=", "answer")
    complete: ClassVar[tuple[str, ...]] = ("bos", "a", "+", "b", "=")
    kinds: ClassVar[tuple[str, ...]] = KINDS
    example: ClassVar[str] = "(12+34)%101"

    def __post_init__(self) -> None:
        if not 2 <= self.modulus <= MAX_RESIDUE:
            raise ValueError(f"expected a modulus in 2..{MAX_RESIDUE}, got {self.modulus}")
        Vocabulary(self.base, ("+",), self.modulus)
        object.__setattr__(self, "example", f"(12+34)%{self.modulus}")

    @property
    def vocabulary(self) -> Vocabulary:
        """Digits and residues, PAD, BOS, EOS, "=", "+"."""
        return Vocabulary(self.base, ("+",), self.modulus)

    def rule(self) -> Rule:
        """One row: the running residue."""
        words, base, modulus = self.vocabulary, self.base, self.modulus

        def step(state: int, column: tuple[int, ...]) -> tuple[int, int]:
            after = (base * state + sum(column)) % modulus
            return after, after

        row = Pass(row="answer", start=lambda _: 0, step=step, finish=lambda _: (words.eos,))
        return Rule(
            base=base, control=words.pad, numbers=2, separators=(words.id("+"),), padded=True,
            from_left=True, symmetric=True, passes=(row,),
        )  # fmt: skip

    def parse(self, line: str) -> tuple[Bytes, ...]:
        """A sum like "(12+34)%101", or "12+34" -> operands' digits, most significant first.

        Raises:
            ValueError: another modulus than the task's, or what is wrong with the line.
        """
        return modular_sum(line, self.modulus, self.base)

    def final(self, answer_tokens: npt.NDArray[np.uint8]) -> int:
        """All tokens but the last are work."""
        return answer_tokens.size - 1

    def render(self, answer_tokens: npt.ArrayLike) -> str:
        """Answer tokens as generated -> the last residue as a decimal number.

        Raises:
            ValueError: a token that is not a residue.
        """
        tokens = self.written(answer_tokens)
        if tokens.min() < 0 or tokens.max() >= self.modulus:
            raise ValueError(f"the running residue has a token that is not below {self.modulus}")
        return str(int(tokens[-1]))


@dataclass(frozen=True)
class PlainResidueAddition(ResidueAddition):
    """(a + b) modulo any p, the answer alone: the form that is known not to generalise in length.

    An instance is BOS, a, "+", b, "=", answer; the answer is one residue and EOS. Problems, splits
    and tokens are those of `ResidueAddition`. It is here to be compared with: the one query depends
    on every digit, so whatever a window is, two longer problems show it the same digits and need
    different answers.

    Args:
        modulus: 2..240.
        base: number base, 2..128.
    """

    name: ClassVar[str] = "plain-residue-addition"

    def batch(
        self,
        coupling: Coupling,
        *,
        seed: int,
        split: Split,
        step: int,
        lengths: tuple[int, int],
        size: int,
        kind: str = "uniform",
        chain: tuple[int, int] | None = None,
        threads: int = 0,
    ) -> Batch:
        """That of `ResidueAddition` with the last residue in place of all."""
        return self._plain(
            super().batch(
                coupling, seed=seed, split=split, step=step, lengths=lengths, size=size, kind=kind,
                chain=chain, threads=threads,
            )
        )  # fmt: skip

    def layout(
        self,
        coupling: Coupling,
        operands: Operands,
        *,
        solved: bool = True,
        width: int | None = None,
        threads: int = 0,
    ) -> Batch:
        """Given problems as a batch, see `ColumnTask.layout`."""
        made = super().layout(coupling, operands, solved=solved, width=width, threads=threads)
        return self._plain(made)

    def room(self, lengths: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """The residue and EOS."""
        return np.full(len(lengths), 2, np.int64)

    def cover(self, coupling: Coupling, windows: Sequence[WindowLike]) -> Operands:
        """Problems that clash: no window is wide enough, so no complete enumeration is of use.

        They are 10..0d + 0 with d beyond what the query sees, one problem for every d.

        Raises:
            ValueError: a level whose ids do not follow the columns, or without a window.
        """
        self.check_coupling(coupling)
        aligned = dict.fromkeys(("a", "b"), "left")
        seen = column_reach(coupling, windows, aligned).future + 1
        numbers = ([1, *[0] * (seen - 1), digit] for digit in range(self.base))
        return Operands.from_digits(((number, [0]) for number in numbers), arity=self.arity)

    def answer(self, operands: Operands) -> list[Bytes]:
        """The last residues.

        Raises:
            ValueError: operands with leading zeros or digits not below the base.
        """
        return [residues[-1:] for residues in super().answer(operands)]

    def final(self, answer_tokens: npt.NDArray[np.uint8]) -> int:
        """No token is work."""
        return 0

    def _plain(self, made: Batch) -> Batch:
        """A batch with running residues, cut to two answer columns."""
        start, stop = made.start, made.start + 3
        rows, written = np.arange(len(made.tokens)), (made.targets != IGNORE).sum(1)
        tokens = made.tokens[:, :stop].copy()
        targets = np.full_like(tokens, IGNORE)
        solved = written > 0
        residue, end = made.tokens[rows, start + written - 1], self.vocabulary.eos
        tokens[solved, start + 1], tokens[solved, start + 2] = residue[solved], end
        targets[solved, start], targets[solved, start + 1] = residue[solved], end
        query, key = (side[..., :stop].copy() for side in (made.query_ids, made.key_ids))
        query[..., -1] = NO_ID  # nothing follows EOS
        return Batch(tokens, query, key, targets, start)
