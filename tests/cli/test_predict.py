"""`arithtf predict`."""

import json
from fractions import Fraction

import pytest

MODULAR = ("predict", "modular-addition", "modulus=15", "--trained", 3)


def test_fractions_as_json(arithtf):
    ended = arithtf(*MODULAR, "--tested", "1-3,4,50", "--json")
    rows = json.loads(ended.out)
    assert ended.code == 0
    assert [row["tested"] for row in rows] == [1, 2, 3, 4, 50]
    assert [row["accuracy"] for row in rows[:4]] == ["1/1", "1/1", "1/1", "1/3"]
    assert abs(Fraction(rows[4]["accuracy"]) - Fraction(1, 3)) < Fraction(1, 10**40)
    assert {row["grade"] for row in rows} == {"predicted"}


@pytest.mark.parametrize("operands", ["both", "longest", "one"])
@pytest.mark.parametrize(
    "task", ["addition", "multiplication", "modular-addition", "modular-multiplication"]
)
def test_every_task_and_domain(arithtf, task, operands):
    modulus = ["modulus=6"] if "modular" in task else []
    words = ("predict", task, *modulus, "base=7", "--trained", 1, "--operands", operands)
    rows = json.loads(arithtf(*words, "--tested", "1-3", "--json", "--digits").out)
    assert [row["tested"] for row in rows] == [1, 2, 3]
    assert all(Fraction(digit) >= 0 for row in rows for digit in row["digits"])


def test_a_table_with_an_instance(arithtf):
    out = arithtf(*MODULAR, "--tested", "3,4", "--digits").out
    assert "p' = 15 / gcd(15, 10^3) = 3" in out
    assert "for instance 4321 + 1005 modulo 15: read as 321 + 5, answered 11; the truth is 1" in out
    assert "33.333 %       1/3" in out
    assert "limit for long operands: 33.333 %" in out
    assert "can be right: 4" in out
    base = arithtf("predict", "addition", "base=16", "--trained", 3).out
    assert "read as 321 + 8, answered 329; the truth is 5329, another, in base 16" in base
    assert "can be right: none" in base


def test_plateaus(arithtf):
    words = ("predict", "modular-addition", "modulus=200", "--trained", 4, "--plateaus")
    rows = json.loads(arithtf(*words, "--json").out)
    assert [row["accuracy"] for row in rows if row["known"] in (1, 10, 100)] == [
        "1/200",
        "1/20",
        "1/2",
    ]
    assert rows[0]["loss"] == pytest.approx(5.2983, abs=1e-4)
    assert rows[0]["even"] == "1/200"
    assert "2 digits" in arithtf(*words).out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("subtraction", "--trained", 3), "expected one of the tasks"),
        (("addition",), "--trained"),
        (("addition", "--trained", 3, "--tested", "0-4"), "expected lengths of 1 to 9999"),
        (("addition", "--trained", 3, "--tested", "5-4"), "expected lengths of 1 to 9999"),
        (("addition", "--trained", 3, "modulus=3"), "has no modulus"),
        (("addition", "--trained", 3, "width=3"), "expected modulus=P or base=B"),
        (("addition", "--trained", 3, "base=2", "base=3"), "given twice"),
        (("addition", "--trained", 3, "--operands", "some"), "invalid choice"),
        (("addition", "--trained", 9, "--plateaus"), "fewer trained digits"),
        (
            ("multiplication", "--trained", 3, "--tested", 9999, "--operands", "longest", "--json"),
            "test fewer digits",
        ),
    ],
)
def test_misuse_is_said(arithtf, words, message):
    ended = arithtf("predict", *words)
    assert ended.code == 2
    assert message in ended.err
    assert not ended.out
