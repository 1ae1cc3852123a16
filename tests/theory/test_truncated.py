"""The rule of truncated operands against all operands of small bases, and against the papers."""

import itertools
from collections import Counter
from fractions import Fraction
from math import log

import pytest

from arithtf.theory import OPERANDS, TASKS, Truncated, by_digit, predict
from arithtf.theory.counting import Interval, sums
from arithtf.theory.limits import one_longer, products

SMALL = [(2, 1, (1, 2, 3, 4)), (2, 2, (3, 4, 5)), (3, 1, (2, 3)), (6, 1, (2,)), (2, 3, (4,))]
MODULI = {True: tuple(range(1, 17)), False: (None,)}


def digits(number, base):
    """Digits of a number by its numeral; 0 has one."""
    count = 1
    while number >= base**count:
        count += 1
    return count


def problems(operands, trained, tested, base, terms):
    """All problems of a domain, from its definition."""
    for numbers in itertools.product(range(base ** max(trained, tested)), repeat=terms):
        sizes = [digits(number, base) for number in numbers]
        others = all(size <= trained for size in sizes[1:])
        inside = {
            "both": all(size == tested for size in sizes),
            "longest": max(sizes) == tested,
            "one": sizes[0] == tested and others,
        }
        if inside[operands]:
            yield numbers


def value(task, modulus, numbers):
    found = numbers[0] * numbers[1] if "multiplication" in task else sum(numbers)
    return found if modulus is None else found % modulus


@pytest.mark.parametrize(("base", "trained", "lengths"), SMALL)
@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("operands", OPERANDS)
def test_accuracy_is_that_of_all_operands(base, trained, lengths, task, operands):
    for tested, terms in itertools.product(lengths, (2, 3)):
        if terms == 3 and ("multiplication" in task or base**tested > 9):
            continue
        listed = list(problems(operands, trained, tested, base, terms))
        for modulus in MODULI[task.startswith("modular")]:
            pairs = [
                (
                    value(task, modulus, [x % base**trained for x in numbers]),
                    value(task, modulus, numbers),
                )
                for numbers in listed
            ]
            rule = Truncated(task, trained, base, modulus, operands, terms)
            right = sum(said == true for said, true in pairs)
            assert rule.accuracy(tested) == Fraction(right, len(pairs))
            if modulus in (None, 3, 6, 8, 11):
                for place, share in enumerate(by_digit(rule, tested)):
                    power = base**place
                    right = sum(a // power % base == b // power % base for a, b in pairs)
                    assert share == Fraction(right, len(pairs))


GOLDEN = {  # p: limit of sums, D~_5, 6, 7, 9 after 4 digits; limit of products, D~_4, 5 after 3
    51: (1.961, 0, 1.988, 1.960, 1.961, 2.529, 2.398, 2.504),
    101: (0.990, 0, 1.012, 0.990, 0.990, 1.000, 0.990, 0.990),
    150: (33.333, 33.333, 33.333, 33.333, 33.333, 40.741, 40.770, 40.770),
    151: (0.662, 0, 0.593, 0.662, 0.662, 0.667, 0.662, 0.662),
    201: (0.498, 0, 0, 0.492, 0.498, 0.617, 0.609, 0.613),
} | dict.fromkeys((50, 100, 200), (100,) * 8)


@pytest.mark.parametrize("p", GOLDEN)
def test_golden_numbers(p):
    sums = Truncated("modular-addition", 4, modulus=p)
    times = Truncated("modular-multiplication", 3, modulus=p)
    found = [sums.limit, *map(sums.accuracy, (5, 6, 7, 9))]
    found += [times.even_limit, times.accuracy(4), times.accuracy(5)]
    assert [float(100 * share) for share in found] == pytest.approx(GOLDEN[p], abs=6e-4)


def test_the_column_theor_of_the_paper():
    """arXiv 2407.17963, the table of modular multiplication trained on D_3, column "Theor."."""
    paper = {50: 100, 51: 2.4, 100: 100, 101: 1.0, 150: 40.8, 200: 100, 201: 0.6}
    for p, percent in paper.items():
        (found,) = predict("modular-multiplication", trained=3, tested=[4], modulus=p)
        assert round(float(100 * found.accuracy), 1) == percent


def test_counts_of_the_authors_notebook():
    """arXiv 2407.17963, notebook: high parts from 1 to 999 after 4 trained digits."""
    for p, percent in {151: 0.66012, 201: 0.49759}.items():
        right = sums(Interval(1, 999), 2, p)
        assert round(100 * right / 999**2, 5) == percent


@pytest.mark.parametrize("q", [1, 2, 7, 12, 40])
def test_sums_are_counted(q):
    for low, size, terms in itertools.product((0, 3, 10), (0, 1, 5, 13, 29), (1, 2, 3)):
        spread = Counter(
            sum(x) % q for x in itertools.product(range(low, low + size), repeat=terms)
        )
        found = [sums(Interval(low, size), terms, q, r) for r in range(q)]
        assert found == [spread[r] for r in range(q)]


def test_released_model_by_digit():
    """arXiv 2308.08268: what the released model `model_s2` was measured to do is near the rule."""
    rule = Truncated("addition", 3)
    four, five = ([float(x) for x in by_digit(rule, tested)] for tested in (4, 5))
    assert four == pytest.approx([1, 1, 1, 0.111, 0.395], abs=6e-4)
    assert five == pytest.approx([1, 1, 1, 0.100, 0.105, 0.395], abs=6e-4)
    assert four == pytest.approx([1, 1, 1, 0.114, 0.385, 1][:5], abs=0.011)


@pytest.mark.parametrize("base", [2, 7, 10])
@pytest.mark.parametrize("operands", OPERANDS)
def test_first_length_is_sharp(base, operands):
    for p in range(1, 320, 3):
        rule = Truncated("modular-addition", 2, base, p, operands)
        tested, least = 3, 1 if operands == "one" else 2
        while rule.reduced > 1 and least * (base ** (tested - 2) - 1) < rule.reduced:
            tested += 1
        assert rule.first == tested
        assert all(rule.accuracy(length) > 0 for length in range(tested, tested + 4))
    paper = Truncated("modular-addition", 4, 10, 201)
    assert paper.first == 7 >= 4 + log(201 / 2 + 1, 10)


def test_products_of_short_operands_can_be_right_at_once():
    assert Truncated("modular-multiplication", 3, modulus=201).first == 4
    assert Truncated("multiplication", 3).first is None
    assert Truncated("multiplication", 3, operands="longest").first == 4
    assert Truncated("addition", 3, operands="one").first is None


@pytest.mark.parametrize("q", [*range(1, 17), 25, 27])
def test_limits_are_those_of_all_residues(q):
    every = range(q)
    ones = sum(a * b % q == 0 for a in every for b in every)
    assert one_longer(q) == Fraction(ones, q * q)
    solutions = [[0] * q for _ in every]
    for a, b in itertools.product(every, every):
        solutions[a][a * b % q] += 1
    count = sum(solutions[a][x] * solutions[c][-x % q] for a in every for c in every for x in every)
    assert products(q) == Fraction(count, q**4)


@pytest.mark.parametrize("operands", OPERANDS)
@pytest.mark.parametrize("p", [6, 15, 33, 101, 150])
def test_accuracies_tend_to_the_limit(p, operands):
    for task in ("modular-addition", "modular-multiplication"):
        rule = Truncated(task, 2, modulus=p, operands=operands)
        assert float(rule.accuracy(50)) == pytest.approx(float(rule.limit), rel=1e-12)
    long = Truncated("modular-multiplication", 12, modulus=p, operands=operands)
    assert float(long.accuracy(50)) == pytest.approx(float(long.even_limit), rel=1e-9)


def test_long_operands_and_many_terms():
    assert Truncated("multiplication", 3, operands="longest").accuracy(50) == Fraction(
        2 * 9 * 10**49, 10**100 - 10**98
    )
    assert Truncated("addition", 40).accuracy(40) == 1
    for terms in (2, 3, 5):
        rule = Truncated("modular-addition", 3, modulus=15, terms=terms)
        assert rule.limit == Fraction(1, 3)
        assert abs(rule.accuracy(50) - rule.limit) < 1e-12
    huge = Truncated("modular-addition", 3, modulus=10**30 + 57)
    assert huge.first == 33
    assert 0 < huge.accuracy(50) < Fraction(2, 10**30)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (("subtraction", 3), "expected one of the tasks"),
        (("modular-addition", 3), "needs a modulus"),
        (("addition", 3, 10, 7), "has no modulus"),
        (("addition", 0), "expected trained of at least 1"),
        (("addition", 3, 1), "expected base of at least 2"),
        (("modular-addition", 3, 10, 0), "expected modulus of at least 1"),
        (("addition", 3, 10, None, "all"), "expected operands"),
        (("multiplication", 3, 10, None, "both", 3), "for two operands"),
    ],
)
def test_what_cannot_be_is_refused(wrong, message):
    with pytest.raises(ValueError, match=message):
        Truncated(*wrong)


def test_counts_that_are_too_large_are_refused():
    with pytest.raises(ValueError, match="at most 10,000 residues"):
        Truncated("modular-multiplication", 3, modulus=10_007).accuracy(4)
    with pytest.raises(ValueError, match="ask for accuracies without digits"):
        by_digit(Truncated("modular-multiplication", 3, modulus=151), 4)
    for asked in (Truncated.accuracy, by_digit):
        with pytest.raises(ValueError, match="at least 1 digit"):
            asked(Truncated("addition", 3), 0)
