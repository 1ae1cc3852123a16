"""Files of a run: written so that no moment of death can spoil them, read so that damage is named.

A whole file is written beside its place, flushed to disk and renamed. While it is written its
writer holds a lock on it, so that what a kill leaves there is known by its lock being free.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import tempfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import IO, Any

from arithtf.runs.shapes import Shape, misfit

FILES = (
    "config.json",
    "hashes.json",
    "metrics.jsonl",
    "timing.json",
    "model.safetensors",
    "state.pt",
    "eval.jsonl",
    "certificate.json",
    "report.html",
    "summary.json",
    "cell.json",
    "failure.json",
)


_TEMPORARY = re.compile(r"\.(.*)\.[a-z0-9_]{8}", re.DOTALL)

DEEPEST = 100
"""Lists and objects inside each other that a file may hold; far more than any file of ours has."""


class RunError(Exception):
    """A run directory cannot be used as asked; the message says why and what to do."""


class RunBusy(RunError):
    """Another process is writing to the run directory."""


def write_atomic(path: Path, write: Callable[[IO[bytes]], object]) -> None:
    """Write a file so that `path` is at every moment absent, the old content or the new one.

    Args:
        path: the file; a pipe or a device is written to, not replaced, and behind a symbolic link
            it is the file that the link names.
        write: called with an open binary file.

    Raises:
        OSError: the disk is full or the folder cannot be written; `path` is unchanged.
    """
    if path.is_symlink():
        path = Path(os.path.realpath(path))
    with _named(path):
        _write(path, write)


@contextlib.contextmanager
def _named(path: Path) -> Iterator[None]:
    """Put a file's name into errors that have none, such as those of a full disk."""
    try:
        yield
    except OSError as error:
        error.filename = error.filename or str(path)
        raise


def _write(path: Path, write: Callable[[IO[bytes]], object]) -> None:
    if path.exists() and not path.is_file():
        with open(path, "wb") as device:
            write(device)
        return
    remove_leftovers(path.parent, (path.name,))
    with _beside(path) as (file, name):
        write(file)
        file.flush()
        os.fsync(file.fileno())
        os.chmod(name, 0o644)
        os.replace(name, path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


@contextlib.contextmanager
def _beside(path: Path) -> Iterator[tuple[IO[bytes], str]]:
    """A new file in the folder of `path`, and its name; after an error it is gone."""
    handle, name = _locked(path.parent, f".{_short(path.name)}.")
    with os.fdopen(handle, "wb") as file:
        try:
            yield file, name
        except BaseException:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(name)
            raise


def _locked(folder: Path, prefix: str) -> tuple[int, str]:
    """A new file that is locked for as long as it is open: its handle and name."""
    while True:
        handle, name = tempfile.mkstemp(dir=folder, prefix=prefix)
        with contextlib.suppress(OSError):  # where files cannot be locked, nothing is cleaned up
            fcntl.flock(handle, fcntl.LOCK_EX)
        if os.fstat(handle).st_nlink:
            return handle, name
        os.close(handle)  # between the two lines above another writer took it for a leftover


def _short(name: str) -> str:
    """A name that leaves room for what temporary files have more: 255 bytes are the limit."""
    return os.fsdecode(os.fsencode(name)[:240])


def remove_leftovers(folder: Path, names: Iterable[str]) -> None:
    """Remove what writers of files with these names left when they were killed.

    Args:
        folder: where the files are.
        names: their names.
    """
    known = {_short(name) for name in names}
    for entry in os.scandir(folder):
        found = _TEMPORARY.fullmatch(entry.name)
        if found is None or found[1] not in known or not entry.is_file():
            continue
        with contextlib.suppress(OSError), open(entry.path, "r+b") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)  # fails while its writer lives
            os.unlink(entry.path)


def write_text(path: Path, text: str) -> None:
    """Write text atomically."""
    write_atomic(path, lambda file: file.write(text.encode()))


def write_json(path: Path, data: Any) -> None:
    """Write JSON atomically."""
    write_text(path, json.dumps(data, indent=1, sort_keys=False) + "\n")


def read_json(path: Path, shape: Shape | None = None) -> Any:
    """Read a JSON file.

    Args:
        path: the file.
        shape: fields that it must have; None: it need not be an object.

    Raises:
        RunError: it is missing, cannot be read, or holds something else.
    """
    data = _parsed(read_bytes(path), str(path))
    if shape is not None and (wrong := misfit(data, shape)):
        raise RunError(f"{path} is damaged: {wrong}")
    return data


def read_lines(
    path: Path,
    shape: Shape | None = None,
    check: Callable[[dict[str, Any]], str] = lambda row: "",
) -> list[dict[str, Any]]:
    """The complete lines of a .jsonl file; a line cut off by a kill is left out.

    Args:
        path: the file; no lines if it is missing.
        shape: fields that every line must have.
        check: says why a line is damaged; an empty text where it is not.

    Raises:
        RunError: it cannot be read, or a line is not such an object.
    """
    if not path.exists():
        return []
    rows = []
    for number, line in enumerate(read_bytes(path).split(b"\n")[:-1], start=1):
        where = f"line {number} of {path}"
        row = _parsed(line, where)
        if not isinstance(row, dict):
            raise RunError(f"{where} is not a JSON object; remove the line")
        if wrong := (misfit(row, shape or {}) or check(row)):
            raise RunError(f"{where} is damaged: {wrong}; remove the line")
        rows.append(row)
    return rows


def read_bytes(path: Path) -> bytes:
    """A file's bytes.

    Raises:
        RunError: it is missing or cannot be read.
    """
    if path.exists() and not (path.is_file() or path.is_dir()):
        raise RunError(f"{path} cannot be read: it is no file")  # a pipe would be waited for
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise RunError(f"expected the file {path}, but it does not exist") from None
    except OSError as error:
        raise RunError(f"{path} cannot be read: {error.strerror}") from None


def _parsed(data: bytes, where: str) -> Any:
    """JSON data that can be walked through and written again."""
    try:
        if data.count(b"[") + data.count(b"{") > DEEPEST and _depth(data) > DEEPEST:
            raise ValueError(f"more than {DEEPEST} lists or objects stand inside each other")
        found = json.loads(data)
        if b"\\ud" in data.lower():  # half of a character, which no text can be written with
            json.dumps(found, ensure_ascii=False).encode()
        return found
    except (ValueError, RecursionError) as error:
        raise RunError(f"{where} is not valid JSON: {error}") from None


def _depth(data: bytes) -> int:
    """How many brackets of JSON are open at once; those in its texts are none."""
    deepest = depth = 0
    for bracket in re.findall(rb"[\[{\]}]", re.sub(rb'"(?:[^"\\]|\\.)*"', b"", data)):
        depth += 1 if bracket in b"[{" else -1
        deepest = max(deepest, depth)
    return deepest


def write_lines(path: Path, rows: Iterable[dict[str, Any]]) -> None:
    """Write a .jsonl file as a whole, atomically."""
    write_text(path, "".join(json.dumps(row) + "\n" for row in rows))


def append_line(path: Path, row: dict[str, Any]) -> None:
    """Append one line of JSON in a single write, in place of a line that a kill cut off."""
    with _named(path), open(path, "a+b") as file:
        fcntl.flock(file, fcntl.LOCK_EX)  # no other process is in the middle of a line
        if file.tell() and file.seek(-1, os.SEEK_END) >= 0 and file.read(1) != b"\n":
            file.seek(0)
            file.truncate(file.read().rfind(b"\n") + 1)
        file.write(json.dumps(row).encode() + b"\n")


@contextlib.contextmanager
def lock(run: Path) -> Iterator[None]:
    """Hold the run directory against a second writer; freed by the system when the process ends.

    Raises:
        RunBusy: another process is writing there.
    """
    with open(run / ".lock", "w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise RunBusy(
                f"another process is writing to {run}; wait for it or choose another --out"
            ) from None
        yield
