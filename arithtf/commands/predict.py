"""`arithtf predict`: what a model does on operands longer than those it will be trained on."""

from __future__ import annotations

import argparse
import json
import math
import re
from fractions import Fraction

from arithtf.console import Misuse, misuse, say, table
from arithtf.theory import Plateau, Truncated, by_digit, plateaus

SETTINGS = ("modulus", "base")
_LONGEST = 14_000
"""Bits of a printed fraction: Python writes integers of at most 4,300 digits."""


def show(arguments: argparse.Namespace) -> int:
    """Print accuracies, or plateaus; exit code 0 whatever they are."""
    settings = _settings(arguments.settings)
    rule = Truncated(
        arguments.task,
        arguments.trained,
        operands=arguments.operands,
        terms=arguments.terms,
        **settings,
    )
    if arguments.plateaus:
        return _plateaus(rule, arguments.json)
    tested = arguments.tested or tuple(range(1, rule.trained + 6))
    accuracies = [(length, rule.accuracy(length)) for length in tested]
    digits = {length: by_digit(rule, length) if arguments.digits else () for length in tested}
    if arguments.json:
        rows = [
            {
                "tested": length,
                "accuracy": text(share),
                "operands": rule.operands,
                "limit": text(rule.limit),
                "first": rule.first,
                "grade": "predicted",
            }
            | ({"digits": [text(digit) for digit in digits[length]]} if arguments.digits else {})
            for length, share in accuracies
        ]
        print(json.dumps(rows, indent=1))
        return 0
    say(_hypothesis(rule))
    say(_instance(rule, rule.trained + 1))
    columns = ["digits", "predicted exact match", "fraction"]
    columns += ["digits right, units first"] if arguments.digits else []
    lines = []
    for length, share in accuracies:
        line = [str(length), percent(share), _short(share)]
        line += [" ".join(percent(x).removesuffix(" %") for x in digits[length])]
        lines.append(line[: len(columns)])
    table(columns, lines)
    say(f"of problems in which {_domain(rule)}, each as likely as any other")
    say(f"limit for long operands: {percent(rule.limit)}")
    first = rule.first
    beyond = f"first length above {rule.trained} at which an answer can be right: "
    say(beyond + (str(first) if first else "none"))
    say("predicted: exact if the model follows this rule, which training does not force it to do")
    return 0


def text(share: Fraction) -> str:
    """A fraction as "n/d".

    Raises:
        ValueError: it has too many digits.
    """
    if share.denominator.bit_length() > _LONGEST:
        raise ValueError(
            f"expected fractions of at most {_LONGEST:,} bits, which is as long as Python prints, "
            f"got {share.denominator.bit_length():,}; test fewer digits"
        )
    return f"{share.numerator}/{share.denominator}"


def percent(share: Fraction) -> str:
    """A share with three places; never rounded to 0 or 100."""
    if share in (0, 1):
        return f"{int(share) * 100} %"
    if share < Fraction(1, 10**5):
        power = math.log10(share.numerator) - math.log10(share.denominator)
        return f"10^{power:.1f}"
    rounded = f"{float(100 * share):.3f}"
    return f"{'99.999' if rounded == '100.000' else rounded} %"


def _settings(given: list[str]) -> dict[str, int]:
    """The modulus and base: modulus=15 is {"modulus": 15}."""
    found: dict[str, int] = {}
    for setting in given:
        name, _, value = setting.partition("=")
        if name not in SETTINGS or not re.fullmatch(r"[0-9]{1,18}", value):
            misuse(f"expected modulus=P or base=B, whole numbers of up to 18 digits; got {setting}")
        if name in found:
            raise Misuse(f"{name} is given twice")
        found[name] = int(value)
    return found


def _plateaus(rule: Truncated, as_json: bool) -> int:
    found = plateaus(rule)
    if as_json:
        rows = [
            {
                "known": step.known,
                "accuracy": text(step.accuracy),
                "loss": step.loss,
                "even": None if step.even is None else text(step.even),
            }
            for step in found
        ]
        print(json.dumps(rows, indent=1))
        return 0
    table(
        ("operands known", "exact match at best", "fraction", "loss an answer, nats"),
        [
            (_known(rule, s), percent(s.accuracy), _short(s.accuracy), f"{s.loss:.4f}")
            for s in found
        ],
    )
    say(f"of pairs of operands of at most {rule.trained} digits, each as likely as any other")
    say("where training can rest: it need not pass every step; / by the answer's tokens for a loss")
    return 0


def _known(rule: Truncated, step: Plateau) -> str:
    digits = round(math.log(step.known, rule.base))
    if rule.base**digits == step.known:
        what = f"{digits} digit" if digits == 1 else f"{digits} digits"
        return what if digits < rule.trained else f"all {what}"
    return f"modulo {step.known}"


def _hypothesis(rule: Truncated) -> str:
    operands = "a and b" if rule.terms == 2 else f"all {rule.terms} operands"
    says = f"if {operands} are read modulo {rule.base}^{rule.trained}"
    if rule.reduced is None:
        return f"{says}, an answer is right where nothing is left out"
    return (
        f"{says}, an answer is right where what is left out is 0 modulo p' = {rule.modulus} / "
        f"gcd({rule.modulus}, {rule.base}^{rule.trained}) = {rule.reduced}"
    )


def _instance(rule: Truncated, tested: int) -> str:
    """One problem, with the rule's answer and the truth."""
    longer = [sum((i % (rule.base - 1) + 1) * rule.base**i for i in range(tested))]
    other = rule.base ** (tested - 1) + rule.base // 2
    longer += [other if rule.operands == "both" else other % rule.unit] * (rule.terms - 1)
    sign = " * " if rule.multiplies else " + "
    read = sign.join(numeral(x % rule.unit, rule.base) for x in longer)
    answer, truth = rule.answer(*longer), rule.truth(*longer)
    modulo = "" if rule.modulus is None else f" modulo {numeral(rule.modulus, rule.base)}"
    written = "" if rule.base == 10 else f", in base {rule.base}"
    return (
        f"for instance {sign.join(numeral(x, rule.base) for x in longer)}{modulo}: read as {read}, "
        f"answered {numeral(answer, rule.base)}; the truth is {numeral(truth, rule.base)}, "
        f"{'the same' if answer == truth else 'another'}{written}"
    )


def numeral(number: int, base: int) -> str:
    """A number in a base; above 36 its digits are numbers with dots between them."""
    digits: list[int] = []
    while number or not digits:
        number, digit = divmod(number, base)
        digits.append(digit)
    if base > 36:
        return ".".join(map(str, reversed(digits)))
    return "".join("0123456789abcdefghijklmnopqrstuvwxyz"[digit] for digit in reversed(digits))


def _domain(rule: Truncated) -> str:
    return {
        "both": "every operand has exactly that many digits",
        "longest": "the longest operand has exactly that many digits",
        "one": f"one operand has exactly that many digits, the others at most {rule.trained}",
    }[rule.operands]


def _short(share: Fraction) -> str:
    return text(share) if share.denominator < 10**12 else "-"
