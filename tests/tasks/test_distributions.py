"""Structured kinds have exactly the carry structure they promise."""

import numpy as np
import pytest

from arithtf.tasks import PAIRS, Addition, Address, Draw, Operands

BASES = [2, 3, 10, 16]
STRUCTURED = PAIRS[1:]


def draw(base, kind, lengths, size=300, chain=None):
    return Addition(base).operands(Address(11, "all", 0), Draw(lengths, size, kind, chain=chain))


def columns(problem: tuple[np.ndarray, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Both operands least significant digit first, filled with zeros to the longer one."""
    n = max(d.size for d in problem)
    a, b = (np.pad(d[::-1].astype(int), (0, n - d.size)) for d in problem)
    return a, b


def carries(problem: tuple[np.ndarray, ...], base: int) -> np.ndarray:
    """Which columns carry out."""
    carry, out = 0, []
    for x, y in zip(*columns(problem), strict=True):
        carry = int(x + y + carry >= base)
        out.append(carry)
    return np.array(out, bool)


def value(digits: np.ndarray, base: int) -> int:
    total = 0
    for digit in digits.tolist():
        total = total * base + digit
    return total


@pytest.mark.parametrize("base", BASES)
@pytest.mark.parametrize("kind", STRUCTURED)
def test_lengths_are_those_of_the_longer_operand(base: int, kind: str) -> None:
    more = {"chain": (2, 1)} if kind == "chain" else {}
    drawn = draw(base, kind, (4, 9), **more)
    longer = {max(d.size for d in problem) for problem in drawn}
    missing = {4} if kind == "chain" and base == 2 else set()  # 0 + 0 cannot be the top column
    assert longer == {4, 5, 6, 7, 8, 9} - missing
    assert all(d.size == 1 or d[0] for problem in drawn for d in problem)
    assert drawn.digits.max() < base


@pytest.mark.parametrize("base", BASES)
@pytest.mark.parametrize(
    ("lengths", "chain"),
    [
        ((1, 12), (1, 0)),
        ((5, 12), (3, 0)),
        ((12, 12), (12, 0)),
        ((3, 12), (4, 5)),
        ((12, 12), (1, 11)),
        ((1, 12), (7, 5)),
        ((300, 300), (120, 90)),
    ],
)
def test_chain_has_its_length_and_place(
    base: int, lengths: tuple[int, int], chain: tuple[int, int]
) -> None:
    length, place = chain
    for problem in draw(base, "chain", lengths, size=100, chain=chain):
        a, b = columns(problem)
        out = carries(problem, base)
        assert out[place : place + length].all()
        assert a[place] + b[place] >= base
        assert (a[place + 1 : place + length] + b[place + 1 : place + length] == base - 1).all()
        for neighbour in (place - 1, place + length):
            if 0 <= neighbour < out.size:
                assert a[neighbour] + b[neighbour] < base - 1
                assert not out[neighbour]


def test_chain_leaves_the_other_columns_random() -> None:
    sums = np.array([sum(columns(p))[5] for p in draw(10, "chain", (9, 9), chain=(2, 1))])
    assert set(range(19)) - set(sums.tolist()) <= {0, 18}


@pytest.mark.parametrize("base", BASES)
def test_complements(base: int) -> None:
    for problem in draw(base, "complement", (1, 9)):
        a, b = columns(problem)
        assert (a + b == base - 1).all()
        assert not carries(problem, base).any()
    for problem in draw(base, "complement_plus", (1, 9)):
        a, b = columns(problem)
        assert a[0] + b[0] == base
        assert (a[1:] + b[1:] == base - 1).all()
        assert carries(problem, base).all()
        assert value(problem[0], base) + value(problem[1], base) == base**a.size


@pytest.mark.parametrize("base", BASES)
def test_ripple_is_nines_and_one(base: int) -> None:
    sides = set()
    for problem in draw(base, "ripple", (2, 9)):
        one, nines = sorted(problem, key=lambda digits: digits.size)
        assert one.tolist() == [1]
        assert (nines == base - 1).all()
        sides.add(problem[0].size == 1)
    assert sides == {True, False}


@pytest.mark.parametrize("base", BASES)
def test_kill_breaks_a_full_ripple_in_one_inner_column(base: int) -> None:
    places = set()
    for problem in draw(base, "kill", (8, 8)):
        a, b = columns(problem)
        assert a[0] + b[0] == base
        killed = np.flatnonzero(a + b == base - 2)
        assert killed.size == 1
        assert 0 < killed[0] < 7
        places.add(int(killed[0]))
        rest = np.delete(a + b, [0, killed[0]])
        assert (rest == base - 1).all()
        out = carries(problem, base)
        assert out[: killed[0]].all()
        assert not out[killed[0] :].any()
    assert places == {1, 2, 3, 4, 5, 6}


@pytest.mark.parametrize("base", BASES)
def test_repdigit_double_lopsided(base: int) -> None:
    for problem in draw(base, "repdigit", (1, 9)):
        assert problem[0].size == problem[1].size
        assert all(np.unique(digits).size == 1 and digits[0] > 0 for digits in problem)
    for problem in draw(base, "double", (1, 9)):
        np.testing.assert_array_equal(*problem)
    sides = [tuple(d.size for d in problem) for problem in draw(base, "lopsided", (9, 9))]
    assert set(sides) == {(1, 9), (9, 1)}


@pytest.mark.parametrize("base", BASES)
def test_zeros_come_in_three_forms(base: int) -> None:
    forms = {"zero": 0, "power": 0, "sparse": 0}
    for problem in draw(base, "zeros", (20, 20)):
        short, long = sorted(problem, key=lambda digits: digits.size)
        if short.tolist() == [0]:
            forms["zero"] += 1
        elif any(d[0] == 1 and d.size == 20 and not d[1:].any() for d in (short, long)):
            forms["power"] += 1
        else:
            assert short.size == long.size == 20
            forms["sparse"] += int((short == 0).sum() + (long == 0).sum() >= 15)
    assert all(count > 60 for count in forms.values()), forms


@pytest.mark.parametrize("base", BASES)
def test_alternating_carries_take_turns(base: int) -> None:
    tops = set()
    for problem in draw(base, "alternating", (10, 10)):
        a, b = columns(problem)
        out = carries(problem, base)
        assert (out[1:] != out[:-1]).all()
        assert (a[2:] == a[:-2]).all()
        assert (b[2:] == b[:-2]).all()
        tops.add(bool(out[-1]))
    assert tops == ({True} if base == 2 else {True, False})


@pytest.mark.parametrize("kind", [kind for kind in STRUCTURED if kind != "kill"])
def test_length_one_where_it_exists(kind: str) -> None:
    more = {"chain": (1, 0)} if kind == "chain" else {}
    drawn = draw(10, kind, (1, 1), **more)
    assert isinstance(drawn, Operands)
    assert set(np.diff(drawn.offsets).tolist()) == {1}


def test_base_two_chain_without_a_length_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 6"):
        draw(2, "chain", (5, 5), chain=(3, 1))
