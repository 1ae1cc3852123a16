"""Who works on what, among processes and machines that share one folder and nothing else.

A claim on a cell is a file CELL.N, made by `open` with O_EXCL, so that of several workers one makes
it. The holder is who made the one with the largest N, and touches it while at work. A claim whose
time has come is not removed but followed: the next holder makes CELL.N+1. So claims are never
deleted, no moment is without an answer to who the holder is, and a worker that had only slept (a
stopped machine, a network that was away) finds that it was followed.

All of it holds on network file systems as well: O_EXCL is atomic on NFS since version 3, and ages
are differences of two times that the same file server has written, not of two clocks.
"""

from __future__ import annotations

import contextlib
import json
import os
import platform
import tempfile
import threading
import time
import uuid
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple

from arithtf.runs import RunError, read_json
from arithtf.runs.shapes import COUNT, TEXT

STALE = 300.0
"""Seconds without a sign of life after which another worker takes a cell over. More than the minute
for which NFS clients keep a file's times."""

BEAT = 15.0
"""Seconds between a holder's signs of life."""

LET_GO = (0, 0)
"""Times of a claim that is held no more: as old as can be, so that whoever asks next may follow."""


CLAIM = {"host": TEXT, "machine": TEXT, "pid": COUNT, "started": TEXT}
"""What a claim's file holds."""


class ClaimLost(Exception):
    """Another worker has taken the cell over."""


class Holder(NamedTuple):
    """Who made a claim, and what is known of it.

    Args:
        host, pid: of the process.
        age: seconds since its last sign of life.
        free: another may follow: it let go, its process is gone, or it was silent too long.
    """

    host: str
    pid: int
    age: float
    free: bool


class Claim:
    """A held claim, as a context; it is let go of at the end.

    Args:
        path: its file.
        beat: seconds between signs of life.
    """

    def __init__(self, path: Path, beat: float) -> None:
        self._path, self._beat = path, beat
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._live, name=f"claim {path.name}", daemon=True)

    def __enter__(self) -> Claim:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._ended.set()
        self._thread.join()
        with contextlib.suppress(OSError):
            os.utime(self._path, LET_GO)

    def check(self) -> None:
        """Go on only if no other worker has followed.

        Raises:
            ClaimLost: one has.
        """
        cell, number = _parts(self._path)
        if (self._path.parent / f"{cell}.{number + 1}").exists():
            raise ClaimLost(
                f"another worker has taken over {cell}, since this one gave no sign of life"
            )

    def _live(self) -> None:
        while not self._ended.wait(self._beat):
            with contextlib.suppress(OSError):  # a server that is away is back at a later beat
                os.utime(self._path)


class Claims:
    """The claims in a folder.

    Args:
        folder: of the claims alone; made if it is not there.
        stale, beat: seconds; the same for all workers.
    """

    def __init__(self, folder: Path, *, stale: float = STALE, beat: float = BEAT) -> None:
        self._folder, self._stale, self._beat = folder, stale, beat

    def take(self, cell: str) -> Claim | None:
        """The claim on a cell, or None if another worker holds it or was faster."""
        self._folder.mkdir(parents=True, exist_ok=True)
        number = _newest(self._folder, cell)
        if number and not self._read(cell, number, now=_server_time(self._folder)).free:
            return None
        path = self._folder / f"{cell}.{number + 1}"
        try:
            with open(path, "x") as file:
                json.dump(_me(), file)
        except FileExistsError:
            return None
        except OSError:
            with contextlib.suppress(OSError):
                os.utime(path, LET_GO)  # a full disk: made, but nothing in it
            raise
        return Claim(path, self._beat)

    def holder(self, cell: str) -> Holder | None:
        """Who made the newest claim on a cell, by this machine's clock; None if nobody has."""
        number = _newest(self._folder, cell)
        return self._read(cell, number, now=time.time()) if number else None

    def _read(self, cell: str, number: int, *, now: float) -> Holder:
        path = self._folder / f"{cell}.{number}"
        age = now - path.stat().st_mtime
        try:
            made: dict[str, Any] = read_json(path, CLAIM)
        except RunError:  # made a moment ago, and not written yet
            made = {}
        gone = made.get("machine") == _machine() and not _alive(made)
        free = age > self._stale or gone
        return Holder(made.get("host", "unknown"), made.get("pid", 0), max(0.0, age), free)


def _newest(folder: Path, cell: str) -> int:
    """The largest number of a claim on a cell; 0 if there is none."""
    numbers = (_parts(path) for path in folder.glob(f"{cell}.*"))
    return max((number for name, number in numbers if name == cell), default=0)


def _parts(path: Path) -> tuple[str, int]:
    cell, _, number = path.name.rpartition(".")
    return cell, int(number) if number.isdecimal() else 0


def _server_time(folder: Path) -> float:
    """The time that a file made now gets, by the clock that the folder's files have."""
    with tempfile.NamedTemporaryFile(dir=folder) as file:
        return os.fstat(file.fileno()).st_mtime


def _me() -> dict[str, Any]:
    return {
        "host": platform.node(),
        "machine": _machine(),
        "pid": os.getpid(),
        "started": _started(os.getpid()),
    }


def _machine() -> str:
    """Where a process number means one process: a boot of a kernel, and a namespace of it.

    Containers may have one name and other processes. Where this is not known no process is thought
    to be gone, and its claim runs out.
    """
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot} {os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return uuid.uuid4().hex


def _alive(made: dict[str, Any]) -> bool:
    return _started(made["pid"]) == made["started"]


def _started(pid: int) -> str:
    """When a process began, in ticks since the boot; numbers are given out again, this is not."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return ""
    state, *fields = stat.rpartition(")")[2].split()
    # A zombie does nothing any more; its parent has not asked for it yet.
    return "" if state == "Z" else fields[18]
