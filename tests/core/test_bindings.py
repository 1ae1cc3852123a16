"""What enters the core is checked: each kind of wrong argument is refused in words."""

import subprocess
import sys
from pathlib import Path

import fuzz_tasks
import numpy as np
import pytest

from arithtf import _core
from arithtf.tasks import Addition, Division

FUZZ = Path(__file__).with_name("fuzz_bindings.py")
BIG = 2**63 - 1


def attend(**change):
    """The core's attention of two queries and four keys on one level; returns what was written."""
    rng = np.random.default_rng(0)
    query, out = rng.standard_normal((2, 1, 1, 2, 8)).astype(np.float32)
    key, value = rng.standard_normal((2, 1, 1, 4, 8)).astype(np.float32)
    ids = np.arange(4, dtype=np.int32)[None, None]
    arguments = {
        "query": query,
        "key": key,
        "value": value,
        "out": out,
        "query_ids": ids[..., 2:].copy(),
        "key_ids": ids,
        "head_levels": [0],
        "windows": [(1, 0)],
        "bias": None,
        "scale": np.ones(1, np.float32),
        "log_scale": False,
        "sinks": 0,
        "causal": True,
        "query_start": 2,
        "prefix": None,
        "documents": None,
        "threads": 1,
    } | change
    _core.windowed_attention(**arguments)
    return arguments["out"]


def shifted(array):
    """The same numbers at addresses between those of numbers."""
    raw = np.zeros(array.nbytes + 1, np.uint8)
    made = raw[1:].view(array.dtype).reshape(array.shape)
    made[...] = array
    assert not made.flags.aligned
    return made


FLOATS = np.random.default_rng(1).standard_normal((1, 1, 2, 8)).astype(np.float32)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"query_start": 2**31}, "within the key columns"),
        ({"query_start": BIG}, "within the key columns"),
        ({"query_start": -1}, "within the key columns"),
        ({"sinks": -1}, "sinks in 0.."),
        ({"threads": -1}, "threads must be in 0..1024"),
        ({"threads": 2**31}, "threads must be in 0..1024 .*, got 2147483648"),
        ({"head_levels": []}, "a level per head"),
        ({"head_levels": [2**31]}, "head levels below the number of windows"),
        ({"windows": []}, r"query_ids \[1 or 1, 0, 2\], got shape \[1, 1, 2\]"),
        ({"windows": [(2**31, 0)]}, r"windows \(back, ahead\)"),
        ({"windows": [(0, -1)]}, r"windows \(back, ahead\)"),
        ({"scale": np.ones(2, np.float32)}, r"scale of shape \[1\], got shape \[2\]"),
        ({"bias": np.ones((1, 4), np.float32)}, r"bias \[1, 2 R \+ 1\], contiguous, got shape"),
        ({"prefix": np.ones(2, np.int32)}, r"prefix of shape \[1\], got shape \[2\]"),
        ({"documents": np.ones((1, 3), np.int32)}, r"documents \[1 or 1, 4\], got shape \[1, 3\]"),
        ({"out": shifted(FLOATS)}, "aligned to its numbers"),
        ({"out": np.broadcast_to(FLOATS, (1, 1, 2, 8))}, "out that can be written"),
        ({"query": FLOATS, "out": FLOATS}, "out with memory of its own, got memory that query has"),
        ({"query": FLOATS[..., ::2]}, "contiguous along its last axis"),
        ({"query": FLOATS[0]}, r"query with 4 axes, got shape \[1, 2, 8\]"),
        ({"key": np.zeros((1, 1, 4, 7), np.float32)}, r"key and value .* got shape \[1, 1, 4, 7\]"),
    ],
)
def test_attention_refuses_what_does_not_fit(change, message):
    with pytest.raises(ValueError, match=message):
        attend(**change)


def test_attention_of_odd_memory_is_that_of_plain_memory():
    right = attend(query=FLOATS.copy())
    np.testing.assert_array_equal(attend(query=shifted(FLOATS)), right)
    # As many sinks as one likes: there are no more than keys.
    np.testing.assert_array_equal(attend(sinks=BIG), attend(sinks=4))
    overlapping = np.lib.stride_tricks.as_strided(
        np.zeros(9, np.float32), (1, 1, 2, 8), (0, 0, 4, 4)
    )
    with pytest.raises(ValueError, match="rows do not overlap"):
        attend(out=overlapping)


def test_attention_of_no_query_takes_no_time():
    shape, some = (2**40, 1, 0, 8), (2**40, 1, 4, 8)
    none = np.zeros(shape, np.float32)
    keys = np.broadcast_to(np.zeros(8, np.float32), some)
    ids = np.zeros((1, 1, 0), np.int32), np.zeros((1, 1, 4), np.int32)
    sizes = {"query": none, "out": none.copy(), "key": keys, "value": keys}
    assert attend(**sizes, query_ids=ids[0], key_ids=ids[1]).shape == shape


def test_exponentials_are_of_numbers_that_are_not_positive():
    found = _core.exp_nonpositive(np.array([0, -1, -100, -np.inf, np.nan], np.float32))
    np.testing.assert_allclose(found, [1, np.exp(-1), 0, 0, np.nan], rtol=1e-6)
    for wrong in (1e-9, 1e30, np.inf):
        with pytest.raises(ValueError, match="values of at most 0, got"):
            _core.exp_nonpositive(np.array([0, wrong], np.float32))
    for name in (None, "baseline\0", "", 3):
        with pytest.raises((ValueError, TypeError)):
            _core.use_attention_build(name)


def test_covers_are_of_windows_that_can_be():
    steps, rest = np.array([[0, 1], [1, 0]], np.int32), ([0, 1], 0, [True, False])
    columns, offsets, edges, ends = _core.cover(steps, *rest, 1, 0)
    # Two states, and a column remembered or none yet, two symbols each; ends are in state 0.
    assert (edges, ends, offsets[-1]) == (10, 3, len(columns))
    for change, message in [
        ((BIG, 0), "past in 0..2147483647, got 9223372036854775807"),
        ((2**31 - 1, 2**31 - 1), "reach is too large"),
        ((1, -1), "future in 0.."),
        ((1, 0, 2**31), "max_edges in 1.."),
    ]:
        with pytest.raises(ValueError, match=message):
            _core.cover(steps, *rest, *change)
    for shape in ((2**32 + 1, 0), (0, 3), (2**40, 0)):
        with pytest.raises(ValueError, match=r"got 0|got 4294967297|got 1099511627776"):
            _core.cover(np.zeros(shape, np.int32), *rest, 1, 0)


def test_instances_are_numbered_within_64_bits():
    collector = _core.ContextCollector(1, [(1, 1)])
    ids, tokens = np.arange(3, dtype=np.int32)[None, None], np.ones((2, 3), np.uint8)
    collector.add(tokens, ids, ids, tokens, 2**62 - 2)
    assert collector.contexts()["instance"].tolist() == [2**62 - 2] * len(collector)
    for first in (-1, 2**62 - 1, BIG):
        with pytest.raises(ValueError, match=r"first_instance in 0..4611686018427387902, got"):
            collector.add(tokens, ids, ids, tokens, first)
    # Instances without columns are none, however many.
    nothing, no_ids = np.zeros((2**40, 0), np.uint8), np.zeros((1, 1, 0), np.int32)
    collector.add(nothing, no_ids, no_ids, nothing)
    assert collector.queries == 6


def test_a_decoder_writes_to_memory_of_its_own():
    table = _core.ContextTable([(0, 0)])
    raw = np.zeros(16, np.uint8)
    ids = raw.view(np.int32)[None, None]
    with pytest.raises(ValueError, match="tokens with memory of its own, got memory that key_ids"):
        _core.MemoDecoder(table, raw[None, :4], ids.copy(), ids, 0, 1)


def test_numbers_of_the_search_stay_within_64_bits():
    tokens, places = np.ones((1, 3), np.uint8), np.zeros((1, 2, 3), np.int32)
    relation = np.array([[0, 0, 1, 1]])
    sums, most = _core.lookups(tokens, places, places, tokens, relation, 0, 0, 1)
    code = _core.token_code(1)
    assert sums.tolist() == [[[0, code, 2 * code % 2**64]]]
    assert most.tolist() == [[2]]
    for table, low, high, message in [
        (relation * 2**40, 0, 0, "factors of places in -1048576..1048576"),
        (relation, -BIG, BIG, "low in "),
        (relation, 0, 2**31 - 1, "high in 0..16777215"),
        (relation, 1, 0, "high in 1.."),
    ]:
        with pytest.raises(ValueError, match=message):
            _core.lookups(tokens, places, places, tokens, table, low, high, 1)
    start, targets = np.ones(2, np.uint64), np.zeros(2, np.uint8)
    terms = np.array([0, 1]), np.array([0]), np.ones(1, np.uint64)
    how = {"alpha": 0.5, "most_bits": 9.0, "most_conflicts": 9, "threads": 1}
    found = _core.score_candidates(start[None], start, targets, 2, *terms, **how)
    assert [x.tolist() for x in found[:2]] == [[1], [0]]
    assert found[2][0] == pytest.approx(1 + np.log2(1.5 / 1.25))
    for symbols, change, message in [
        (0, {}, "symbols in 1..256"),
        (2**62, {}, "symbols in 1..256"),
        (2, {"alpha": float("nan")}, "finite alpha > 0"),
        (2, {"alpha": float("inf")}, "finite alpha > 0"),
        (2, {"most_bits": float("nan")}, "most_bits, got nan"),
    ]:
        with pytest.raises(ValueError, match=message):
            _core.score_candidates(start[None], start, targets, symbols, *terms, **how | change)


def coupled(form, settings=(0, 0, 0, 0, 0)):
    """One level with one form for five segments."""
    table = np.array([[[1, *form]] * 5])
    return _core.Coupling(table, table, np.array([settings]))


def test_ids_whose_terms_overflow_are_refused():
    run, offsets = np.array([[4, 2**20, 1, 0, 1, 1]]), np.array([0, 1])
    near = _core.Runs(run, offsets, np.array([[0, 1, 100, 0]]))
    cell = (0, 0, 0, 0, 0, 0, 3)
    assert coupled(cell).ids(near, 2, 0, 1)[0].tolist() == [[[_core.NO_ID, 300 * 2**20]]]
    with pytest.raises(ValueError, match="at most 8589934592, got 1048576 times 2147483647"):
        _core.Runs(run, offsets, np.array([[0, 1, 2**31 - 1, 0]]))
    with pytest.raises(ValueError, match="does not fit into 32 bits"):
        coupled((0, 0, 0, 0, 0, 0, 2**28)).ids(near, 2, 0, 1)
    for columns, message in [(-1, "columns"), (2**31, "columns in 1..536870911"), (BIG, "columns")]:
        with pytest.raises(ValueError, match=message):
            coupled(cell).ids(near, columns, 0, 1)
    empty = _core.Runs(
        np.zeros((0, 6), np.int64), np.zeros(1, np.int64), np.zeros((0, 4), np.int64)
    )
    assert coupled(cell).ids(empty, 1, 0, 1)[0].shape == (0, 1, 1)
    with pytest.raises(ValueError, match=r"columns in 1.*got 0"):
        coupled(cell).ids(empty, 0, 0, 1)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"size": BIG}, "memory|as many"),
        ({"size": 2**31 - 1}, "memory"),
        ({"size": 0}, "at least one instance, got size 0"),
        ({"lengths": (1, BIG)}, "more tokens than 32-bit ids can number"),
        ({"lengths": (1, 2**30)}, "more tokens than 32-bit ids can number"),
        ({"arity": -(2**63)}, "expected 2 operands, got -9223372036854775808"),
        ({"split": "x" * 1000}, r"split must be one of train, test, all, got 'x{40}\.\.\.'"),
        ({"split": "\x80"}, r"got '\?\?'"),
        ({"threads": 2**40}, "threads must be in 0..1024"),
    ],
)
def test_draws_that_cannot_be_are_refused(change, message):
    core = Addition().core
    at = {"arity": 2, "seed": 0, "split": "all", "step": 0, "lengths": (1, 3), "kind": "uniform"}
    at |= {"chain": None, "pool": 0}
    how = {"size": 2, "threads": 1}
    for name, value in change.items():
        (how if name in how else at)[name] = value
    for draw in (core.sample, core.operands):
        with pytest.raises((ValueError, MemoryError), match=message):
            draw(tuple(at.values()), **how)


def test_problems_that_cannot_be_are_refused():
    core, division = Addition().core, Division(10).core
    given = (2, np.array([1, 2], np.uint8), np.array([0, 1, 2]))
    assert [a.tolist() for a in core.answers(*given)] == [[3]]
    for most in (0, -1, BIG, 2**31):
        with pytest.raises(ValueError, match=r"max_length in 1|more tokens than 32-bit ids"):
            core.instances(*given, max_length=most, solved=True, threads=1)
    for offsets in ([], [0], [0, 1, 3], [1, 0, 2], [-1, 1, 2], [0, 0, 2]):
        with pytest.raises(ValueError, match=r"operands must be|has no digits"):
            core.answers(*given[:2], np.array(offsets, np.int64))
    for lengths in ([[2**41, 1]], [[0, 1]], [], [[]], [[1, 2, 3]]):
        with pytest.raises(ValueError, match="expected"):
            core.sizes(np.array(lengths, np.int64))
    with pytest.raises(ValueError, match="more tokens than 64 bits can count"):
        division.sizes(np.array([[2**40, 2**40]]))


def rebuilt(name, **change):
    """The task of given tables, of which some are changed."""
    _, made = fuzz_tasks.known()
    tables = made[name][-1]
    return getattr(_core, name)(**{**tables, **change})


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("column_task", {"base": 2**32 + 10}, "base must be in 2..128, got 4294967306"),
        ("column_task", {"control": 2**32}, "control, .* got 4294967296"),
        ("column_task", {"control": 253}, "control, .* got 253"),
        ("column_task", {"arity": -(2**63)}, "arity in 1..2"),
        ("column_task", {"passes": []}, "at least one pass"),
        ("scratchpad_task", {"base": 2**32 + 10}, "base must be in 2..128, got 4294967306"),
        ("scratchpad_task", {"segments": 4}, "segments of the prompt"),
        ("scratchpad_task", {"segments": 2**40}, "segments of the prompt"),
        ("scratchpad_task", {"turns": -5, "columns": -5}, "first two operands"),
        ("scratchpad_task", {"repeat": 2**62}, "rows with passes"),
        ("scratchpad_task", {"tracks": [(-7, False, 0, False)]}, "tracks of operands"),
        ("scratchpad_task", {"tail": [(5, -7, [0], 12, 0)]}, "segments and tracks of the end"),
        ("scratchpad_task", {"tail": [(5, None, [0], 12, 3)]}, "row of a part of the end in 0..2"),
        ("scratchpad_task", {"runs": []}, "runs of 8 kinds of rows, got 0"),
        ("scratchpad_task", {"runs": [np.zeros((1, 5, 1), np.int64)] * 8}, r"\[runs, 5, 2\]"),
        ("scratchpad_task", {"passes": []}, "rows with passes"),
    ],
)
def test_tables_that_do_not_fit_are_refused(name, change, message):
    assert rebuilt(name) is not None
    with pytest.raises(ValueError, match=message):
        rebuilt(name, **change)


@pytest.mark.parametrize(
    ("field", "value"),
    [((0, 0), 2**40), ((1, 0), 9000), ((2, 0), 2**62), ((3, 1), 5), ((4, 0), 900), ((4, 1), -1)],
)
def test_runs_that_leave_their_row_are_refused(field, value):
    """Segment, stride, first, length, token: each by itself would have ids written out of range."""
    _, made = fuzz_tasks.known()
    runs = [table.copy() for table in made["scratchpad_task"][-1]["runs"]]
    runs[0][(0, *field)] = value
    with pytest.raises(ValueError, match=r"segments of rows|runs of rows|within their row"):
        rebuilt("scratchpad_task", runs=runs)


def test_states_are_those_of_a_pass():
    fuzz_tasks.known()
    kinds = {"next" in t and "emitted" in t: t for _, t in fuzz_tasks.PASSES}
    for column, make in ((True, _core.ColumnPass), (False, _core.ScratchpadPass)):
        tables = kinds[column]
        for state in (-1, 2**32, BIG):
            for name in ("start", "next"):
                wrong = tables[name].copy()
                wrong.flat[0] = state
                with pytest.raises(ValueError, match="expected states in 0.*got " + str(state)):
                    make(**{**tables, name: wrong})
    wide = np.zeros((2**59, 0), np.int64), np.zeros((2**59, 0), np.uint8)
    with pytest.raises(ValueError, match="expected a pass with next and emitted"):
        _core.ColumnPass(**{**kinds[True], "next": wide[0], "emitted": wide[1]})


def test_calls_with_odd_arguments_return_or_are_refused_in_words():
    """A few thousand calls of the fuzz target, in a process of their own."""
    asked = [sys.executable, str(FUZZ), "--calls", "3000", "--seed", "1"]
    done = subprocess.run(asked, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert "3000 calls of 4" in done.stdout
