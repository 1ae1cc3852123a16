from typing import Any

import numpy as np
import numpy.typing as npt

# Data

NO_ID: int
IGNORE: int
MAX_BASE: int

_Bytes = npt.NDArray[np.uint8]
_Ints = npt.NDArray[np.int32]
_Longs = npt.NDArray[np.int64]

_Draws = tuple[int, int, int, bool]  # seed, stream, step, whether starts are random

class Runs:
    def __init__(
        self, runs: _Longs, offsets: _Longs, facts: _Longs, draws: _Draws | None = None
    ) -> None: ...
    def __len__(self) -> int: ...
    def arrays(self) -> tuple[_Longs, _Longs, _Longs, _Draws]: ...

class Coupling:
    def __init__(self, key: _Longs, query: _Longs, settings: _Longs) -> None: ...
    def ids(self, runs: Runs, columns: int, ahead: int, threads: int) -> tuple[_Ints, _Ints]: ...

def philox(counter: list[int], key0: int, key1: int) -> list[int]: ...

# arity, seed, split, step, lengths, distribution, chain, pool
_Where = tuple[int, int, str, int, tuple[int, int], str, tuple[int, int] | None, int]

class ColumnPass:
    def __init__(
        self,
        *,
        start: _Longs,
        next: _Longs,
        emitted: _Bytes,
        flush: _Bytes,
        end: _Bytes,
        end_apart: bool,
    ) -> None: ...

def column_task(
    *,
    base: int,
    control: int,
    arity: int,
    strings: bool,
    last_digit: bool,
    related: bool,
    from_left: bool,
    padded: bool,
    reversed: bool,
    limit: int,
    separators: _Bytes,
    passes: list[ColumnPass],
) -> Task: ...

class ScratchpadPass:
    def __init__(
        self,
        *,
        single: bool,
        reads: list[int],
        changes: tuple[int, int] | None,
        last: list[int],
        start: _Longs,
        next: _Longs,
        tokens: _Bytes,
    ) -> None: ...

def scratchpad_task(
    *,
    base: int,
    segments: int,
    tracks: list[tuple[int | None, bool, int, bool]],
    passes: list[ScratchpadPass],
    runs: list[_Longs],
    tail: list[tuple[int, int | None, list[int], int, int]],
    turns: int | None,
    columns: int | None,
    repeat: int,
    divides: bool,
    separator: int,
) -> Task: ...

class Task:
    def sample(
        self, where: _Where, size: int, threads: int
    ) -> tuple[_Bytes, _Bytes, Runs, int]: ...
    def operands(self, where: _Where, size: int, threads: int) -> tuple[_Bytes, _Longs]: ...
    def instances(
        self,
        arity: int,
        digits: _Bytes,
        offsets: _Longs,
        *,
        max_length: int | None,
        solved: bool,
        threads: int,
    ) -> tuple[_Bytes, _Bytes, Runs, int]: ...
    def answers(self, arity: int, digits: _Bytes, offsets: _Longs) -> list[_Bytes]: ...
    def test_split(self, arity: int, digits: _Bytes, offsets: _Longs) -> npt.NDArray[np.bool_]: ...
    def sizes(self, lengths: _Longs) -> tuple[_Longs, _Longs]: ...

# Local contexts

_Windows = list[tuple[int, int]]

class ContextCollector:
    def __init__(self, levels: int, windows: _Windows, sinks: int = 0) -> None: ...
    def add(
        self,
        tokens: _Bytes,
        query_ids: _Ints,
        key_ids: _Ints,
        targets: _Bytes,
        first_instance: int = 0,
    ) -> None: ...
    def contexts(self) -> dict[str, npt.NDArray[Any]]: ...
    def conflicts(self) -> list[tuple[int, int, int, int, int, int]]: ...
    def missing(self, other: ContextCollector) -> int: ...
    @property
    def queries(self) -> int: ...
    def __len__(self) -> int: ...

class ContextTable:
    def __init__(self, windows: _Windows, sinks: int = 0) -> None: ...
    def insert(
        self,
        query_token: _Bytes,
        offsets: _Longs,
        level: _Bytes,
        difference: _Ints,
        token: _Bytes,
        next_token: _Bytes,
    ) -> None: ...
    def __len__(self) -> int: ...

class MemoDecoder:
    def __init__(
        self,
        table: ContextTable,
        tokens: _Bytes,
        query_ids: _Ints,
        key_ids: _Ints,
        start: int,
        eos: int,
        threads: int = 0,
    ) -> None: ...
    def run(
        self, threads: int = 0
    ) -> tuple[npt.NDArray[np.bool_], dict[str, npt.NDArray[Any]]]: ...
    @property
    def columns(self) -> _Longs: ...

def cover(
    transitions: _Ints,
    labels: list[int],
    start: int,
    accepting: list[bool],
    past: int,
    future: int,
    max_edges: int = 20_000_000,
) -> tuple[_Ints, _Longs, int, int]: ...

# Attention

_Floats = npt.NDArray[np.float32]

def windowed_attention(
    *,
    query: _Floats,
    key: _Floats,
    value: _Floats,
    out: _Floats,
    query_ids: _Ints,
    key_ids: _Ints,
    head_levels: list[int],
    windows: list[tuple[int, int]],
    bias: _Floats | None,
    scale: _Floats,
    log_scale: bool,
    sinks: int,
    causal: bool,
    query_start: int,
    prefix: _Ints | None,
    documents: _Ints | None,
    threads: int,
) -> None: ...
def exp_nonpositive(values: _Floats) -> _Floats: ...
def attention_builds() -> list[str]: ...
def use_attention_build(name: str) -> None: ...

# The search for couplings

_Sums = npt.NDArray[np.uint64]

def token_code(token: int) -> int: ...
def lookups(
    tokens: _Bytes,
    query_places: _Ints,
    key_places: _Ints,
    targets: _Bytes,
    relations: _Longs,
    low: int,
    high: int,
    threads: int,
) -> tuple[_Sums, _Ints]: ...
def score_candidates(
    lookups: _Sums,
    start: _Sums,
    targets: _Bytes,
    symbols: int,
    offsets: _Longs,
    rows: _Longs,
    factors: _Sums,
    *,
    alpha: float,
    most_bits: float,
    most_conflicts: int,
    threads: int,
) -> tuple[_Longs, _Longs, npt.NDArray[np.float64], npt.NDArray[np.bool_]]: ...
