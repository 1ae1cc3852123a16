"""Predictions before training: what a model trained on short operands does on longer ones.

| module | what is in it |
|---|---|
| truncated | the rule f(a mod base^n, b mod base^n): accuracy, limit, first length |
| digits | how often each digit of its answer is right |
| plateaus | accuracies and losses at which training rests on its way |
| limits | closed forms for products |
| counting, domains | residues of intervals, sums and products that are divisible; what is tested |

    from arithtf.theory import predict

    predict("modular-addition", modulus=15, trained=3, tested=(4, 5))  # accuracies 1/3 and 1/3

Everything is a fraction, computed without listing operands. docs/theory.md derives it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from arithtf.theory.digits import by_digit
from arithtf.theory.domains import OPERANDS
from arithtf.theory.plateaus import Plateau, plateaus
from arithtf.theory.truncated import TASKS, Truncated

__all__ = [
    "OPERANDS",
    "TASKS",
    "Plateau",
    "Prediction",
    "Truncated",
    "by_digit",
    "plateaus",
    "predict",
]


@dataclass(frozen=True)
class Prediction:
    """The rule's accuracy at one length.

    Args:
        tested: digits.
        accuracy: share of problems answered rightly.
    """

    tested: int
    accuracy: Fraction


def predict(
    task: str,
    *,
    trained: int,
    tested: Sequence[int],
    base: int = 10,
    modulus: int | None = None,
    operands: str = "both",
    terms: int = 2,
) -> list[Prediction]:
    """Accuracy at each tested length, if the model reads only the trained digits.

    Args:
        task, trained, base, modulus, operands, terms: see `Truncated`.
        tested: digits, at least 1 each.

    Raises:
        ValueError: an argument cannot be, or a count is too large.
    """
    rule = Truncated(task, trained, base, modulus, operands, terms)
    return [Prediction(length, rule.accuracy(length)) for length in tested]
