"""Scratchpads token by token, from Python's integers."""

from __future__ import annotations

from arithtf.tasks import Division, Multiplication, RunningSum

Token = tuple[str, int, int, int, int]  # segment, token, index from left, from right, row


def digits_of(value: int, base: int) -> list[int]:
    """Least significant first."""
    digits = [value % base]
    while value := value // base:
        digits.append(value % base)
    return digits


def padded(value: int, base: int, length: int) -> list[int]:
    digits = digits_of(value, base)
    assert len(digits) <= length
    return digits + [0] * (length - len(digits))


def number(name: str, value: int, base: int, row: int = 0) -> list[Token]:
    digits = digits_of(value, base)[::-1]
    return [(name, d, i, len(digits) - 1 - i, row) for i, d in enumerate(digits)]


def product(base: int, a: int, b: int) -> tuple[list[Token], int]:
    eos, equals, times, mark = (base + k for k in (2, 3, 4, 5))
    x, y = digits_of(a, base), digits_of(b, base)
    n, m = len(x), len(y)
    out = [("bos", base + 1, 0, 0, 0), *number("a", a, base), ("*", times, 0, 0, 0)]
    out += [*number("b", b, base), ("=", equals, 0, 0, 0)]
    for j in range(m):
        out.append(("row", mark, 0, 0, j))
        left = a * (b % base**j) // base**j
        digits = padded(left + a * y[j], base, n + 1)
        for i in range(n + 1):
            segment = "final" if i == 0 or j == m - 1 else "sum"
            if i == n:
                out.append((segment, digits[i], i, 0, j))
                continue
            # What is in the columns up to i, apart from the digit that column i + 1 will get.
            power = base ** (i + 1)
            above = a % power * y[j] + left % power
            out.append(("high", x[i] * y[j] // base, i, 0, j))
            out.append(("low", x[i] * y[j] % base, i, 0, j))
            out.append((segment, digits[i], i, 0, j))
            out.append(("carry", above // power - x[i] * y[j] // base, i, 0, j))
    out.append(("end", equals, 0, 0, 0))
    out += [("answer", d, k, 0, 0) for k, d in enumerate([*padded(a * b, base, n + m), eos])]
    return out, n + 3


def running_sum(base: int, *terms: int) -> tuple[list[Token], int]:
    eos, equals, plus, mark = (base + k for k in (2, 3, 4, 5))
    out = [("bos", base + 1, 0, 0, 0), *number("a", terms[0], base)]
    for r, term in enumerate(terms[1:], start=1):
        out += [("+", plus, 0, 0, r), *number("term", term, base, r)]
    out.append(("=", equals, 0, 0, 0))
    width = max(len(digits_of(t, base)) for t in terms) + len(digits_of(len(terms) - 1, base)) + 1
    for r in range(1, len(terms)):
        out.append(("row", mark, 0, 0, r))
        digits = padded(sum(terms[: r + 1]), base, width)
        for i in range(width):
            out.append(("sum", digits[i], i, 0, r))
            power = base ** (i + 1)
            if i < width - 1:
                carry = (sum(terms[:r]) % power + terms[r] % power) // power
                out.append(("carry", carry, i, 0, r))
    out.append(("row", eos, 0, 0, len(terms)))
    return out, width + 2


def quotient(base: int, a: int, b: int) -> tuple[list[Token], int]:
    eos, equals, over, mark = (base + k for k in (2, 3, 4, 5))
    n, m = len(digits_of(a, base)), len(digits_of(b, base))
    out = [("bos", base + 1, 0, 0, 0), *number("a", a, base), ("/", over, 0, 0, 0)]
    out += [*number("b", b, base), ("=", equals, 0, 0, 0)]
    rho, left = 0, 0
    for j, x in enumerate(digits_of(a, base)[::-1]):
        left = left * base + x
        found = 0
        for t in range(base - 1):
            out.append(("first mark" if t == 0 else "mark", mark, 0, 0, rho))
            fails = left < b
            for i in range(m + 1):
                power = base ** (i + 1)
                segment = "flag" if i == m else "first borrow" if (i, t) == (0, 0) else "borrow"
                out.append((segment, int(left % power < b % power), i, 0, rho))
            before = left
            left, found = (left, found) if fails else (left - b, found + 1)
            for i, d in enumerate(padded(left, base, m + 1)):
                power = base ** (i + 1)
                segment = "trial"
                if t == base - 2:
                    segment = "top" if i == m else "rest" if j == n - 1 else "left"
                if (i, t) == (0, 0):
                    segment = "first digit"
                out.append((segment, d, i, 0, rho))
                if i < m:
                    borrow = not fails and before % power < b % power
                    segment = "first taken" if (i, t) == (0, 0) else "taken"
                    out.append((segment, int(borrow), i, 0, rho))
            out.append(("digit" if t == base - 2 else "count", found, 0, 0, rho))
            rho += 1
    out.append(("end", equals, 0, 0, rho))
    last = rho - 1
    written = [*padded(a // b, base, n), mark]
    out += [("answer", d, k, 0, last) for k, d in enumerate(written)]
    out += [("remainder", d, k, 0, 0) for k, d in enumerate([*padded(a % b, base, m), eos])]
    return out, m + 3


ORACLES = {Multiplication: product, RunningSum: running_sum, Division: quotient}
