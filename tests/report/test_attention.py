"""Drawn attention weights against loops over the trained numbers."""

import math

import numpy as np
import pytest

from arithtf.recipes import get_recipe
from arithtf.report import figures
from arithtf.report.attention import coupled_attention
from arithtf.report.evidence import read_evidence
from arithtf.runs import load_model
from arithtf.tasks import Operands


def by_loops(model, a, b, written):
    """Weights {(head, answer place): {(difference, operand): weight}} of a + b, from the formulas.

    Nothing of the data or attention code is used: digits and columns are counted here.
    """
    parameters = {name: value.double().numpy() for name, value in model.state_dict().items()}
    table = parameters["embedding.weight"]
    normed = table / np.sqrt((table**2).mean(1, keepdims=True) + 1e-6)
    normed *= parameters["blocks.0.norm.weight"]
    query = normed @ parameters["blocks.0.query.weight"].T
    key = normed @ parameters["blocks.0.key.weight"].T
    (bias,) = (v for k, v in parameters.items() if k.startswith("blocks.0.mechanism"))
    heads, reach = bias.shape[0], bias.shape[1] // 2
    dim = query.shape[1] // heads
    bos, equals = 11, 13
    before = [equals, *written]
    expected = {}
    for head in range(heads):
        part = slice(head * dim, (head + 1) * dim)
        for place in range(len(written) + 1):
            q = query[before[place], part]
            scores = {(None, "bos"): q @ key[bos, part] / math.sqrt(dim)}
            for difference in (-1, 0):
                column = place + difference
                for name, digits in (("a", a[::-1]), ("b", b[::-1])):
                    if 0 <= column < len(digits):
                        k = key[int(digits[column]), part]
                        scores[difference, name] = (
                            q @ k / math.sqrt(dim) + bias[head, difference + reach]
                        )
            total = sum(math.exp(score) for score in scores.values())
            expected[head, place] = {at: math.exp(s) / total for at, s in scores.items()}
    return expected


@pytest.mark.parametrize(("a", "b", "answer"), [("958", "67", "1025"), ("9", "99991", "100000")])
def test_weights_are_those_of_the_formula(short_run, a, b, answer):
    model, recipe = load_model(short_run)
    operands = Operands.from_digits([recipe.task.parse(f"{a}+{b}")])
    coupled = coupled_attention(model, recipe.task, recipe.coupling, operands)
    expected = by_loops(model, a, b, [int(digit) for digit in answer[::-1]])
    assert coupled.written == (*answer[::-1], "$")
    assert np.abs(coupled.weights.sum(-1) - 1).max() < 1e-6
    for (head, place), weights in expected.items():
        for number, slot in enumerate(coupled.slots):
            drawn = coupled.weights[head, place, number]
            assert drawn == pytest.approx(
                weights.pop((slot.difference, slot.name), 0.0), abs=1e-5
            ), (head, place, slot)
        assert not weights, f"not drawn: {weights}"


def test_cells_show_the_digits_that_are_seen(short_run):
    model, recipe = load_model(short_run)
    operands = Operands.from_digits([recipe.task.parse("958+67")])
    coupled = coupled_attention(model, recipe.task, recipe.coupling, operands)
    places = [(slot.difference, slot.name) for slot in coupled.slots]
    hundreds = dict(zip(places, coupled.tokens[2], strict=True))
    assert hundreds[0, "a"] == "9"
    assert hundreds[0, "b"] == ""
    assert (hundreds[-1, "a"], hundreds[-1, "b"]) == ("5", "6")


def test_a_head_that_sees_nothing_is_drawn_with_weights_of_zero(short_run):
    recipe = get_recipe("addition", "model.encoding.windows=[[0,0]]", "model.encoding.sinks=0")
    model = recipe.model.build(seed=1)
    operands = Operands.from_digits([recipe.task.parse("958+67")])
    coupled = coupled_attention(model, recipe.task, recipe.coupling, operands)
    # 5201$: digits stand in the first three columns, and none in those of 1 and of $.
    expected = np.array([1, 1, 1, 0, 0])
    assert coupled.weights.sum(-1) == pytest.approx(expected[None].repeat(recipe.model.heads, 0))
    assert coupled.tokens[3:] == (("", ""), ("", ""))
    figure = figures.attention(read_evidence(short_run, model), model)
    assert "<svg" in figure.svg, figure.caption
