"""Subtraction with sign, and comparison."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from arithtf.tasks.addition import KINDS
from arithtf.tasks.batch import Bytes, operand_pair
from arithtf.tasks.column_rule import Pass, Rule
from arithtf.tasks.column_task import ColumnTask
from arithtf.tasks.vocabulary import Vocabulary


def _comparison(state: int, column: tuple[int, ...]) -> int:
    """Sign of a - b so far; an operand that has ended counts as 0."""
    a, b = (max(digit, 0) for digit in column)
    return state if a == b else (1 if a > b else -1)


@dataclass(frozen=True)
class Comparison(ColumnTask):
    """Whether a is less than, equal to or greater than b.

    An instance is BOS, a, "?", b, "=", answer. The answer is a running comparison from the least
    significant column on, a token "<", "=" or ">" for each: what the digits so far say. The last
    one is the result. Half of the problems drawn "uniform" agree in a random number of low digits:
    otherwise a comparison would be decided by the first columns read, nearly always.

    Args:
        base: number base, 2..128.
    """

    base: int = 10

    name: ClassVar[str] = "comparison"
    arity: ClassVar[int] = 2
    segments: ClassVar[tuple[str, ...]] = ("bos", "a", "?", "b", "=", "answer")
    complete: ClassVar[tuple[str, ...]] = ("bos", "a", "?", "b", "=")
    kinds: ClassVar[tuple[str, ...]] = KINDS
    example: ClassVar[str] = "5<7"

    def __post_init__(self) -> None:
        Vocabulary(self.base, ("?", "<", ">"))

    @property
    def vocabulary(self) -> Vocabulary:
        """Digits, PAD, BOS, EOS, "=", "?", "<", ">"."""
        return Vocabulary(self.base, ("?", "<", ">"))

    def rule(self) -> Rule:
        """One row: the running comparison."""
        words = self.vocabulary
        token = {-1: words.id("<"), 0: words.equals, 1: words.id(">")}

        def step(state: int, column: tuple[int, ...]) -> tuple[int, int]:
            after = _comparison(state, column)
            return after, token[after]

        row = Pass(row="answer", start=lambda _: 0, step=step, finish=lambda _: (words.eos,))
        return Rule(
            base=self.base, control=words.pad, numbers=2, separators=(words.id("?"),),
            related=True, passes=(row,),
        )  # fmt: skip

    def parse(self, line: str) -> tuple[Bytes, ...]:
        """A comparison -> operands' digits, most significant first.

        Args:
            line: like "5<7"; the sign between the operands, one of "?", "<", ">" and "=", is what
                is asked for and does not matter.

        Raises:
            ValueError: what is wrong with the line.
        """
        for sign in "<>=":
            line = line.replace(sign, "?")
        return operand_pair(line, "?", self.base, "5<7")

    def final(self, answer_tokens: npt.NDArray[np.uint8]) -> int:
        """All tokens but the last are work."""
        return answer_tokens.size - 1

    def render(self, answer_tokens: npt.ArrayLike) -> str:
        """Answer tokens as generated -> "<", "=" or ">".

        Raises:
            ValueError: a token that is not one of these.
        """
        words, tokens = self.vocabulary, self.written(answer_tokens)
        wrong = np.flatnonzero(~np.isin(tokens, [words.id("<"), words.equals, words.id(">")]))
        if wrong.size:
            token = words.token_text(int(tokens[wrong[0]]))
            raise ValueError(f"the running comparison has {token!r} where <, = or > was expected")
        return words.token_text(int(tokens[-1]))

    def problem(self, operands: object, i: int) -> str:
        """Problem i with its true answer, like "5<7"."""
        question, _, sign = super().problem(operands, i).partition("=")  # type: ignore[arg-type]
        return question.replace("?", sign)


@dataclass(frozen=True)
class Subtraction(ColumnTask):
    """Differences a - b with their sign.

    An instance is BOS, a, "-", b, "=", difference, sign, answer. The digits of |a - b| depend on
    which operand is larger, which no query at the units can know. So first a - b is written
    digit by digit, least significant first and borrowing, as many digits as the longer operand has:
    if a borrow is left over, they are the complement of b - a. What is left over is written as the
    sign, "+" or "-", which every later query sees. The answer is these digits again, or their
    complement, and EOS.

    Args:
        base: number base, 2..128.
    """

    base: int = 10

    name: ClassVar[str] = "subtraction"
    arity: ClassVar[int] = 2
    segments: ClassVar[tuple[str, ...]] = (
        "bos", "a", "-", "b", "=", "difference", "sign", "answer",
    )  # fmt: skip
    complete: ClassVar[tuple[str, ...]] = ("bos", "a", "-", "b", "=")
    kinds: ClassVar[tuple[str, ...]] = KINDS
    example: ClassVar[str] = "7-12"

    def __post_init__(self) -> None:
        Vocabulary(self.base, ("-", "+"))

    @property
    def vocabulary(self) -> Vocabulary:
        """Digits, PAD, BOS, EOS, "=", "-", "+"."""
        return Vocabulary(self.base, ("-", "+"))

    def rule(self) -> Rule:
        """Two rows: a - b with the sign at its end, and its absolute value."""
        words, base = self.vocabulary, self.base

        def subtract(borrow: int, column: tuple[int, ...]) -> tuple[int, int]:
            rest = max(column[0], 0) - max(column[1], 0) - borrow
            return int(rest < 0), rest % base

        def absolute(
            state: tuple[int, bool, int], column: tuple[int, ...]
        ) -> tuple[tuple[int, bool, int], int]:
            borrow, negative, carry = state
            borrow, digit = subtract(borrow, column)
            if not negative:
                return (borrow, negative, 0), digit
            carry, digit = divmod(base - 1 - digit + carry, base)
            return (borrow, negative, carry), digit

        difference = Pass(
            row="difference",
            end="sign",
            start=lambda _: 0,
            step=subtract,
            finish=lambda borrow: (words.id("-" if borrow else "+"),),
        )
        answer = Pass(
            row="answer",
            start=lambda borrow: (0, bool(borrow), borrow),
            step=absolute,
            finish=lambda _: (words.eos,),
        )
        return Rule(
            base=base, control=words.pad, numbers=2, separators=(words.id("-"),),
            passes=(difference, answer),
        )  # fmt: skip

    def parse(self, line: str) -> tuple[Bytes, ...]:
        """A difference like "7-12" -> operands' digits, most significant first.

        Raises:
            ValueError: what is wrong with the line.
        """
        return operand_pair(line, "-", self.base, "7-12")

    def final(self, answer_tokens: npt.NDArray[np.uint8]) -> int:
        """The difference is work; the sign and the absolute value are the answer."""
        return answer_tokens.size // 2

    def render(self, answer_tokens: npt.ArrayLike) -> str:
        """Answer tokens as generated -> an ordinary number with its sign.

        Raises:
            ValueError: tokens that are not digits, a sign and as many digits.
        """
        words, tokens = self.vocabulary, self.written(answer_tokens)
        length = tokens.size // 2
        sign = tokens[length]
        if tokens.size % 2 == 0 or length == 0:
            raise ValueError("expected digits, a sign and as many digits")
        if sign not in (words.id("+"), words.id("-")):
            raise ValueError(f"expected a sign, got {words.token_text(int(sign))!r}")
        self.digits(tokens[:length])
        number = self.number(tokens[length + 1 :])
        if sign == words.id("+"):
            return number
        if number == "0":
            raise ValueError("the answer is a negative zero")
        return f"-{number}"

    def shown_work(self, answer_tokens: npt.ArrayLike) -> list[str]:
        """The difference with its sign and the absolute value, digits above each other's columns.

        Args:
            answer_tokens: [n], digits, a sign, digits.

        Raises:
            ValueError: there are none.
        """
        tokens, words = self.written(answer_tokens), self.vocabulary
        signs = np.flatnonzero(np.isin(tokens, [words.id("+"), words.id("-")]))
        first = int(signs[0]) if signs.size else tokens.size
        difference, sign, rest = np.split(tokens, [first, first + 1])
        width = max(difference.size, rest.size)
        return [
            f"difference      {words.text(difference[::-1]):>{width}}",
            f"sign            {words.text(sign):>{width}}",
            f"absolute value  {words.text(rest[::-1]):>{width}}",
        ]
