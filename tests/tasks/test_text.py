"""What a person writes: parse, render, operands from text and integers, vocabulary."""

import json
import pickle
import sys

import numpy as np
import pytest

from arithtf.tasks import Addition, Operands, task_to_dict
from arithtf.tasks.vocabulary import DigitVocabulary

TASK = Addition()


@pytest.fixture
def long_integers():
    limit = sys.get_int_max_str_digits()
    sys.set_int_max_str_digits(0)
    yield
    sys.set_int_max_str_digits(limit)


@pytest.mark.parametrize(
    ("line", "operands"),
    [
        ("123+45", ("123", "45")),
        ("  123 +\t45 \n", ("123", "45")),
        ("007+0", ("7", "0")),
        ("000+0005", ("0", "5")),
        ("\uff11\uff12+1", ("12", "1")),
        ("1+2=", ("1", "2")),
    ],
)
def test_parse(line: str, operands: tuple[str, str]) -> None:
    parsed = TASK.parse(line)
    assert tuple("".join(map(str, digits.tolist())) for digits in parsed) == operands
    assert all(digits.dtype == np.uint8 for digits in parsed)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("", "one '\\+'"),
        ("12", "one '\\+'"),
        ("1+2+3", "got 2"),
        ("+1+2", "got 2"),
        ("12*3", "operation '\\*'"),
        ("12-3", "operation '-'"),
        ("-1+2", "first operand has a sign"),
        ("1+-2", "second operand has a sign"),
        ("1+", "second operand is empty"),
        ("  + 2", "first operand is empty"),
        ("12a+3", "first operand has 'a' at character 3"),
        ("1 2+3", "without spaces"),
        ("1+2=3", "second operand has '='"),
        ("1+\u0663", "second operand has '\u0663' \\(U\\+0663\\) at character 1"),
        ("\u0967+1", r"first operand has '.' \(U\+0967\)"),
        ("1\u00a02+1", "first operand has"),
        ("1_000+1", "first operand has '_'"),
        ("1.5+1", "first operand has '.'"),
    ],
)
def test_parse_refuses(line: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        TASK.parse(line)


def test_parse_and_answer_at_any_length(long_integers: None) -> None:
    rng = np.random.default_rng(0)
    a, b = (int.from_bytes(rng.bytes(9000), "little") for _ in range(2))
    operands = Operands.from_digits([TASK.parse(f"{a}+{b}")])
    assert TASK.render(TASK.answer(operands)[0]) == str(a + b)
    assert TASK.problem_text(operands, 0) == f"{a}+{b}={a + b}"
    same = Operands.from_ints([(a, b)])
    np.testing.assert_array_equal(same.digits, operands.digits)
    np.testing.assert_array_equal(same.offsets, operands.offsets)


@pytest.mark.parametrize("base", [2, 16, 36])
def test_other_bases_use_letters(base: int) -> None:
    task = Addition(base)
    a, b = 3**40, 7**21
    text = f"{np.base_repr(a, base)}+{np.base_repr(b, base).lower()}"
    operands = Operands.from_digits([task.parse(text)])
    total = task.render(task.answer(operands)[0])
    assert int(total, base) == a + b
    assert task.problem_text(operands, 0) == f"{text.lower()}={total}"


def test_render_reads_up_to_eos() -> None:
    eos, pad = TASK.vocabulary.eos, TASK.vocabulary.pad
    assert TASK.render([8, 6, 1, eos, pad, pad]) == "168"
    assert TASK.render(np.array([0, eos], np.uint8)) == "0"
    assert Addition(format="padded").render([8, 6, 1, 0, 0]) == "168"
    assert Addition(format="padded").render([0, 0]) == "0"
    for tokens, message in (
        ([eos], "is empty"),
        ([], "is empty"),
        ([1, TASK.vocabulary.equals, 2], "'='"),
        ([1, pad], "'_'"),
        ([1, 0, eos], "leading zero"),
    ):
        with pytest.raises(ValueError, match=message):
            TASK.render(tokens)


@pytest.mark.parametrize("base", [2, 7, 10, 128])
def test_from_ints(base: int) -> None:
    values = [0, 1, base - 1, base, base**8 - 1, base**8, base**16, base**16 - 1, base**37 + 5]
    operands = Operands.from_ints([(v, 0) for v in values], base=base)
    assert len(operands) == len(values)
    for i, number in enumerate(values):
        total = 0
        for digit in operands.operand(i, 0).tolist():
            assert digit < base
            total = total * base + digit
        assert total == number
        assert operands.operand(i, 0).size == 1 or operands.operand(i, 0)[0] != 0
    with pytest.raises(ValueError, match="non-negative, got -3"):
        Operands.from_ints([(1, -3)])


def test_operands_check_their_shape() -> None:
    operands = Operands.from_text([("12", "3"), ("04", "56")])
    assert operands.digits.tolist() == [1, 2, 3, 4, 5, 6]
    assert operands.offsets.tolist() == [0, 2, 3, 4, 6]
    assert [d.tolist() for d in operands.problem(1)] == [[4], [5, 6]]
    assert operands.select([1, 0, 1]).offsets.tolist() == [0, 1, 3, 5, 6, 7, 9]
    with pytest.raises(IndexError):
        operands.operand(2, 0)
    for digits, offsets in (([1], [0, 1]), ([1, 2], [0, 1, 3]), ([1, 2], [0, 2, 1])):
        with pytest.raises(ValueError, match="offsets"):
            Operands(np.array(digits, np.uint8), np.array(offsets))
    with pytest.raises(ValueError, match="expected 2 operands, got 3"):
        Operands.from_ints([(1, 2, 3)])
    with pytest.raises(ValueError, match="at least one problem"):
        TASK.answer(Operands.from_ints([]))


def test_vocabulary_numbers_tokens_as_documented() -> None:
    v = DigitVocabulary()
    assert (v.pad, v.bos, v.eos, v.equals, v.id("+"), v.size) == (10, 11, 12, 13, 14, 15)
    assert v.text([11, 1, 2, 14, 3, 13, 5, 1, 12, 10]) == "^12+3=51$_"
    assert DigitVocabulary(40, ("+", "*")).text([39, 9, 10, 45]) == "<39>9a*"
    with pytest.raises(ValueError, match=r"tokens are 0\.\.14, got 15"):
        v.text([15])
    with pytest.raises(ValueError, match="expected one of the tokens"):
        v.id("*")
    for base, symbols in ((1, ("+",)), (129, ("+",)), (10, ("+", "+")), (10, ("ab",)), (10, ("="))):
        with pytest.raises(ValueError, match=r"(base|symbols) must be"):
            DigitVocabulary(base, tuple(symbols))


def test_tasks_are_values() -> None:
    task = Addition(16, "padded", True)
    data = json.loads(json.dumps(task_to_dict(task)))
    assert data.pop("task") == "addition"
    assert Addition(**data) == task == pickle.loads(pickle.dumps(task))
    assert len({task, Addition(), Addition(16, "padded", True)}) == 2
    with pytest.raises(ValueError, match="format must be"):
        Addition(format="reversed")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="base must be"):
        Addition(base=1)
