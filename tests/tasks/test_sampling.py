"""Draws by address: against NumPy's Philox word by word, their statistics, and the split."""

import itertools
from collections import Counter

import numpy as np
import pytest
from addresses import batch_at, operands_at

from arithtf.tasks import (
    PAIRS,
    Addition,
    Address,
    Batch,
    Coupling,
    Draw,
    Level,
    Operands,
    Place,
    couplings,
)

SPLITS = ("train", "test", "all")
WORD = 1 << 64


def words_of(seed: int, stream: int, step: int, sample: int, channel: int = 0):
    generator = np.random.Philox(
        counter=np.array([0, sample, step, channel], np.uint64),
        key=np.array([seed, stream], np.uint64),
    )
    while True:
        yield int(generator.random_raw())


def oracle_number(words, base: int, low: int, high: int) -> list[int]:
    """A uniform operand: one word for length and leading digit, then words of k digits."""
    word = next(words) * (high - low + 1)
    length, word = low + word // WORD, word % WORD
    lowest = 1 if length > 1 else 0
    digits = [lowest + word * (base - lowest) // WORD]
    group = max(k for k in range(1, 40) if base**k <= 2**32)
    while len(digits) < length:
        word = next(words)
        for _ in range(min(group, length - len(digits))):
            digits.append(word * base // WORD)
            word = word * base % WORD
    return digits


def as_lists(operands: Operands) -> list[tuple[list[int], ...]]:
    return [tuple(digits.tolist() for digits in problem) for problem in operands]


@pytest.mark.parametrize("base", [2, 10, 16, 100])
@pytest.mark.parametrize(("low", "high"), [(1, 1), (1, 3), (30, 30), (7, 70)])
def test_uniform_draws_are_those_of_numpy(base: int, low: int, high: int) -> None:
    task = Addition(base)
    drawn = task.operands(Address(9, "all", 4), Draw((low, high), 40))
    for sample, problem in enumerate(as_lists(drawn)):
        words = words_of(9, 2, 4, sample)
        assert problem[0] == oracle_number(words, base, low, high)
        assert problem[1] == oracle_number(words, base, low, high)


@pytest.mark.parametrize("split", ["train", "test"])
def test_splits_are_the_same_draws_until_one_fits(split: str) -> None:
    task = Addition()
    drawn = task.operands(Address(2**64 - 1, split, 1), Draw((1, 12), 60))  # type: ignore[arg-type]
    for sample, problem in enumerate(as_lists(drawn)):
        words = words_of(2**64 - 1, SPLITS.index(split), 1, sample)
        while True:
            pair = (oracle_number(words, 10, 1, 12), oracle_number(words, 10, 1, 12))
            in_test = task.in_test_split(Operands.from_digits([pair]))[0]
            if in_test == (split == "test"):
                break
        assert problem == pair


def chi_square(counts: np.ndarray, expected: np.ndarray) -> float:
    """Distance of counts from expectation in standard deviations of the chi-square law."""
    statistic = ((counts - expected) ** 2 / expected).sum()
    freedom = counts.size - 1
    return float((statistic - freedom) / np.sqrt(2 * freedom))


@pytest.mark.parametrize("base", [3, 10, 128])
def test_digits_and_lengths_are_uniform(base: int) -> None:
    size, low, high = 20000, 1, 11
    operands = Addition(base).operands(Address(5, "all", 0), Draw((low, high), size))
    lengths = np.diff(operands.offsets)
    for position in (0, 1):
        counts = np.bincount(lengths[position::2], minlength=high + 1)[low:]
        assert abs(chi_square(counts, np.full(high, size / high))) < 5
    pairs = np.bincount(lengths[::2] * 16 + lengths[1::2])
    pairs = pairs[pairs > 0]
    assert pairs.size == high * high
    assert abs(chi_square(pairs, np.full(high * high, size / high**2))) < 5
    leading = np.zeros(operands.digits.size, bool)
    leading[operands.offsets[:-1]] = True
    single = np.zeros_like(leading)
    single[operands.offsets[:-1][lengths == 1]] = True
    for mask, lowest in ((~leading, 0), (single, 0), (leading & ~single, 1)):
        counts = np.bincount(operands.digits[mask], minlength=base)
        assert not counts[:lowest].any()
        counts = counts[lowest:]
        assert abs(chi_square(counts, np.full(counts.size, mask.sum() / counts.size))) < 5


def test_neighbouring_digits_are_independent() -> None:
    operands = Addition().operands(Address(1, "all", 0), Draw((40, 40), 4000))
    rows = operands.digits.reshape(-1, 40)[:, 1:]
    for gap in (1, 2, 9, 20):
        pairs = rows[:, :-gap].astype(int) * 10 + rows[:, gap:]
        counts = np.bincount(pairs.ravel(), minlength=100)
        assert abs(chi_square(counts, np.full(100, pairs.size / 100))) < 5


def test_addresses_are_independent() -> None:
    task = Addition()

    def digits(**change: int) -> bytes:
        address = {"seed": 1, "step": 0, **change}
        drawn = operands_at(task, split="all", lengths=(20, 20), size=8, **address)
        return drawn.digits.tobytes()

    seen = [digits(), digits(seed=2), digits(step=1), digits(seed=0), digits(step=2**64 - 1)]
    assert len(set(seen)) == len(seen)
    long = task.operands(Address(1, "all", 0), Draw((20, 20), 16))
    assert long.digits[: 8 * 40].tobytes() == digits()


@pytest.mark.parametrize("threads", [2, 3, 8])
@pytest.mark.parametrize("kind", ["uniform", "alternating"])
def test_bytes_do_not_depend_on_threads(threads: int, kind: str) -> None:
    for task in (Addition(), Addition(16, "padded", True)):
        for coupling in (couplings.columns(task), couplings.randomized(task, 500)):
            address = dict(seed=3, split="all", step=5, lengths=(1, 40), size=37, kind=kind)
            one = batch_at(task, coupling, threads=1, **address)  # type: ignore[arg-type]
            many = batch_at(task, coupling, threads=threads, **address)  # type: ignore[arg-type]
            assert all(a.tobytes() == b.tobytes() for a, b in zip(one[:4], many[:4], strict=True))
            drawn = operands_at(task, threads=1, **address)  # type: ignore[arg-type]
            again = operands_at(task, threads=threads, **address)  # type: ignore[arg-type]
            assert drawn.digits.tobytes() == again.digits.tobytes()
            assert drawn.offsets.tobytes() == again.offsets.tobytes()


@pytest.mark.parametrize("form", ["natural", "padded"])
@pytest.mark.parametrize("kind", PAIRS)
def test_batch_is_the_layout_of_its_operands(form: str, kind: str) -> None:
    task = Addition(10, form)  # type: ignore[arg-type]
    coupling = couplings.columns(task)
    address = dict(seed=8, split="all", step=2, lengths=(3, 24), size=30, kind=kind)
    if kind == "chain":
        address["chain"] = (3, 2)
    batch = batch_at(task, coupling, **address)  # type: ignore[arg-type]
    layout = Batch.of(task.instances(operands_at(task, **address), max_length=24), coupling)  # type: ignore[arg-type]
    assert batch.start == layout.start
    assert all(a.tobytes() == b.tobytes() for a, b in zip(batch[:4], layout[:4], strict=True))


def test_split_of_all_small_pairs() -> None:
    task = Addition()
    pairs = list(itertools.product(range(100), range(100)))
    in_test = task.in_test_split(Operands.from_ints(pairs)).reshape(100, 100)
    np.testing.assert_array_equal(in_test, in_test.T)
    # 5050 unordered pairs at 1/8: 631 +- 23.5.
    assert abs(int(np.triu(in_test).sum()) - 5050 / 8) < 5 * 23.5
    seen: dict[str, set[tuple[int, ...]]] = {}
    for split in ("train", "test"):
        drawn = task.operands(Address(0, split, 0), Draw((1, 2), 800000))  # type: ignore[arg-type]
        tens = np.where(np.diff(drawn.offsets) == 2, drawn.digits[drawn.offsets[:-1]], 0)
        values = np.sort((tens * 10 + drawn.digits[drawn.offsets[1:] - 1]).reshape(-1, 2))
        codes = np.unique(values[:, 0].astype(int) * 100 + values[:, 1]).tolist()
        seen[split] = {divmod(code, 100) for code in codes}
    assert not seen["train"] & seen["test"]
    # Every problem of this small space was met, each in the split the hash says.
    upper = {(a, b) for a, b in pairs if a <= b}
    assert seen["test"] == {p for p in upper if in_test[p]}
    assert seen["train"] == {p for p in upper if not in_test[p]}


@pytest.mark.parametrize("lengths", [(1, 4), (5, 9), (30, 30)])
def test_train_and_test_never_meet(lengths: tuple[int, int]) -> None:
    seen: dict[str, set[frozenset[bytes]]] = {"train": set(), "test": set()}
    for form, split, step in itertools.product(("natural", "padded"), seen, range(3)):
        task = Addition(10, form)  # type: ignore[arg-type]
        drawn = task.operands(Address(step, split, step), Draw(lengths, 4000))  # type: ignore[arg-type]
        assert (task.in_test_split(drawn) == (split == "test")).all()
        seen[split] |= {frozenset(d.tobytes() for d in problem) for problem in drawn}
    assert not seen["train"] & seen["test"]


def test_share_of_test_problems() -> None:
    for base in (2, 10, 128):
        drawn = Addition(base).operands(Address(0, "all", 0), Draw((20, 40), 16000))
        share = Addition(base).in_test_split(drawn).mean()
        assert abs(share - 1 / 8) < 5 * np.sqrt(1 / 8 * 7 / 8 / 16000)


def test_an_empty_split_is_refused() -> None:
    task = Addition(2)
    pairs = Operands.from_ints([(0, 0), (0, 1), (1, 1)], base=2)
    assert not task.in_test_split(pairs).any()
    for threads in (1, 3):
        with pytest.raises(ValueError, match=r"no problem of lengths 1\.\.1 is in split 'test'"):
            task.operands(Address(0, "test", 0), Draw((1, 1), 5), threads=threads)


def started(shared: bool) -> Coupling:
    key = {"answer": Place(left=1)}
    level = Level(name="s", key=key, query={}, start=(1, 5), shared_start=shared)
    return Coupling("started", (level, level))


def starts(task: Addition, coupling: Coupling, split: str, step: int, size: int) -> np.ndarray:
    batch = Batch.of(task.sample(Address(3, split, step), Draw((1, 4), size)), coupling)  # type: ignore[arg-type]
    return batch.key_ids[:, :, batch.start + 1]


def test_starts_are_uniform_in_train_and_lowest_elsewhere() -> None:
    task = Addition()
    drawn = starts(task, started(False), "train", 0, 20000)
    pairs = Counter(map(tuple, drawn.tolist()))
    counts = np.array([pairs[a, b] for a in range(1, 6) for b in range(1, 6)])
    assert counts.sum() == 20000
    assert abs(chi_square(counts, np.full(25, 800))) < 5
    for split in ("test", "all"):
        assert (starts(task, started(False), split, 0, 50) == 1).all()


def test_shared_starts_differ_between_steps_only() -> None:
    task = Addition()
    rows = [starts(task, started(True), "train", step, 9) for step in range(60)]
    assert all((row == row[0]).all() for row in rows)
    assert {int(row[0, 0]) for row in rows} == {1, 2, 3, 4, 5}


@pytest.mark.parametrize("span", [17, 20, 30, 400])
def test_randomized_positions_are_sorted_samples(span: int) -> None:
    task = Addition()
    coupling = couplings.randomized(task, span)
    batch = Batch.of(task.sample(Address(3, "train", 0), Draw((4, 4), 4000)), coupling)
    used = batch.tokens != task.vocabulary.pad
    assert ((batch.key_ids[:, 0] >= 0) == used).all()
    counts = np.bincount(batch.key_ids[:, 0][used], minlength=span)
    assert counts.size == span
    for row, mask in zip(batch.key_ids[:200, 0], used, strict=False):
        assert (np.diff(row[mask]) > 0).all()
    # "=" is the 11th of 17 tokens: the mean of that order statistic of 0..span-1.
    place = batch.key_ids[:, 0, batch.start]
    mean = 11 * (span + 1) / 18 - 1
    spread = np.sqrt(11 * 7 * (span + 1) * (span - 17) / (18**2 * 19) / 4000) if span > 17 else 0
    assert abs(place.mean() - mean) <= 5 * spread
    # What is to come is what is there one token later.
    np.testing.assert_array_equal(
        batch.query_ids[:, 0, batch.start : batch.start + 5],
        batch.key_ids[:, 0, batch.start + 1 : batch.start + 6],
    )


def test_randomized_range_must_hold_an_instance() -> None:
    task = Addition()
    with pytest.raises(ValueError, match="range of at least the 17 tokens"):
        Batch.of(task.sample(Address(0, "all", 0), Draw((4, 4), 1)), couplings.randomized(task, 16))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"lengths": (0, 3)}, "1 <= low <= high, got \\(0, 3\\)"),
        ({"lengths": (4, 3)}, "1 <= low <= high, got \\(4, 3\\)"),
        ({"lengths": ()}, "lengths must be"),
        ({"size": 0}, "at least one instance, got size 0"),
        ({"size": -4}, "at least one instance"),
        ({"kind": "carry"}, "distribution must be one of uniform, chain"),
        ({"split": "dev"}, "split must be one of train, test, all, got 'dev'"),
        ({"kind": "ripple", "split": "train"}, "structured distributions"),
        ({"seed": -1}, "seed and step must be"),
        ({"step": 2**64}, "seed and step must be"),
        ({"threads": -1}, "threads must be"),
        ({"chain": (1, 0)}, "distribution 'chain' only"),
        ({"kind": "chain"}, "needs chain"),
        ({"kind": "chain", "chain": (4, 6)}, "got \\(4, 6\\)"),
        ({"kind": "chain", "chain": (1, -1)}, "place >= 0"),
        ({"kind": "kill", "lengths": (1, 2)}, "at least 3"),
    ],
)
def test_bad_arguments_are_refused(change: dict[str, object], message: str) -> None:
    task = Addition()
    arguments = {"seed": 0, "split": "all", "step": 0, "lengths": (1, 9), "size": 2, **change}
    with pytest.raises(ValueError, match=message):
        batch_at(task, couplings.columns(task), **arguments)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=message):
        operands_at(task, **arguments)  # type: ignore[arg-type]
