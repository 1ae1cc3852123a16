"""The collector agrees with the definition of a local context, for any ids, levels and windows."""

import numpy as np
import pytest

from arithtf import _core
from arithtf.certify.contexts import (
    ContextSet,
    collect,
    enumerate_contexts,
    layouts,
    render_context,
)
from arithtf.certify.cover import covering_set
from arithtf.tasks import Addition, Batch, couplings


def random_batch(naive, rng, spread, shared=False):
    rows, levels, columns = 4, int(rng.integers(1, 5)), int(rng.integers(3, 24))
    shape = (1 if shared else rows, levels, columns)
    low = int(rng.integers(-(2**31), 2**31 - spread))
    ids = [(low + rng.integers(0, spread, shape)).astype(np.int32) for _ in range(2)]
    for array in ids:
        array[rng.random(shape) < 0.2] = naive.NO_ID
    tokens = rng.integers(0, 4, (rows, columns)).astype(np.uint8)
    tokens[:, :2] = 9  # the sinks
    targets = rng.integers(0, 3, (rows, columns)).astype(np.uint8)
    targets[rng.random((rows, columns)) < 0.3] = naive.IGNORE
    targets[:, :2] = naive.IGNORE
    windows = [(int(b), int(a)) for b, a in rng.integers(0, 4, (levels, 2))]
    return naive.Batch(tokens, *ids, targets, 0), windows


@pytest.mark.parametrize("seed", range(60))
@pytest.mark.parametrize("spread", [4, 40, 2**32 - 1])
def test_collector_agrees_with_the_definition(naive, seed, spread):
    rng = np.random.default_rng(seed)
    batch, windows = random_batch(naive, rng, spread, shared=seed % 3 == 0)
    if seed % 5 == 0:
        windows[0] = (2**31 - 1, 2**31 - 1)
    sinks = int(rng.integers(0, 3))
    expected = naive.contexts(batch, windows, sinks)
    collector = _core.ContextCollector(len(windows), windows, sinks)
    half = len(batch.tokens) // 2
    for part, first in ((slice(None, half), 0), (slice(half, None), half)):
        ids = [x if len(x) == 1 else x[part] for x in (batch.query_ids, batch.key_ids)]
        collector.add(batch.tokens[part], *ids, batch.targets[part], first)
    found = ContextSet(**collector.contexts())
    assert naive.as_set(found) == list(expected)
    places = list(expected.values())
    assert list(zip(found.instance, found.column, found.target, strict=True)) == [
        p[0] for p in places
    ]
    assert found.count.tolist() == [len(p) for p in places]
    assert len(collector) == len(expected)
    assert collector.queries == sum(map(len, places))
    clashes = []
    for p in places:
        clashes += [(*p[0], *q) for q in p if q[2] != p[0][2]][:1]
    assert sorted(collector.conflicts()) == sorted(clashes)


def test_missing_counts_contexts_of_the_other(naive):
    levels = naive.aligned()
    small = collect([naive.layout([(1, 2)], levels)], [(1, 0)], 1)
    large = collect([naive.layout([(1, 2), (15, 27), (5, 5)], levels)], [(1, 0)], 1)
    assert large.missing(small) == 0
    assert small.missing(large) == len(large) - len(small) > 0


def test_many_contexts_survive_the_growth_of_the_table(naive):
    rng = np.random.default_rng(0)
    columns = 40_000
    tokens = rng.integers(0, 10, (1, columns)).astype(np.uint8)
    ids = np.arange(columns, dtype=np.int32)[None, None]
    targets = np.roll(tokens, -1, axis=1)
    collector = _core.ContextCollector(1, [(3, 0)], 0)
    collector.add(tokens, ids, ids, targets, 0)
    expected = {tuple(tokens[0, max(i - 3, 0) : i + 1].tolist()) for i in range(columns)}
    assert len(collector) == len(expected)
    assert collector.contexts()["count"].sum() == columns


def test_sinks_that_differ_are_refused(naive):
    levels = naive.aligned()
    batch = naive.layout([(1, 2), (13, 20)], levels)
    with pytest.raises(ValueError, match="tokens of the sinks differ"):
        collect([batch], [(1, 0)], 2)
    with pytest.raises(ValueError, match="does not see all 30 sinks"):
        collect([batch], [(1, 0)], 30)


def test_misuse_is_refused(naive):
    batch = naive.layout([(1, 2)], naive.aligned())
    for windows, message in [
        ([(1, -2)], "is empty"),
        ([(2**31, 0)], "outside int32"),
        ([], "1 to 16"),
        ([(1, 0)] * 17, "1 to 16"),
    ]:
        with pytest.raises(ValueError, match=message):
            _core.ContextCollector(len(windows), windows, 0)
    with pytest.raises(ValueError, match="one window per level"):
        _core.ContextCollector(2, [(1, 0)], 0)
    with pytest.raises(ValueError, match="sinks >= 0"):
        _core.ContextCollector(1, [(1, 0)], -1)
    with pytest.raises(ValueError, match="query_ids: expected shape"):
        collect([batch._replace(query_ids=batch.query_ids[:, :, 1:])], [(1, 0)], 0)
    with pytest.raises(ValueError, match="targets: expected the shape"):
        collect([batch._replace(targets=batch.targets[:, 1:])], [(1, 0)], 0)


def test_a_context_is_rendered_for_people(naive):
    levels = naive.aligned()
    found = ContextSet(**collect([naive.layout([(17, 5)], levels)], [(1, 0)], 1).contexts())

    class Vocabulary:
        def text(self, tokens):
            return "".join("0123456789_^$=+"[t] for t in tokens)

    texts = [render_context(found, i, levels, Vocabulary()) for i in range(3)]
    assert texts == [
        "after '=': significance +0: 5 7 -> 2",
        "after '2': significance -1: 2 5 7; significance +0: 1 -> 2",
        "after '2': significance -1: 1 2 -> $",
    ]


@pytest.mark.parametrize("task", [Addition(), Addition(format="padded", reverse_operands=True)])
def test_the_task_and_the_tour_agree_with_the_definition(naive, task):
    coupling, windows = couplings.columns(task), [(1, 0)]
    tour = enumerate_contexts(task, coupling, windows)
    operands, contexts, batches = tour.operands, tour.contexts, list(tour.layouts())
    found = naive.as_set(contexts)
    assert tour.conflicts == []
    expected = set().union(*(naive.contexts(b, windows) for b in batches[:1]))
    assert expected <= set(found)
    assert tour.covered(batches) == len(contexts.target)
    some = Batch.of(task.instances(operands.select(range(20))), coupling)
    assert 0 < tour.covered([some]) < len(contexts.target)
    starts = np.concatenate([[b.start] * len(b.tokens) for b in batches])
    for i in np.random.default_rng(3).integers(0, len(found), 20):  # the place is what it says
        instance, column = int(contexts.instance[i]), int(contexts.column[i])
        batch = Batch.of(task.instances(operands.select([instance])), coupling)
        column += batch.start - starts[instance]
        assert naive.context_at(batch, windows, 1, 0, column) == found[i]
        assert batch.targets[0, column] == contexts.target[i]


@pytest.mark.parametrize("task", [Addition(), Addition(format="padded")])
def test_conflicts_of_a_window_too_small_are_real_problems(naive, task):
    coupling, windows = couplings.columns(task), [(0, 0)]
    operands = covering_set(task, coupling, windows)
    conflicts = enumerate_contexts(task, coupling, windows).conflicts
    starts = np.concatenate([[b.start] * len(b.tokens) for b in layouts(task, coupling, operands)])
    assert conflicts
    for conflict in conflicts[:: len(conflicts) // 10]:
        seen = []
        for instance, column, target in (conflict[:3], conflict[3:]):
            batch = Batch.of(task.instances(operands.select([instance])), coupling)
            column += batch.start - starts[instance]
            answer = [*task.answer(operands.select([instance]))[0], task.vocabulary.eos]
            assert answer[column - batch.start] == target
            seen.append((naive.context_at(batch, windows, 1, 0, column), target))
        assert seen[0][0] == seen[1][0]
        assert seen[0][1] != seen[1][1]
