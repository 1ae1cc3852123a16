"""Philox4x64-10 against NumPy's, word by word."""

import numpy as np
import pytest

from arithtf import _core

EDGES = (0, 1, 2**63, 2**64 - 1, 2**32)


def numpy_block(counter: list[int], key: list[int]) -> list[int]:
    # NumPy increments its counter before the first block.
    number = sum(word << (64 * k) for k, word in enumerate(counter))
    before = (number - 1) % 2**256
    words = [(before >> (64 * k)) % 2**64 for k in range(4)]
    generator = np.random.Philox(counter=np.array(words, np.uint64), key=np.array(key, np.uint64))
    return [int(word) for word in generator.random_raw(4)]


def test_random_counters_and_keys_match_numpy() -> None:
    words = np.random.default_rng(7).integers(0, 2**64, (500, 6), dtype=np.uint64).tolist()
    for row in words:
        assert _core.philox(row[:4], row[4], row[5]) == numpy_block(row[:4], row[4:])


@pytest.mark.parametrize("edge", EDGES)
def test_edge_counters_and_keys_match_numpy(edge: int) -> None:
    for position in range(6):
        row = [3, 5, 7, 11, 13, 17]
        row[position] = edge
        assert _core.philox(row[:4], row[4], row[5]) == numpy_block(row[:4], row[4:])
