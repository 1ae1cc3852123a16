"""Addition modulo any number, with a written-out running residue."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from arithtf.tasks.arithmetic.modular_addition import MAX_RESIDUE, SumModulo
from arithtf.tasks.arithmetic.transducer import Pass, Rule


@dataclass(frozen=True)
class ResidueAddition(SumModulo):
    """(a + b) modulo any p, with a written-out running residue.

    Both operands are zero-padded to the longer one. The answer is a token for each column from the
    left: the residue of the sum of the digits so far (Horner's rule, r <- base r + a + b mod p).
    The last one is the result. A residue is one token, whatever its size: modulo 101, 57+68 is
    written ^57+68=<11><24>$. Without the running residue (`View(task, "absent")`) the one query
    depends on every digit: the form that is known not to generalise in length.

    Args:
        modulus: 2..240.
        base: number base, 2..128.

    Raises:
        ValueError: a modulus out of range.
    """

    modulus: int = 101
    base: int = 10

    name = "residue-addition"

    def __post_init__(self) -> None:
        if not 2 <= self.modulus <= MAX_RESIDUE:
            raise ValueError(f"expected a modulus in 2..{MAX_RESIDUE}, got {self.modulus}")
        super().__post_init__()

    @property
    def values(self) -> int:
        """Numbers that are tokens: all residues."""
        return self.modulus

    def rule(self) -> Rule:
        """One row: the running residue, which is the state too."""
        base, modulus = self.base, self.modulus
        row = Pass(step=lambda before, column: ((base * before + sum(column)) % modulus,) * 2)
        return Rule(passes=(row,), numbers=2, padded=True, from_left=True, symmetric=True)

    def truth(self, *operands: int) -> str:
        """The sum modulo p, as a decimal number."""
        return str(sum(operands) % self.modulus)

    def scratchpad_length(self, answer_tokens: npt.NDArray[np.uint8]) -> int:
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
