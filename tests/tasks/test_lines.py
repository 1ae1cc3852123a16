"""Lines with typographic signs and a trailing "=", for every parser; what is not taken is named."""

import hypothesis.strategies as st
import pytest
from hypothesis import given

from arithtf.tasks import TASKS, Calculator, View

MADE = {name: made() for name, made in TASKS.items() if name != "view"}
MADE["view"] = View(MADE["subtraction"])
WIDE = str.maketrans({chr(c): chr(c + 0xFEE0) for c in range(0x21, 0x7F)})
OTHERS = {
    "-": "\N{MINUS SIGN}\N{EN DASH}\N{NON-BREAKING HYPHEN}\N{FULLWIDTH HYPHEN-MINUS}",
    "+": "\N{FULLWIDTH PLUS SIGN}",
    "*": "\N{MULTIPLICATION SIGN}\N{MIDDLE DOT}\N{DOT OPERATOR}\N{FULLWIDTH ASTERISK}",
    "/": "\N{DIVISION SIGN}\N{DIVISION SLASH}\N{FRACTION SLASH}\N{FULLWIDTH SOLIDUS}",
}
ENDS = ("=", " =", "=?", " = ? ", "\N{FULLWIDTH EQUALS SIGN}")
MIXED = "0127+-*/%<>?=() \n\N{MINUS SIGN}\N{DIVISION SIGN}\N{FULLWIDTH DIGIT TWO}\N{CIRCLED PLUS}"


def texts(problem):
    return tuple("".join(map(str, part.tolist())) for part in problem)


def lines_of(task):
    return [f"12{sign}7" for sign in task.parts] if isinstance(task, Calculator) else [task.example]


@pytest.mark.parametrize("task", MADE.values(), ids=MADE)
def test_every_parser_takes_other_signs_wide_digits_and_a_trailing_equals(task):
    for line in lines_of(task):
        known = texts(task.parse(line))
        same = [line.translate(WIDE), *(f"{line}{end}" for end in ENDS)]
        same += [
            line.replace(sign, f"{before}{other}{before}")
            for sign, others in OTHERS.items()
            for other in others
            for before in ("", " ", "\N{NO-BREAK SPACE}")
        ]
        for other in same:
            assert texts(task.parse(other)) == known, other


@pytest.mark.parametrize(
    ("name", "line", "operands"),
    [
        ("subtraction", "12 \N{MINUS SIGN} 7", ("12", "7")),
        ("multiplication", "12\N{MULTIPLICATION SIGN}7", ("12", "7")),
        ("division", "84\N{DIVISION SIGN}7 =", ("84", "7")),
        ("running-sum", "1\N{FULLWIDTH PLUS SIGN}2+3=", ("1", "2", "3")),
        ("comparison", "5<7=", ("5", "7")),
        ("comparison", "5=7", ("5", "7")),
        ("copy", "0110=", ("0110",)),
        ("calculator", "12\N{MIDDLE DOT}7=?", ("2", "12", "7")),
    ],
)
def test_lines_as_they_are_met(name, line, operands):
    assert texts(MADE[name].parse(line)) == operands


@pytest.mark.parametrize(
    ("name", "line", "named"),
    [
        ("subtraction", "12 \N{DOT MINUS} 7", r"got none; '.' \(U\+2238\) is no sign"),
        ("addition", "1+\N{ARABIC-INDIC DIGIT THREE}", r"\(U\+0663\) at character 1"),
        ("copy", "01\N{GREEK SMALL LETTER PI}", r"\(U\+03C0\) at character 3"),
        ("subtraction", "-5-3", "'-5' has a sign of its own"),
        ("subtraction", "5 - -3", "'-3' has a sign of its own"),
        ("subtraction", "\N{MINUS SIGN}5\N{MINUS SIGN}3", "'-5' has a sign of its own"),
        ("subtraction", "5-3-1", "a line is one operation, this one has the signs - -"),
        ("addition", "1+2*3", r"second operand has the operation '\*'; a line is one operation"),
        ("addition", "1+-2", "second operand has a sign"),
        ("running-sum", "1+-2", "operand 2 has a sign"),
        ("running-sum", "1 \N{CIRCLED PLUS} 2", r"\(U\+2295\) is no sign"),
        ("calculator", "-5+3", "'-5' has a sign of its own"),
        ("calculator", "7\N{MULTIPLICATION SIGN}-3", "'-3' has a sign of its own"),
        ("calculator", "1+2*3", r"signs \+ \*"),
        ("calculator", "1 \N{CIRCLED PLUS} 2", r"\(U\+2295\) is no sign"),
        ("comparison", "5<7<9", "a line is one operation"),
        ("addition", "1+2=3", "second operand has '=' at character 2"),
    ],
)
def test_what_is_not_taken_is_named(name, line, named):
    with pytest.raises(ValueError, match=named):
        MADE[name].parse(line)


@given(st.text(st.sampled_from(MIXED), max_size=9))
def test_no_line_does_anything_else(line):
    for task in MADE.values():
        try:
            problem = task.parse(line)
        except ValueError:
            continue
        assert all(part.size for part in problem)
