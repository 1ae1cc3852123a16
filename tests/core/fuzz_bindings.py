"""A fuzz target for the core's bindings: right calls, changed a little, many times.

    python tests/core/fuzz_bindings.py [--calls N] [--seed S] [--first N] [--verbose]

Every call returns, or raises an error in words: TypeError, ValueError, OverflowError, MemoryError.
Nothing else may come, no call may take long, and under sanitizers none may touch what is not its
own. Call number n of a seed is always the same: `--first n --calls 1` makes it alone.
"""

from __future__ import annotations

import argparse
import faulthandler
import random
import signal
import sys
import time
import traceback
from collections import Counter
from typing import Any

import numpy as np
from fuzz_calls import KINDS
from fuzz_tasks import Call

ALLOWED = (TypeError, ValueError, OverflowError, MemoryError)
WORDLESS = ("std::", "vector::", "basic_string", "bad alloc", "bad_alloc", "cannot create std")
EDGES = (-(2**63), -(2**31), -1, 0, 1, 2, 255, 256, 2**31 - 1, 2**31, 2**32, 2**32 + 1)
EDGES += (2**62, 2**63 - 1, 2**63, 2**64 - 1, 2**64)
REALS = (float("nan"), float("inf"), -float("inf"), 0.0, -1.0, 1e300, 5e-324)
TEXTS = ("", "x" * 1000, "baseline\0", "\udc80", "kill", "all", "Ž")
SECONDS = 60
RETURNED = Counter[str]()


def changed_array(rng: random.Random, array: np.ndarray) -> Any:
    """An array of other numbers, another shape, another place in memory, or no array."""
    number = array.dtype.kind in "iu"
    edge = np.array([rng.choice(EDGES) % 2**64], np.uint64).astype(array.dtype) if number else None

    def values() -> np.ndarray:
        out = array.copy()
        if out.size:
            at = rng.randrange(out.size)
            out.flat[at] = edge[0] if edge is not None else rng.choice(REALS)
        return out

    def misaligned() -> np.ndarray:
        raw = np.zeros(array.nbytes + 1, np.uint8)
        out = raw[1:].view(array.dtype).reshape(array.shape)
        out[...] = array
        return out

    def frozen() -> np.ndarray:
        out = array.copy()
        out.flags.writeable = False
        return out

    axis = rng.randrange(array.ndim) if array.ndim else 0
    empty = [*array.shape]
    if empty:
        empty[axis] = 0
        empty[rng.randrange(len(empty))] = rng.choice([0, 0, 1, 2**40])
    return rng.choice(
        [
            values,
            values,
            values,
            values,
            misaligned,
            frozen,
            lambda: np.zeros(empty if 0 in empty else (0,), array.dtype),
            lambda: array[..., :-1],
            lambda: array[1:],
            lambda: array[..., None],
            lambda: array.T,
            lambda: array[0],
            lambda: array[::-1],
            lambda: np.repeat(array, 2, axis)[::2],
            lambda: np.repeat(array, 2, -1)[..., ::2],
            lambda: np.concatenate([array, array], axis),
            lambda: np.broadcast_to(array[:1], array.shape),
            lambda: array.astype(rng.choice([np.int64, np.int32, np.uint8, np.float64, np.bool_])),
            lambda: array.astype(array.dtype.newbyteorder()),
            lambda: array.astype(object),
            lambda: array.tolist() if max(array.shape, default=0) < 100 else range(2**40),
            lambda: array.reshape(-1),
            lambda: np.array(edge[0] if edge is not None else 1.0, array.dtype),
        ]
    )()


def changed_list(rng: random.Random, values: list[Any]) -> Any:
    """A list of another length, or with something else in it."""
    way = rng.randrange(6)
    if way == 0 or not values:
        return rng.choice([[], [values], [None], "", [0] * 3, range(2**40)])
    at = rng.randrange(len(values))
    if way == 1:
        return values[:at] + values[at + 1 :]
    if way == 2:
        return values * rng.choice([2, 50])
    if way == 3:
        return [*values[:at], None, *values[at + 1 :]]
    return [*values[:at], changed(rng, values[at]), *values[at + 1 :]]


def changed(rng: random.Random, value: Any) -> Any:
    """Something like a value, but perhaps not what is asked for."""
    if isinstance(value, bool):
        return rng.choice([not value, None, 2, "yes"])
    if isinstance(value, int):
        return rng.choice([*EDGES, *EDGES, value + 1, value - 1, float(value), None, "1", [value]])
    if isinstance(value, float):
        return rng.choice([*REALS, None, 2**70, "1"])
    if isinstance(value, str):
        return rng.choice([*TEXTS, None, b"\xff", 1])
    if value is None:
        return rng.choice([*EDGES, (1, 2), np.zeros(1, np.int32), "x"])
    if isinstance(value, np.ndarray):
        try:
            return changed_array(rng, value)
        except (*ALLOWED, IndexError):
            return value.reshape(-1)[:0]
    if isinstance(value, list):
        return changed_list(rng, value)
    if isinstance(value, tuple):
        out = changed_list(rng, list(value))
        return tuple(out) if isinstance(out, list) else out
    if isinstance(value, dict):
        name = rng.choice([*value])
        return {**value, name: changed(rng, value[name])}
    return rng.choice([None, 0, object()])


def same_kind(old: Any, new: Any) -> bool:
    """Whether a caller who has read the types could hand over `new` for `old`."""
    if isinstance(old, dict):
        return isinstance(new, dict) and all(same_kind(old[k], new[k]) for k in old)
    if isinstance(old, np.ndarray):
        return isinstance(new, np.ndarray) and (
            new.dtype == old.dtype
            and new.ndim == old.ndim
            and new.flags.writeable
            and all(s >= 0 for s in new.strides)
            and new.flags.aligned
        )
    if isinstance(old, (list, tuple)):
        return type(new) is type(old) and all(any(same_kind(a, b) for a in old) for b in new)
    return type(new) is type(old)


def mutated(rng: random.Random, call: Call) -> Call:
    """A call with up to three arguments changed, or two of them exchanged."""
    arguments = dict(call.arguments)
    for _ in range(rng.choice([0, 1, 1, 1, 1, 2, 3])):
        name = rng.choice([*arguments])
        if rng.random() < 0.08 and not call.typed:
            other = rng.choice([*arguments])
            arguments[name], arguments[other] = arguments[other], arguments[name]
            continue
        new = changed(rng, arguments[name])
        if not call.typed or same_kind(arguments[name], new):
            arguments[name] = new
    return call._replace(arguments=arguments)


def made(seed: int, number: int) -> Call:
    """Call number `number` of a seed."""
    rng = random.Random(f"{seed} {number}")
    return mutated(rng, rng.choice(KINDS)(rng))


def fault(call: Call) -> str | None:
    """What a call did that no call may do; None: it returned or refused in words."""
    given = dict(call.arguments)
    own = [given.pop("self")] if "self" in given else []
    signal.alarm(SECONDS)
    try:
        call.run(*own, **given)
        RETURNED[call.name] += 1
    except ALLOWED as error:
        text = str(error)
        if not text.strip() or any(word in text for word in WORDLESS):
            return f"an error without words: {error!r}"
    except Exception:
        return traceback.format_exc(limit=-2)
    finally:
        signal.alarm(0)
    return None


def main(arguments: list[str] | None = None) -> int:
    """Make the calls; print what went wrong and how often each was refused."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--calls", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--verbose", action="store_true", help="print each call before it is made")
    options = parser.parse_args(arguments)
    # A call that hangs ends the process, with the line it hangs in.
    np.seterr(all="ignore")  # numbers of other dtypes are meant to be others
    faulthandler.enable()
    faulthandler.register(signal.SIGALRM, chain=True)
    begun, count = time.perf_counter(), Counter[str]()
    faults = 0
    for number in range(options.first, options.first + options.calls):
        call = made(options.seed, number)
        if options.verbose:
            print(number, call.name, call.arguments, flush=True)
        count[call.name] += 1
        if (found := fault(call)) is not None:
            faults += 1
            print(f"call {number}, {call.name}: {found}\n{call.arguments}", flush=True)
        if faults == 20:
            break
        if number % 5000 == 4999:
            print(f"  {number + 1} calls, {time.perf_counter() - begun:.0f} s", flush=True)
    seconds = time.perf_counter() - begun
    if options.verbose:
        for name, made_of in sorted(count.items()):
            print(f"{name}: {RETURNED[name]} of {made_of} returned")
    print(
        f"{count.total()} calls of {len(count)} functions, {RETURNED.total()} returned, "
        f"{seconds:.0f} s, {faults} faults"
    )
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
