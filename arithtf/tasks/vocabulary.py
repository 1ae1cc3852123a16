"""The tokens of a task, as numbers and as text."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from arithtf import _core

DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"
CONTROL = ("_", "^", "$", "=")
"""PAD, BOS, EOS and "equals" as text."""

LARGEST = (1 << 16) - 1
"""Tokens are bytes or 16-bit words, and one value of each says that nothing is predicted."""


class Vocabulary:
    """The token numbering shared by a task's data and its models.

    Args:
        words: text of each token, all different; "_" is PAD, "^" BOS, "$" EOS where they occur.

    Raises:
        ValueError: no words, words that repeat, or more than 16 bits can number.
    """

    def __init__(self, words: Sequence[str]) -> None:
        self.words = tuple(words)
        self._number = {word: i for i, word in enumerate(self.words)}
        if len(self._number) < len(self.words) or not self.words:
            raise ValueError(f"expected at least one token and no two alike, got {self.words}")
        if self.size > LARGEST:
            raise ValueError(f"at most {LARGEST} tokens can be numbered, got {self.size}")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Vocabulary) and self.words == other.words

    def __hash__(self) -> int:
        return hash(self.words)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.size} tokens)"

    @property
    def size(self) -> int:
        """Number of tokens."""
        return len(self.words)

    @property
    def factors(self) -> tuple[Vocabulary, ...]:
        """The vocabulary of each factor of a token; of an ordinary token, this one."""
        return (self,)

    @property
    def sizes(self) -> int | tuple[int, ...]:
        """Number of tokens; of each factor where there are several, as a model's config has it."""
        sizes = tuple(words.size for words in self.factors)
        return sizes if len(sizes) > 1 else sizes[0]

    @property
    def dtype(self) -> npt.DTypeLike:
        """The smallest unsigned integers that hold a token and the value for "no target"."""
        return np.uint8 if self.size <= _core.IGNORE else np.uint16

    @property
    def pad(self) -> int:
        """Token of columns that hold nothing."""
        return self.id("_")

    @property
    def bos(self) -> int:
        """First token of every instance."""
        return self.id("^")

    @property
    def eos(self) -> int:
        """Last token of every answer."""
        return self.id("$")

    def id(self, word: str) -> int:
        """Number of a token.

        Raises:
            ValueError: there is none of this text.
        """
        if word not in self._number:
            raise ValueError(f"expected one of the tokens {' '.join(self.words)}, got {word!r}")
        return self._number[word]

    def token_text(self, token: int) -> str:
        """One token as text.

        Raises:
            ValueError: a number that is not a token.
        """
        if not 0 <= token < self.size:
            raise ValueError(f"tokens are 0..{self.size - 1}, got {token}")
        return self.words[token]

    def text(self, tokens: npt.ArrayLike) -> str:
        """A one-dimensional array of tokens as text.

        Raises:
            ValueError: a number that is not a token.
        """
        used, inverse = np.unique(np.asarray(tokens), return_inverse=True)
        words = [self.token_text(int(token)) for token in used]
        return "".join(words[k] for k in inverse.ravel())


class FactoredVocabulary(Vocabulary):
    """Tokens [B, T, F] of several factors, each with a vocabulary of its own.

    Args:
        factors: in the order of the last axis. All special tokens, like PAD, are the first one's.
    """

    def __init__(self, factors: Sequence[Vocabulary]) -> None:
        self._factors = tuple(factors)
        super().__init__(self._factors[0].words if self._factors else ())

    def __eq__(self, other: object) -> bool:
        return isinstance(other, FactoredVocabulary) and self.factors == other.factors

    def __hash__(self) -> int:
        return hash(self._factors)

    @property
    def factors(self) -> tuple[Vocabulary, ...]:
        """The vocabulary of each factor."""
        return self._factors

    @property
    def dtype(self) -> npt.DTypeLike:
        """Wide enough for the largest factor."""
        return max((words.dtype for words in self._factors), key=np.dtype)


class DigitVocabulary(Vocabulary):
    """Digits first, then larger numbers if there are any, PAD, BOS, EOS, "=", and symbols.

    Args:
        base: number base; tokens 0..base-1 are the digits. Those from 36 on read `<36>`.
        symbols: the task's own symbols, one character each.
        values: above the base: tokens base..values-1 are numbers too large for a digit.

    Raises:
        ValueError: base outside 2..128, symbols that repeat or collide with digits and control, or
            more tokens than fit into a byte.
    """

    def __init__(self, base: int = 10, symbols: Sequence[str] = ("+",), values: int = 0) -> None:
        if not 2 <= base <= _core.MAX_BASE:
            raise ValueError(f"base must be in 2..{_core.MAX_BASE}, got {base}")
        taken = (*DIGITS, *CONTROL, " ")
        for position, symbol in enumerate(symbols):
            if len(symbol) != 1 or symbol in taken or symbol in symbols[:position]:
                raise ValueError(
                    f"symbols must be distinct single characters other than digits, letters and "
                    f"{' '.join(CONTROL)}; got {symbol!r}"
                )
        written = min(base, len(DIGITS))
        numbers = [*DIGITS[:written], *(f"<{n}>" for n in range(written, max(base, values)))]
        size = len(numbers) + len(CONTROL) + len(symbols)
        if size > _core.IGNORE:
            raise ValueError(f"at most {_core.IGNORE} tokens fit into a byte, got {size}")
        self.base, self.symbols = base, tuple(symbols)
        super().__init__([*numbers, *CONTROL, *symbols])

    @property
    def equals(self) -> int:
        """Token that ends the prompt."""
        return self.pad + 3


@lru_cache(maxsize=256)
def digit_vocabulary(base: int, symbols: tuple[str, ...] = (), values: int = 0) -> DigitVocabulary:
    """The vocabulary of a base, made once.

    Raises:
        ValueError: see `DigitVocabulary`.
    """
    return DigitVocabulary(base, symbols, values)
