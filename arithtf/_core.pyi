import numpy as np
import numpy.typing as npt

# Data

NO_ID: int
IGNORE: int
MAX_BASE: int

_Bytes = npt.NDArray[np.uint8]
_Ints = npt.NDArray[np.int32]
_Longs = npt.NDArray[np.int64]

class Coupling:
    def __init__(self, key: _Longs, query: _Longs, settings: _Longs) -> None: ...

def philox(counter: list[int], key0: int, key1: int) -> list[int]: ...
def addition_batch(
    base: int,
    padded: bool,
    reverse_operands: bool,
    coupling: Coupling,
    *,
    seed: int,
    split: str,
    step: int,
    lengths: tuple[int, int],
    size: int,
    kind: str,
    chain: tuple[int, int] | None,
    threads: int,
) -> tuple[_Bytes, _Ints, _Ints, _Bytes, int]: ...
def addition_operands(
    base: int,
    *,
    seed: int,
    split: str,
    step: int,
    lengths: tuple[int, int],
    size: int,
    kind: str,
    chain: tuple[int, int] | None,
    threads: int,
) -> tuple[_Bytes, _Longs]: ...
def addition_layout(
    base: int,
    padded: bool,
    reverse_operands: bool,
    coupling: Coupling,
    digits: _Bytes,
    offsets: _Longs,
    *,
    width: int | None,
    solved: bool,
    threads: int,
) -> tuple[_Bytes, _Ints, _Ints, _Bytes, int]: ...
def addition_answers(base: int, padded: bool, digits: _Bytes, offsets: _Longs) -> list[_Bytes]: ...
def addition_test_split(base: int, digits: _Bytes, offsets: _Longs) -> npt.NDArray[np.bool_]: ...
