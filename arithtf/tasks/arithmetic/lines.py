"""Lines as people and programs write them: typographic signs, a trailing "=", signs between."""

from __future__ import annotations

import re

_SAME = {
    "-": "\u2212\u2013\u2010\u2011\ufe63",  # minus, en dash, hyphens, small hyphen-minus
    "+": "\ufe62",
    "*": "\u00d7\u00b7\u22c5\u2217",  # multiplication sign, middle dot, dot and asterisk operators
    "/": "\u00f7\u2215\u2044",  # division sign, division slash, fraction slash
    " ": "\u00a0\u2009\u202f\u3000",  # no-break, thin, narrow no-break, ideographic space
}
_WIDE = {wide: wide - 0xFEE0 for wide in range(0xFF01, 0xFF5F)}  # full-width ASCII, digits too
_PLAIN = _WIDE | {ord(other): sign for sign, others in _SAME.items() for other in others}
_OPERATIONS = "+-*/%^<>?"


def plain_line(line: str) -> str:
    """A line in ASCII as far as its signs and digits are, without "=" or "= ?" at its end.

    "84 ÷ 7 =" is "84 / 7". What is not known stays, for errors to name.
    """
    if not line.isascii():
        line = line.translate(_PLAIN)
    rest = line.rstrip()
    rest = rest.removesuffix("?").rstrip() if rest.endswith("?") and "=" in rest[-9:] else rest
    return rest[:-1].rstrip() if rest.endswith("=") else line


def sides(line: str, sign: str, like: str, *, more: bool = False) -> list[str]:
    """The texts on the sides of a sign, in a plain line.

    Args:
        line: the line.
        sign: what stands between operands.
        like: an example, for the error.
        more: there may be any number of signs, and so of operands.

    Raises:
        ValueError: no sign, or several where there is to be one.
    """
    parts = line.split(sign)
    if len(parts) == 2 or (more and len(parts) > 2):
        return parts
    what = f"at least one {sign!r} between" if more else f"one {sign!r} between two"
    others = [c for c in "+-*/%^" if c in line and len(parts) == 1]
    got = f"the operation {others[0]!r}" if others else len(parts) - 1 or "none"
    raise ValueError(f"expected {what} operands, like {like}; got {got}{odd_signs(line)}")


def odd_signs(line: str) -> str:
    """What to add to an error about the signs of a plain line; nothing if they are not odd."""
    if own := re.search(r"(?:^|[-+*/%^<>?])\s*([-+]\s*\w{1,20})", line):
        return f"; {own[1]!r} has a sign of its own, and operands are written without one"
    signs = [c for c in line if c in _OPERATIONS]
    if len(signs) > 1:
        return f"; a line is one operation, this one has the signs {' '.join(signs[:9])}"
    if strange := re.search(r"[^\x00-\x7f]", line):
        return f"; {quoted(strange[0])} is no sign that is known here"
    return ""


def quoted(one: str) -> str:
    """A character in an error: in quotes, and by its code point where it is not ASCII."""
    return repr(one) if one.isascii() else f"{one!r} (U+{ord(one):04X})"
