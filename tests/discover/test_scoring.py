"""Lookups and scores against plain loops, and against the collector of real batches."""

from collections import Counter
from math import log2

import numpy as np
import pytest

from arithtf.certify.contexts import collect
from arithtf.discover.examples import PLACES, draw_examples, places_coupling
from arithtf.discover.scoring import ALPHA, Scorer
from arithtf.discover.tables import Form, Table, to_coupling
from arithtf.tasks import IGNORE, Addition, Address, Batch, Draw, Subtraction


def slopes(**factors):
    """Factors of the places by name."""
    return tuple(factors.get(name, 0) for name in PLACES)


def shown(examples, tables):
    """What each query sees, from the definition: a list of (context, target)."""
    found = []
    for row in range(len(examples)):
        for t in np.flatnonzero(examples.targets[row] != IGNORE):
            seen = Counter()
            for level, table in enumerate(tables):
                for query in table.query:
                    if examples.query_places[row, 0, t] != query.segment:
                        continue
                    asks = query.offset + query.slopes @ examples.query_places[row, 1:, t]
                    for column in range(1, t + 1):
                        for key in table.key:
                            if examples.key_places[row, 0, column] != key.segment:
                                continue
                            used = np.array(key.slopes) != 0
                            places = np.where(used, examples.key_places[row, 1:, column], 0)
                            difference = key.offset + np.array(key.slopes) @ places - asks
                            if table.low <= difference <= table.high:
                                token = examples.tokens[row, column]
                                seen[level, int(difference), int(token)] += 1
            context = (int(examples.tokens[row, t]), frozenset(seen.items()))
            found.append((context, int(examples.targets[row, t])))
    return found


def code_length(pairs):
    """The Dirichlet-multinomial code of the targets, one query at a time."""
    symbols = len({target for _, target in pairs})
    seen, bits = Counter(), 0.0
    for context, target in pairs:
        share = (seen[context, target] + ALPHA / symbols) / (seen[context] + ALPHA)
        bits -= log2(share)
        seen[context] += 1
        seen[context, target] += 1
    return bits


def random_tables(rng, examples, count):
    """Tables with any forms, including negative and doubled slopes and several segments."""
    last = len(examples.segments) - 1
    complete = [s for s in range(1, len(examples.segments) - len(examples.written))]
    tables = []
    for _ in range(count):
        key = []
        for segment in sorted(rng.choice(complete, 2, replace=False).tolist()):
            left, right, index = rng.integers(-2, 3, 3).tolist()
            key.append(
                Form(segment, slopes(left=left, right=right, index=index), int(rng.integers(-2, 3)))
            )
        asked = slopes(left=int(rng.integers(-1, 3)), index=int(rng.integers(-1, 2)))
        low = int(rng.integers(-2, 1))
        query = (Form(last, asked, int(rng.integers(-1, 2))),)
        tables.append(Table(query, tuple(key), low, low + int(rng.integers(0, 3))))
    return tuple(tables)


@pytest.mark.parametrize("task", [Addition(), Subtraction()], ids=lambda task: task.name)
def test_scores_are_those_of_the_definition(task):
    examples = draw_examples(task, seed=3, step=0, lengths=(1, 3), queries=250)
    rng = np.random.default_rng(0)
    candidates = [random_tables(rng, examples, count) for count in (1, 1, 1, 2, 2, 3)]
    scores = Scorer(examples).score(candidates)
    assert scores.complete.all()
    for n, tables in enumerate(candidates):
        pairs = shown(examples, tables)
        targets = {}
        for context, target in pairs:
            targets.setdefault(context, set()).add(target)
        assert scores.contexts[n] == len(targets)
        assert scores.conflicts[n] == sum(len(found) > 1 for found in targets.values())
        assert scores.bits[n] == pytest.approx(code_length(pairs))
    assert len(set(scores.contexts.tolist())) > 3


@pytest.mark.parametrize(
    ("left", "right", "offset", "window", "exact"),
    [(1, 1, 0, (1, 0), True), (1, 1, 0, (0, 0), False), (0, 2, -1, (1, 2), False)],
)
def test_scores_are_those_of_the_coupling(left, right, offset, window, exact):
    """What is searched with is what a model sees: the collector agrees, on ids from the core."""
    task = Addition()
    examples = draw_examples(task, seed=5, step=0, lengths=(1, 4), queries=3000)
    key = tuple(Form(segment, slopes(right=right), offset) for segment in (1, 3))
    tables = (Table((Form(5, slopes(left=left), 0),), key, -window[0], window[1]),)
    coupling, windows = to_coupling(tables, examples)
    batch = Batch.of(task.sample(Address(5, "train", 0), Draw((1, 4), len(examples))), coupling)
    assert (batch.tokens == examples.tokens).all()
    collector = collect([batch], windows, sinks=1)
    scores = Scorer(examples).score([tables])
    assert scores.contexts[0] == len(collector)
    assert scores.conflicts[0] == len(collector.conflicts())
    assert exact == (not collector.conflicts())


def test_candidates_are_given_up():
    examples = draw_examples(Addition(), seed=0, step=0, lengths=(1, 4), queries=3000)
    scorer = Scorer(examples)
    whole = scorer.score([()])
    assert whole.complete[0]
    assert not scorer.score([()], most_conflicts=0).complete[0]
    assert not scorer.score([()], most_bits=whole.bits[0] / 2).complete[0]
    assert scorer.score([()], most_bits=whole.bits[0]).complete[0]
    assert scorer.tried == 4


def test_places_say_nothing_of_alignment():
    """The ids that examples are read from are places of single tokens, one a level."""
    task = Addition()
    for level in places_coupling(task.segments).levels[1:]:
        assert all(sum(map(abs, vars(place).values())) == 1 for place in level.key.values())
        assert "answer" not in level.key or level.name != "right"


def test_parts_of_examples(drawn):
    short, longer, _ = drawn(lambda a, b: a)
    assert short.joined(longer).queries == short.queries + longer.queries
    assert len(short.head(100)) < len(short)
    assert short.head(100).queries >= 100
    assert short.only(4).queries == short.queries
    assert short.only(3).queries == 0
    one, both = Scorer(longer), Scorer(short.joined(longer))
    tables = (Table((Form(4, slopes(left=1), 0),), (Form(1, slopes(left=1), 0),), 0, 0),)
    assert one.score([tables]).contexts[0] <= both.score([tables]).contexts[0]
    assert both.score([tables]).conflicts[0] == 0
