"""Examples written down by hand, without a task."""

import numpy as np
import pytest

from arithtf.discover.examples import PLACES, Examples
from arithtf.tasks import IGNORE, NO_ID

SEGMENTS = ("bos", "a", "b", "=", "answer")
COMPLETE = ("bos", "a", "b", "=")
BOS, EQUALS, EOS = 10, 11, 12


def lay_out(problems):
    """Examples of problems (a, b, answer), digits from left to right; EOS ends the answer.

    Every place is written down token by token, so nothing of the core is used.
    """
    rows = []
    for a, b, answer in problems:
        parts = ([BOS], list(a), list(b), [EQUALS], [*answer, EOS])
        row = []
        for number, (segment, part) in enumerate(zip(SEGMENTS, parts, strict=True)):
            for at, token in enumerate(part):
                right = len(part) - 1 - at if segment in COMPLETE else NO_ID
                place = {"left": at, "right": right, "index": len(row)}
                row.append((token, number, *(place.get(name, 0) for name in PLACES)))
        rows.append(row)
    width = max(map(len, rows))
    tokens = np.zeros((len(rows), width), np.uint8)
    targets = np.full((len(rows), width), IGNORE, np.uint8)
    key = np.full((len(rows), 1 + len(PLACES), width), NO_ID, np.int32)
    query = np.full_like(key, NO_ID)
    for i, row in enumerate(rows):
        for t, (token, *places) in enumerate(row):
            tokens[i, t] = token
            key[i, :, t] = places
            if t:
                query[i, :, t - 1] = places
                if SEGMENTS[places[0]] == "answer":
                    targets[i, t - 1] = token
    return Examples(SEGMENTS, ("answer",), PLACES, tokens, targets, query, key)


def draw(count, lengths, seed, answer, base=10):
    """Examples of random strings a and b of equal lengths, with answer(a, b)."""
    rng = np.random.default_rng(seed)
    problems = []
    for _ in range(count):
        size = rng.integers(lengths[0], lengths[1] + 1)
        a, b = rng.integers(0, base, (2, size)).tolist()
        problems.append((a, b, answer(a, b)))
    return lay_out(problems)


@pytest.fixture(scope="session")
def drawn():
    """Call it as drawn(answer, base): short, longer and further short examples."""

    def make(answer, base=10):
        return (
            draw(1200, (1, 5), 0, answer, base),
            draw(500, (6, 12), 1, answer, base),
            draw(1200, (1, 5), 2, answer, base),
        )

    return make
