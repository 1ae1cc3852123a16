"""Decoding by table is the sequential greedy decoding of the function that fills the table."""

import numpy as np
import pytest

from arithtf import _core
from arithtf.certify.contexts import ContextSet, enumerate_contexts
from arithtf.evaluate.decode import decode_by_table
from arithtf.tasks import Addition, Batch, Operands, couplings

EOS = 7


def next_token(context):
    """Some deterministic "model" of local contexts; EOS now and then."""
    query, entries = context
    mixed = query * 31 + sum((5 * lv + 1) * (3 * d + 7) * (t + 1) for lv, d, t in entries)
    return EOS if mixed % 17 == 3 else mixed % 5


def random_batch(naive, rng, spread, shared):
    rows, levels, columns = 5, int(rng.integers(1, 4)), 30
    shape = (1 if shared else rows, levels, columns)
    ids = [rng.integers(0, spread, shape).astype(np.int32) for _ in range(2)]
    if rng.random() < 0.5:  # ids that ascend in the answer, as couplings make them
        ids[1][:, :, 12:] = np.sort(ids[1][:, :, 12:], axis=-1)
    for array in ids:
        array[rng.random(shape) < 0.15] = naive.NO_ID
    tokens = rng.integers(0, 5, (rows, columns)).astype(np.uint8)
    tokens[:, 0] = 9
    tokens[:, 12:] = 8  # PAD where the answer will be
    targets = np.full((rows, columns), naive.IGNORE, np.uint8)
    windows = [(int(b), int(a)) for b, a in rng.integers(0, 3, (levels, 2))]
    return naive.Batch(tokens, *ids, targets, 11), windows


def greedy(naive, batch, windows, sinks):
    """One query after the other, each context from the definition."""
    tokens, finished = batch.tokens.copy(), []
    for row in range(len(tokens)):
        for column in range(batch.start, tokens.shape[1] - 1):
            here = naive.context_at(batch._replace(tokens=tokens), windows, sinks, row, column)
            tokens[row, column + 1] = next_token(here)
            if tokens[row, column + 1] == EOS:
                break
        finished.append(tokens[row, column + 1] == EOS)
    return tokens, finished


@pytest.mark.parametrize("seed", range(40))
@pytest.mark.parametrize("spread", [6, 30, 2**31 - 1])
@pytest.mark.parametrize("threads", [1, 3])
def test_decoding_agrees_with_greedy(naive, seed, spread, threads):
    rng = np.random.default_rng(seed)
    batch, windows = random_batch(naive, rng, spread, shared=seed % 3 == 0)
    expected, finished = greedy(naive, batch, windows, 1)
    asked = []

    def ask(missing):
        contexts = naive.as_set(missing)
        asked.extend(contexts)
        assert len(set(contexts)) == len(contexts)
        return np.array([next_token(c) for c in contexts], np.uint8)

    table = _core.ContextTable(windows, 1)
    blank = batch.tokens.copy()
    assert decode_by_table(table, batch, EOS, ask, threads).tolist() == finished
    np.testing.assert_array_equal(batch.tokens, expected)
    assert len(set(asked)) == len(asked) == len(table)
    again = batch._replace(tokens=blank)  # a full table needs no model
    decode_by_table(table, again, EOS, lambda missing: pytest.fail("asked again"), threads)
    np.testing.assert_array_equal(again.tokens, expected)


def test_a_missing_context_stops_its_instance_and_is_named_once(naive):
    task = Addition()
    coupling, windows = couplings.columns(task), [(1, 0)]
    contexts = enumerate_contexts(task, coupling, windows).contexts
    operands = Operands.from_ints([(12345, 67), (88, 22), (99945, 60), (1, 1)])
    batch = Batch.of(task.instances(operands, solved=False), coupling)
    solved = Batch.of(task.instances(operands), coupling)
    stop = naive.context_at(solved, windows, 1, 0, solved.start + 1)
    keep = np.array([c != stop for c in naive.as_set(contexts)])
    table = _core.ContextTable(windows, 1)

    def insert(chosen):
        for i in np.flatnonzero(chosen):
            part = slice(int(contexts.offsets[i]), int(contexts.offsets[i + 1]))
            table.insert(
                contexts.query_token[i : i + 1],
                np.array([0, part.stop - part.start]),
                *(x[part] for x in (contexts.level, contexts.difference, contexts.token)),
                contexts.target[i : i + 1],
            )

    insert(keep)
    decoder = _core.MemoDecoder(
        table, batch.tokens, batch.query_ids, batch.key_ids, batch.start, task.vocabulary.eos
    )
    finished, arrays = decoder.run()
    assert finished.tolist() == [False, True, True, True]
    missing = ContextSet(**arrays)
    assert naive.as_set(missing) == [stop]
    assert [missing.instance.tolist(), missing.column.tolist()] == [[0], [batch.start + 1]]
    assert missing.count.tolist() == [1]
    assert decoder.columns.tolist()[0] == batch.start + 1
    insert(~keep)
    finished, arrays = decoder.run()
    assert finished.all()
    assert len(arrays["query_token"]) == 0
    written = solved.targets != naive.IGNORE
    np.testing.assert_array_equal(batch.tokens[:, 1:][written[:, :-1]], solved.targets[written])


def test_the_true_answers_of_long_sums_are_decoded():
    task, rng = Addition(), np.random.default_rng(1)
    coupling, windows = couplings.columns(task), [(1, 0)]
    contexts = enumerate_contexts(task, coupling, windows).contexts
    table = _core.ContextTable(windows, 1)
    table.insert(*contexts.key(), contexts.target)
    assert len(table) == len(contexts.target)
    digits = [rng.integers(1, 10, n).astype(np.uint8) for n in (3000, 2000, 1, 2500, 3000, 3000)]
    operands = Operands.from_digits(list(zip(digits[::2], digits[1::2], strict=True)))
    batch = Batch.of(task.instances(operands, solved=False), coupling)
    ended = decode_by_table(table, batch, task.vocabulary.eos, lambda m: pytest.fail("missing"))
    assert ended.all()
    for row, answer in zip(batch.tokens, task.answer(operands), strict=True):
        np.testing.assert_array_equal(row[batch.start + 1 :][: len(answer)], answer)


def test_misuse_is_refused(naive):
    rng = np.random.default_rng(0)
    batch, windows = random_batch(naive, rng, 5, False)
    table = _core.ContextTable(windows, 1)
    arrays = (batch.query_ids, batch.key_ids)
    with pytest.raises(ValueError, match="expected start in"):
        _core.MemoDecoder(table, batch.tokens, *arrays, 30, EOS)
    with pytest.raises(ValueError, match="key_ids: expected shape"):
        _core.MemoDecoder(table, batch.tokens, arrays[0], arrays[1][:, :, 1:], 11, EOS)
    with pytest.raises(TypeError):
        _core.MemoDecoder(table, batch.tokens.astype(np.int64), *arrays, 11, EOS)
    locked = batch.tokens.copy()
    locked.flags.writeable = False
    with pytest.raises(ValueError, match="tokens that can be written"):
        _core.MemoDecoder(table, locked, *arrays, 11, EOS)
    other = batch.tokens.copy()
    other[1, 0] = 3
    with pytest.raises(ValueError, match="tokens of the sinks differ"):
        _core.MemoDecoder(table, other, *arrays, 11, EOS)
    one = (
        np.array([1], np.uint8),
        np.array([0, 1]),
        np.zeros(1, np.uint8),
        np.zeros(1, np.int32),
        np.zeros(1, np.uint8),
    )
    table.insert(*one, np.array([2], np.uint8))
    table.insert(*one, np.array([2], np.uint8))
    assert len(table) == 1
    with pytest.raises(ValueError, match="one table per model"):
        table.insert(*one, np.array([3], np.uint8))
    with pytest.raises(ValueError, match="expected the arrays of a ContextSet"):
        table.insert(*one, np.array([3, 4], np.uint8))
