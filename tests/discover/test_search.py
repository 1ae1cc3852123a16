"""What is found: planted couplings, the smallest of a small space, and never a conflict."""

from dataclasses import replace
from itertools import product

import numpy as np
import pytest

from arithtf.certify.contexts import collect
from arithtf.discover import growth, space
from arithtf.discover.examples import PLACES
from arithtf.discover.growth import Growth
from arithtf.discover.refine import joins, refined
from arithtf.discover.scoring import Scorer
from arithtf.discover.search import Search
from arithtf.discover.search import drawn as draw_task
from arithtf.discover.space import log_tables, lookups, relations, slopes
from arithtf.discover.tables import Form, Table, one_lookup, tidied, to_coupling
from arithtf.tasks import (
    Address,
    Batch,
    Copy,
    Coupling,
    Draw,
    Increment,
    Level,
    Multiplication,
    Place,
    Reverse,
)

CONSTANT = (0,) * len(PLACES)
LEFT = tuple(int(name == "left") for name in PLACES)
RIGHT = tuple(int(name == "right") for name in PLACES)


def forms(coupling, windows):
    """A coupling as plain values, for comparison: levels of (key, query, window)."""
    return {
        (tuple(sorted(level.key.items(), key=str)), tuple(level.query.items()), window)
        for level, window in zip(coupling.levels, windows, strict=True)
    }


@pytest.mark.parametrize(
    ("answer", "planted"),
    [
        # Digit j of the answer needs a from the left and b from the right.
        (
            lambda a, b: [(x + y) % 10 for x, y in zip(a, b[::-1], strict=True)],
            {"a": Place(left=1), "b": Place(right=1)},
        ),
        # Digit j is the sum of a's digit j and b's digit after it, the last one a's alone.
        (
            lambda a, b: [(x + y) % 10 for x, y in zip(a, [*b[1:], 0], strict=True)],
            {"a": Place(left=1), "b": Place(left=1, offset=-1)},
        ),
    ],
)
def test_a_planted_coupling_is_found(drawn, answer, planted):
    search = Search(*drawn(answer))
    found = next(search.results())
    assert found.conflicts == 0
    assert found.saturates
    # The sum of two digits is symmetric: one level shows both at one place.
    assert forms(*search.coupling(found.tables)) == {
        (tuple(planted.items()), (("answer", Place(left=1)),), (0, 0))
    }


def test_nothing_is_accepted_where_every_table_conflicts(drawn, monkeypatch):
    """Answers that are no function of the operands: no table is free of conflicts."""
    monkeypatch.setattr("arithtf.discover.search.GENERATIONS", 2)
    rng = np.random.default_rng(0)
    search = Search(*drawn(lambda a, b: rng.integers(0, 2, len(a)).tolist(), base=2))
    assert list(search.results()) == []
    best = search.best()
    assert best.conflicts > 0


def test_conflicts_of_longer_problems_count(drawn):
    """Short answers copy a, longer ones copy b: what short examples suggest is not accepted."""
    search = Search(*drawn(lambda a, b: a if len(a) < 6 else b))
    for found in search.results():
        assert found.conflicts == 0
        scores = Scorer(search.short.joined(search.longer)).score([found.tables])
        assert scores.conflicts[0] == 0
        break
    copied = tidied(one_lookup(*lookup) for lookup in [space.Lookup(_relation(1, LEFT), 0)])
    assert Scorer(search.short).score([copied]).conflicts[0] == 0
    assert Scorer(search.short.joined(search.longer)).score([copied]).conflicts[0] > 0


def _relation(segment, key):
    from arithtf.discover.tables import Relation

    return Relation(4, segment, key, LEFT)


def with_end(examples):
    """The same examples with EOS in a segment of its own."""
    last = len(examples.segments)
    key, query = examples.key_places.copy(), examples.query_places.copy()
    for places, tokens in ((key, examples.tokens), (query, examples.targets)):
        places[:, 0][tokens == 12] = last
        places[:, 1 + PLACES.index("left")][tokens == 12] = 0
    return replace(
        examples,
        segments=(*examples.segments, "end"),
        written=("answer", "end"),
        key_places=key,
        query_places=query,
    )


def test_segments_are_told_apart(drawn):
    """In each segment the query token decides, but after a 7 comes a 7 in one, EOS in the other."""
    search = Search(*map(with_end, drawn(lambda a, b: [7, 7])))
    found = next(search.results())
    assert found.conflicts == 0
    assert found.contexts == 3
    (table,) = found.tables
    assert len(table.query) == 1
    for name in ("answer", "end"):
        own = Scorer(search.short.only(search.short.segments.index(name)))
        assert own.score([()]).conflicts[0] == 0
    assert Scorer(search.short).score([()]).conflicts[0] == 1


def test_refused_couplings_are_passed_over(drawn):
    """Both operands on one level is the smallest table of a sum; refused, they stay apart."""
    asked = []

    def refuse(coupling, windows):
        asked.append(max(len(level.key) for level in coupling.levels))
        return "one segment a level, please" if asked[-1] > 1 else None

    def answer(a, b):
        return [(x + y) % 10 for x, y in zip(a, b, strict=True)]

    search = Search(*drawn(answer), refuse=refuse)
    found = next(search.results())
    assert max(asked) > 1
    assert [len(table.key) for table in found.tables] == [1, 1]
    assert found.conflicts == 0


def brute_force(task, radius):
    """Fewest contexts of all one-level tables of a small space, by the collector on real ids."""
    made = task.sample(Address(0, "train", 0), Draw((1, 4), 150))
    choices = [None] + [
        Place(**place, offset=offset)
        for place in ({}, {"left": 1}, {"left": -1}, {"right": 1}, {"right": -1})
        for offset in range(-radius, radius + 1)
    ]
    best = None
    for a, query in product(choices[1:], (Place(), Place(left=1))):
        coupling = Coupling("tried", (Level(name="x", key={"a": a}, query={"answer": query}),))
        batch = Batch.of(made, coupling)
        for low, high in ((-1, -1), (-1, 0), (0, 0), (0, 1), (1, 1), (-1, 1)):
            collector = collect([batch], [(-low, high)], sinks=1)
            if not collector.conflicts() and (best is None or len(collector) < best):
                best = len(collector)
    return best


@pytest.mark.parametrize("task", [Copy(2), Reverse(2), Increment(2)], ids=lambda t: t.name)
def test_the_fewest_contexts_of_a_small_space(task):
    """Every one-level table on the operand, tried out, has no fewer contexts than what is found."""
    search = Search(*draw_task(task, 0))
    found = next(search.results())
    coupling, windows = search.coupling(found.tables)
    batch = Batch.of(task.sample(Address(0, "train", 0), Draw((1, 4), 150)), coupling)
    collector = collect([batch], list(windows), sinks=1)
    assert collector.conflicts() == []
    assert len(collector) <= brute_force(task, 1)


def test_pairs_are_all_tried(drawn):
    """A sum of two digits: neither digit alone tells anything, and the pair is found at once."""
    short, longer, _ = drawn(lambda a, b: [(x + y) % 10 for x, y in zip(a, b, strict=True)])
    totals = {}
    grown = Growth(short, longer, 4, lambda what, done, total: totals.update({what: total}))
    grown.step()
    count = len(grown.lookups)
    assert totals["answer: pairs"] == count * (count - 1) // 2
    assert grown.solved
    assert grown.tried >= totals["answer: pairs"]


def test_lookups_are_bounded_and_different(drawn):
    short, longer, _ = drawn(lambda a, b: a)
    kept, looked = lookups(short, longer, 4)
    assert looked > 5 * len(kept)
    table = [(4, s.relation.key_segment, *s.relation.key, *s.relation.query) for s in kept]
    rows = []
    for relation, lookup in zip(table, kept, strict=True):
        array = np.array([relation])
        sums, most = short.lookups(array, lookup.value, lookup.value)
        _, most_longer = longer.lookups(array, lookup.value, lookup.value)
        assert 0 < most[0, 0] <= 2
        assert most_longer[0, 0] <= most[0, 0]
        rows.append(sums[0, 0].tobytes())
    assert len(set(rows)) == len(rows)


def test_forms_never_count_an_answer_from_the_right(drawn):
    short, _, _ = drawn(lambda a, b: a)
    right = short.places.index("right")
    for relation in relations(short, 4):
        assert relation.query[right] == 0
        assert relation.key_segment != 4 or relation.key[right] == 0
    assert any(slope[right] for slope in slopes(short, 1, asking=False))
    assert log_tables(short, 2) > log_tables(short, 1) > 5


def test_refining_keeps_what_is_needed(drawn):
    short, _, _ = drawn(lambda a, b: [(x + y) % 10 for x, y in zip(a, b, strict=True)])
    wide = (
        Table((Form(4, LEFT, 0),), (Form(1, LEFT, 0),), -1, 1),
        Table((Form(4, LEFT, 0),), (Form(2, LEFT, 0),), 0, 0),
        Table((Form(4, CONSTANT, 0),), (Form(3, CONSTANT, 0),), 0, 0),
    )
    scorer = Scorer(short)
    assert scorer.score([wide]).conflicts[0] == 0
    both = Table((Form(4, LEFT, 0),), (Form(1, LEFT, 0), Form(2, LEFT, 0)), 0, 0)
    assert refined(scorer, wide) == (both,)
    # Where that is not to be used, the operands stay apart.
    apart = refined(scorer, wide, lambda tables: tables != (both,))
    assert apart != (both,)
    assert scorer.score([apart]).conflicts[0] == 0


def test_joined_levels_can_stay_apart():
    """On even and odd ids one level shows what two showed."""
    one = Table((Form(4, LEFT, 0),), (Form(1, LEFT, 0),), -1, 0)
    two = Table((Form(4, LEFT, 0),), (Form(2, RIGHT, 0),), -1, 0)
    terms = {(relation, value) for t in (one, two) for relation, value, _ in t.terms()}
    kept = [t for t in joins(one, two) if {(r, v) for r, v, _ in t.terms()} == terms]
    apart = [t for t in kept if len({d for *_, d in t.terms()}) == len(terms)]
    assert apart


def test_tidied_tables_show_the_same(drawn):
    short, _, _ = drawn(lambda a, b: a)
    table = Table((Form(4, LEFT, 3),), (Form(1, LEFT, 8), Form(2, RIGHT, 8)), 4, 5)
    (tidy,) = tidied((table,))
    assert tidy.low <= 0 <= tidy.high
    assert tidy.query[0].offset == 0
    scores = Scorer(short).score([(table,), (tidy,)])
    assert scores.contexts[0] == scores.contexts[1]
    assert scores.bits[0] == scores.bits[1]
    coupling, windows = to_coupling((tidy,), short)
    assert windows == ((-tidy.low, tidy.high),)
    assert Coupling.from_dict(coupling.to_dict()) == coupling


def test_the_beam_is_no_longer_than_it_may_be(drawn):
    short, longer, _ = drawn(lambda a, b: [x * y % 10 for x, y in zip(a, b[::-1], strict=True)])
    grown = Growth(short, longer, 4, lambda *_: None)
    grown.step()
    assert 0 < len(grown.beam) <= growth.BEAM
    scores = grown.fine.score(grown.beam)
    assert (scores.conflicts > 0).all()
    assert (np.diff(scores.bits) >= 0).all()
    assert grown.fine.score([tables for *_, tables in grown.solved]).conflicts.max() == 0


def test_a_solution_refused_for_what_it_does_not_need_is_made_smaller():
    """Growth comes to the solution with a level that only it needed on its way."""
    short, longer, fresh = draw_task(Copy(), 0)
    answer, a = short.segments.index("answer"), short.segments.index("a")
    needed, more = (
        Table((Form(answer, LEFT, 0),), (Form(a, LEFT, offset),), 0, 0) for offset in (0, 1)
    )
    refusals = []

    def refuse(coupling, windows):
        refusals.append(len(coupling.levels))
        return "too much" if len(coupling.levels) > 1 else None

    search = Search(short, longer, fresh, refuse=refuse)
    growing = Growth(short, longer, answer, lambda what, done, total: None)
    growing.solved = [(130, 40, (needed, more))]
    assert search._usable(growing, 1) == [(needed,)]
    growing.solved.append((140, 30, (needed,)))  # as it stands, so it comes first
    assert search._usable(growing, 2) == [(needed,)]
    assert refusals == [2, 1]


def test_on_a_sheet_rows_and_columns_are_preferred_to_places_in_the_text():
    short, _, _ = draw_task(Multiplication(2), 0)
    index = short.places.index("index")

    def by_index(relation):
        return bool(relation.query[index] or relation.key[index])

    found = [by_index(r) for r in relations(short, short.segments.index("carry"))]
    assert 0 < sum(found) < len(found)
    assert found == sorted(found)
    short, _, _ = draw_task(Copy(), 0)
    found = [by_index(r) for r in relations(short, short.segments.index("answer"))]
    assert found != sorted(found)
