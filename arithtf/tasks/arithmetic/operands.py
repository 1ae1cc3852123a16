"""Operands of many problems as ragged digits, and digits as text."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from arithtf.tasks.arithmetic.lines import quoted
from arithtf.tasks.vocabulary import DIGITS

Bytes = npt.NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class Operands:
    """The operands of many problems, digit by digit, most significant first, without leading zeros.

    Args:
        digits: uint8 [N].
        offsets: int64 [B * arity + 1]; operand j of problem i is
            digits[offsets[i * arity + j] : offsets[i * arity + j + 1]].
        arity: operands of a problem.

    Raises:
        ValueError: offsets that do not fit the digits or the arity.
    """

    digits: Bytes
    offsets: npt.NDArray[np.int64]
    arity: int = 2

    def __post_init__(self) -> None:
        digits = np.ascontiguousarray(self.digits, np.uint8)
        offsets = np.ascontiguousarray(self.offsets, np.int64)
        if self.arity < 1 or digits.ndim != 1 or offsets.ndim != 1 or offsets.size < 1:
            raise ValueError("expected digits [N], offsets [B * arity + 1] and arity >= 1")
        if (offsets.size - 1) % self.arity:
            raise ValueError(
                f"expected B * {self.arity} + 1 offsets for problems of {self.arity} operands, "
                f"got {offsets.size}"
            )
        if offsets[0] < 0 or offsets[-1] > digits.size or (np.diff(offsets) < 0).any():
            raise ValueError(f"offsets must ascend within the {digits.size} digits")
        object.__setattr__(self, "digits", digits)
        object.__setattr__(self, "offsets", offsets)

    def __len__(self) -> int:
        return (self.offsets.size - 1) // self.arity

    def operand(self, i: int, j: int) -> Bytes:
        """Digits of operand j of problem i, most significant first (a view)."""
        if not (0 <= i < len(self) and 0 <= j < self.arity):
            raise IndexError(f"expected i < {len(self)} and j < {self.arity}, got {i}, {j}")
        at = i * self.arity + j
        return self.digits[self.offsets[at] : self.offsets[at + 1]]

    def problem(self, i: int) -> tuple[Bytes, ...]:
        """All operands of problem i (views)."""
        return tuple(self.operand(i, j) for j in range(self.arity))

    def __iter__(self) -> Iterator[tuple[Bytes, ...]]:
        return (self.problem(i) for i in range(len(self)))

    def select(self, problems: Iterable[int]) -> Operands:
        """The problems of the given numbers, in the given order."""
        return Operands.from_digits([self.problem(i) for i in problems], arity=self.arity)

    @classmethod
    def from_digits(
        cls, problems: Iterable[Sequence[npt.ArrayLike]], *, arity: int = 2
    ) -> Operands:
        """Operands from digit arrays, most significant digit first.

        Raises:
            ValueError: a problem with another number of operands.
        """
        arrays: list[Bytes] = []
        for i, problem in enumerate(problems):
            if len(problem) != arity:
                raise ValueError(f"problem {i}: expected {arity} operands, got {len(problem)}")
            arrays.extend(np.asarray(digits, np.uint8) for digits in problem)
        offsets = np.zeros(len(arrays) + 1, np.int64)
        np.cumsum([a.size for a in arrays], out=offsets[1:])
        digits = np.concatenate(arrays) if arrays else np.zeros(0, np.uint8)
        return cls(digits, offsets, arity)

    @classmethod
    def from_ints(
        cls, problems: Iterable[Sequence[int]], *, base: int = 10, arity: int = 2
    ) -> Operands:
        """Operands from Python integers.

        Raises:
            ValueError: a negative integer.
        """
        return cls.from_digits(
            [[int_digits(value, base) for value in problem] for problem in problems], arity=arity
        )

    @classmethod
    def from_text(
        cls, problems: Iterable[Sequence[str]], *, base: int = 10, arity: int = 2
    ) -> Operands:
        """Operands from numbers as a person writes them; leading zeros are dropped.

        Raises:
            ValueError: see `text_digits`.
        """
        return cls.from_digits(
            [[text_digits(text, base) for text in problem] for problem in problems], arity=arity
        )


def int_digits(value: int, base: int = 10) -> Bytes:
    """Digits of a non-negative integer of any size, most significant first.

    Raises:
        ValueError: a negative integer.
    """
    if value < 0:
        raise ValueError(f"operands are non-negative, got {value}")
    powers = [base**8]
    while powers[-1] <= value:
        powers.append(powers[-1] ** 2)
    digits: list[int] = []

    def write(rest: int, level: int) -> None:
        if level < 0:
            digits.extend(rest // base**k % base for k in range(7, -1, -1))
        else:
            high, low = divmod(rest, powers[level])
            write(high, level - 1)
            write(low, level - 1)

    write(value, len(powers) - 1)
    return strip_zeros(np.array(digits, np.uint8))


def strip_zeros(digits: Bytes) -> Bytes:
    """Digits without leading zeros; zero keeps one digit."""
    nonzero = np.flatnonzero(digits != 0)
    return digits[nonzero[0] :] if nonzero.size else digits[:1]


def _digit_table(base: int) -> Bytes:
    table = np.full(256, 255, np.uint8)
    for value, character in enumerate(DIGITS[:base]):
        table[ord(character)] = table[ord(character.upper())] = value
    return table


def text_digits(text: str, base: int = 10, *, name: str = "operand", strip: bool = True) -> Bytes:
    """Digits of a number as a person writes it, of any length, without leading zeros.

    Args:
        text: digits only (letters too above base 10); spaces and tabs around them are allowed.
        base: 2..36.
        name: what errors call it.
        strip: False keeps leading zeros.

    Raises:
        ValueError: an empty text, a sign, or a character that is not a digit of the base.
    """
    if base > len(DIGITS):
        raise ValueError(f"numbers can be written as text up to base {len(DIGITS)}, got {base}")
    text = text.strip(" \t\r\n")
    if not text:
        raise ValueError(f"{name} is empty; expected digits")
    raw = np.frombuffer(text.encode("utf-8"), np.uint8)
    digits = _digit_table(base)[raw]
    wrong = np.flatnonzero(digits == 255)
    if wrong.size:
        # The bytes before the first wrong one are ASCII, so its number is the character's too.
        at = int(wrong[0])
        if text[at] in "+-":
            raise ValueError(f"{name} has a sign ({text[at]!r}); operands are written without one")
        if text[at] in "*/%^":
            raise ValueError(f"{name} has the operation {text[at]!r}; a line is one operation")
        raise ValueError(
            f"{name} has {quoted(text[at])} at character {at + 1}; expected digits of base "
            f"{base}" + (" without spaces between them" if text[at] in " \t" else "")
        )
    return strip_zeros(digits) if strip else digits


def digits_text(digits: Bytes) -> str:
    """Digits of a base up to 36 as text, in the order given."""
    characters = np.frombuffer(DIGITS.encode("ascii"), np.uint8)
    return characters[digits].tobytes().decode("ascii")
