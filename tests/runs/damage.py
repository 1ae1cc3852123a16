"""Files of a run, damaged in many ways; what of a command's end is a fault."""

import contextlib
import io
import json
import os
import random
import re
import shutil
import signal
import sys
import traceback
import warnings
from pathlib import Path
from typing import NamedTuple

from arithtf.certify.certificate import digest
from arithtf.cli import main

MARKUP = "<script>alert(1)</script>|`a`\n# b"
VALUES = (
    None, True, {}, [], [1], {"a": 1}, "", "x" * 300, MARKUP, "\ud800", "..", "\x1b[31m\0",
    -1, 0, 0.5, -0.0, 1e300, 10**18, 10**30, float("nan"), float("inf"), 10**400, [[]], [None],
)  # fmt: skip
BYTES = {
    "empty": lambda data, rng: b"",
    "cut": lambda data, rng: data[: rng.randrange(len(data))],
    "without its end": lambda data, rng: data[:-1],
    "lengthened": lambda data, rng: data + rng.randbytes(rng.randrange(1, 99)),
    "twice": lambda data, rng: data + data,
    "zeros": lambda data, rng: bytes(len(data)),
    "noise": lambda data, rng: rng.randbytes(len(data)),
    "a bit": lambda data, rng: flipped(data, rng, 1),
    "many bits": lambda data, rng: flipped(data, rng, 40),
    "in UTF-16": lambda data, rng: data.decode("latin-1").encode("utf-16"),
}
TEXTS = (
    b"null", b"{}", b"[]", b"5", b'"text"', b"NaN", b"\xff\xfe", b"[" * 99999, b"{\"a\":" * 99999,
    b"[" * 90 + b"]" * 90, b"[" * 5000 + b"]" * 5000, b"9" * 5000, b"\xef\xbb\xbf{}", b"{}\n{}\n",
)  # fmt: skip
PLACES = ("missing", "a directory", "a broken link", "a link to itself", "a pipe")


PATIENCE = 60
"""Seconds after which a command hangs."""


def _hangs(*_):
    raise AssertionError("the command hangs")


class Damaged(NamedTuple):
    """A way in which a file is damaged: its name, what was done, and the new bytes (or place)."""

    file: str
    what: str
    data: bytes | str


def flipped(data, rng, count):
    """Data with some bits changed."""
    changed = bytearray(data)
    for _ in range(count):
        changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
    return bytes(changed)


def nodes(data, path=()):
    """Where values stand in JSON data."""
    inside = data.items() if isinstance(data, dict) else enumerate(data[:3])
    for key, value in inside if isinstance(data, dict | list) else ():
        yield (*path, key)
        if isinstance(value, dict | list):
            yield from nodes(value, (*path, key))


def edits(data, rng, count):
    """JSON data with a field removed, added, or of another value, `count` times."""
    places = list(nodes(data))
    for number in range(count):
        copy = json.loads(json.dumps(data))
        path = places[number % len(places)]
        inside = copy
        for key in path[:-1]:
            inside = inside[key]
        kind, where = rng.randrange(10), "/".join(map(str, path))
        if kind == 0:
            del inside[path[-1]]
            yield f"no {where}", copy
        elif kind == 1 and isinstance(inside, dict):
            inside["unknown"] = 1
            yield f"a new field beside {where}", copy
        elif kind == 2 and isinstance(inside[path[-1]], list):
            inside[path[-1]] = inside[path[-1]][1:] * rng.choice((1, 2))
            yield f"another length of {where}", copy
        else:
            inside[path[-1]] = value = rng.choice(VALUES)
            yield f"{where} = {str(value)[:30]!r}", copy


def variants(folder, name, rng, count):
    """A file of a folder, damaged in `count` ways or a few more."""
    path = folder / name
    data = path.read_bytes()
    for place in PLACES:
        yield Damaged(name, place, place)
    for what, change in BYTES.items():
        yield Damaged(name, what, change(data, rng))
    if path.suffix not in (".json", ".jsonl", ".1"):
        for _ in range(count - len(BYTES) - len(PLACES)):
            what = rng.choice(list(BYTES))
            yield Damaged(name, what, BYTES[what](data, rng))
        return
    lined = path.suffix == ".jsonl"
    for text in TEXTS:
        yield Damaged(name, str(text[:20]), text + b"\n" * lined)
    rest = count - len(BYTES) - len(PLACES) - len(TEXTS)
    if not lined:
        for what, changed in edits(json.loads(data), rng, rest):
            if "digest" in changed and rng.random() < 0.8:
                with contextlib.suppress(UnicodeEncodeError):
                    changed["digest"] = digest(changed)
            yield Damaged(name, what, json.dumps(changed).encode())
        return
    lines = data.splitlines(keepends=True)
    for _ in range(rest):
        at = rng.randrange(len(lines))
        (what, changed), *_ = edits(json.loads(lines[at]), rng, 1 + rng.randrange(30))
        *_, (what, changed) = edits(json.loads(lines[at]), rng, 1 + rng.randrange(30))
        text = json.dumps(changed).encode() + b"\n"
        yield Damaged(
            name, f"line {at + 1}: {what}", b"".join([*lines[:at], text, *lines[at + 1 :]])
        )


def put(path, data):
    """Put damaged bytes, or no file at all, in a file's place."""
    if path.is_dir():
        shutil.rmtree(path)
    path.unlink(missing_ok=True)
    if isinstance(data, bytes):
        path.write_bytes(data)
    elif data == "a directory":
        path.mkdir()
    elif data == "a broken link":
        path.symlink_to("nowhere")
    elif data == "a link to itself":
        path.symlink_to(path.name)
    elif data == "a pipe":
        os.mkfifo(path)


class Ended(NamedTuple):
    """How a command ended: its exit code, or the traceback; and all that it said."""

    code: int | str
    said: str


def call(*argv):
    """Run a command in this process."""
    output, errors = io.TextIOWrapper(io.BytesIO()), io.StringIO()
    before = sys.stdin
    sys.stdin = io.TextIOWrapper(io.BytesIO(b"101\n"))
    with (
        contextlib.redirect_stdout(output),
        contextlib.redirect_stderr(errors),
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("default")
        signal.signal(signal.SIGALRM, _hangs)
        signal.alarm(PATIENCE)
        try:
            code = main([str(argument) for argument in argv])
        except BaseException:
            code = traceback.format_exc()
        signal.alarm(0)
    sys.stdin = before
    output.flush()
    return Ended(code, output.buffer.getvalue().decode() + errors.getvalue())


def fault(damaged, ended, usual):
    """What is wrong with how a command ended; empty if nothing is.

    Args:
        damaged: what the command met.
        ended: how it ended then.
        usual: its exit code without the damage.
    """
    if ended.code not in (0, 1, 2):
        return str(ended.code)
    if re.search(r"Traceback|\w+\.py:\d+: \w*Warning", ended.said):
        return f"it said: {ended.said}"
    if re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]", ended.said):
        return f"it said what cannot be printed: {ended.said!r}"
    if ended.code != usual and Path(damaged.file).name not in ended.said:
        return f"exit code {ended.code} without the file's name: {ended.said}"
    return ""


def rng_of(seed):
    """Random numbers that are the same every time."""
    return random.Random(seed)
