"""Types of the command line's arguments: what is wrong is said before any work begins."""

from __future__ import annotations

import argparse
import functools
import re
from collections.abc import Callable
from pathlib import Path


def whole(least: int, most: int = 10**18 - 1) -> Callable[[str], int]:
    """A type of arguments: whole numbers from `least` to `most`."""

    def read(text: str) -> int:
        if not re.fullmatch(r"[0-9]{1,18}", text) or int(text) < least:
            largest = "of at most 18 digits" if most == 10**18 - 1 else f"and <= {most}"
            above = f" {largest}" if re.fullmatch(r"[0-9]{19,}", text) else ""
            raise argparse.ArgumentTypeError(
                f"expected a whole number >= {least}{above}, got {text!r}"
            )
        if int(text) > most:
            raise argparse.ArgumentTypeError(f"expected a whole number <= {most}, got {text!r}")
        return int(text)

    return read


def _path(kind: Callable[[str], Path]) -> Callable[[str], Path]:
    """A type of arguments for which the system is asked; that may refuse, as a name too long."""

    @functools.wraps(kind)
    def read(text: str) -> Path:
        try:
            return kind(text)
        except OSError as error:
            name = text if len(text) <= 60 else f"{text[:57]}..."
            raise argparse.ArgumentTypeError(f"{error.strerror}: {name}") from None

    return read


def lengths(text: str) -> tuple[int, ...]:
    """Whole numbers with commas between them, digits of operands."""
    return tuple(whole(1, 10**8)(part) for part in text.split(","))


def any_lengths(text: str) -> tuple[int, ...]:
    """The same without a limit, where a length costs nothing."""
    return tuple(whole(1)(part) for part in text.split(","))


def spans(text: str) -> tuple[int, ...]:
    """Lengths with commas, and spans: 1-3,7 is 1, 2, 3, 7."""
    found: list[int] = []
    for part in text.split(","):
        read = re.fullmatch(r"([0-9]{1,4})(?:-([0-9]{1,4}))?", part)
        low, high = (int(read[1]), int(read[2] or read[1])) if read else (0, 0)
        if not 1 <= low <= high:
            raise argparse.ArgumentTypeError(
                f"expected lengths of 1 to 9999 digits, as in 1-9 or 4,5,50, got {text!r}"
            )
        found += range(low, high + 1)
    return tuple(found)


@_path
def file(text: str) -> Path:
    """A file that is there, or a pipe."""
    if Path(text).is_dir():
        raise argparse.ArgumentTypeError(f"expected a file, got the directory {text}")
    if not Path(text).exists():
        raise argparse.ArgumentTypeError(f"there is no file {text}")
    return Path(text)


@_path
def new_file(text: str) -> Path:
    """A file to be written: its folder must be there, which minutes of work would tell too late."""
    if not text or Path(text).is_dir():
        what = f"the directory {text}" if text else "an empty name"
        raise argparse.ArgumentTypeError(f"expected a file, got {what}")
    if not Path(text).parent.is_dir():
        raise argparse.ArgumentTypeError(f"there is no folder {Path(text).parent} to write to")
    return Path(text)


@_path
def directory(text: str) -> Path:
    """A directory, there or to be made. An empty name, as of an unset variable, is not "here"."""
    if not text:
        raise argparse.ArgumentTypeError("expected a directory, got an empty name; . means here")
    if Path(text).exists() and not Path(text).is_dir():
        raise argparse.ArgumentTypeError(f"expected a directory, got the file {text}")
    return Path(text)


def or_pipe(kind: Callable[[str], Path]) -> Callable[[str], str]:
    """A type of arguments: `-` for a pipe, or what `kind` takes."""

    def read(text: str) -> str:
        return text if text == "-" else str(kind(text))

    return read


@_path
def run_directory(text: str) -> Path:
    """A directory that holds a run."""
    if not (Path(text) / "config.json").is_file():
        raise argparse.ArgumentTypeError(
            f"{text} is not a run directory (it has no config.json); "
            f"make one with `arithtf train RECIPE --out {text}`"
        )
    return Path(text)
