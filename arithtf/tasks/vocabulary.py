"""Tokens of an arithmetic task: digits first, then control tokens, then the task's own symbols."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from arithtf import _core

DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"
CONTROL = ("_", "^", "$", "=")  # as text: PAD, BOS, EOS, equals


@dataclass(frozen=True)
class Vocabulary:
    """The token numbering shared by a task's data and its models.

    Args:
        base: number base; tokens 0..base-1 are the digits.
        symbols: the task's own symbols, one character each, numbered after the control tokens.
        values: above the base: tokens base..values-1 are numbers too large for a digit.

    Raises:
        ValueError: base outside 2..128, or symbols that repeat or collide with digits and control.
    """

    base: int = 10
    symbols: tuple[str, ...] = ("+",)
    values: int = 0

    def __post_init__(self) -> None:
        if not 2 <= self.base <= _core.MAX_BASE:
            raise ValueError(f"base must be in 2..{_core.MAX_BASE}, got {self.base}")
        taken = (*DIGITS, *CONTROL, " ")
        for position, symbol in enumerate(self.symbols):
            if len(symbol) != 1 or symbol in taken or symbol in self.symbols[:position]:
                raise ValueError(
                    f"symbols must be distinct single characters other than digits, letters and "
                    f"{' '.join(CONTROL)}; got {symbol!r}"
                )
        if self.size > _core.IGNORE:
            raise ValueError(f"at most {_core.IGNORE} tokens fit into a byte, got {self.size}")

    @property
    def size(self) -> int:
        """Number of tokens."""
        return self.pad + len(CONTROL) + len(self.symbols)

    @property
    def pad(self) -> int:
        """Token of columns that hold nothing, the first that is no number."""
        return max(self.base, self.values)

    @property
    def bos(self) -> int:
        """First token of every instance."""
        return self.pad + 1

    @property
    def eos(self) -> int:
        """Last token of every answer."""
        return self.pad + 2

    @property
    def equals(self) -> int:
        """Token that ends the prompt."""
        return self.pad + 3

    def id(self, symbol: str) -> int:
        """Token of one of the task's symbols.

        Raises:
            ValueError: the vocabulary does not have the symbol.
        """
        if symbol not in self.symbols:
            raise ValueError(f"expected one of the symbols {self.symbols}, got {symbol!r}")
        return self.pad + len(CONTROL) + self.symbols.index(symbol)

    def token_text(self, token: int) -> str:
        """One token as text; digits from 36 on are written as `<36>`."""
        if not 0 <= token < self.size:
            raise ValueError(f"tokens are 0..{self.size - 1}, got {token}")
        if token < self.pad:
            return DIGITS[token] if token < min(self.base, len(DIGITS)) else f"<{token}>"
        return (*CONTROL, *self.symbols)[token - self.pad]

    def text(self, tokens: npt.ArrayLike) -> str:
        """A one-dimensional array of tokens as text.

        Raises:
            ValueError: a number that is not a token.
        """
        used, inverse = np.unique(np.asarray(tokens), return_inverse=True)
        words = [self.token_text(int(token)) for token in used]
        return "".join(words[k] for k in inverse.ravel())
