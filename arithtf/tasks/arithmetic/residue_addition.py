"""Addition modulo any number, with a written-out running residue."""

from __future__ import annotations

from dataclasses import dataclass

from arithtf.tasks.arithmetic.modular_addition import MAX_RESIDUE, SumModulo
from arithtf.tasks.arithmetic.transducer import Pass, Rule


@dataclass(frozen=True)
class ResidueAddition(SumModulo):
    """(a + b) modulo any p: modulo 101, 57+68 is written ^57+68=<11><24>$.

    Both operands are zero-padded to the longer one. The answer is a token for each column from the
    left: the residue of the sum of the digits so far (Horner's rule, r <- base r + a + b mod p).
    Without this running residue (`View(task, "absent")`) the one query depends on every digit: the
    form that is known not to generalise in length.

    Args:
        modulus: 2..240, as a residue is one token.

    Raises:
        ValueError: a modulus out of range.
    """

    modulus: int = 101

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
        row = Pass(step=lambda r, column: ((self.base * r + sum(column)) % self.modulus,) * 2)
        way = {"padded": True, "from_left": True}
        return Rule(passes=(row,), numbers=2, symmetric=True, running=True, **way)
