"""Types of the command line's arguments: what is wrong is said before any work begins."""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable
from pathlib import Path


def whole(least: int) -> Callable[[str], int]:
    """A type of arguments: whole numbers from `least` on."""

    def read(text: str) -> int:
        if not re.fullmatch(r"[0-9]{1,18}", text) or int(text) < least:
            raise argparse.ArgumentTypeError(f"expected a whole number >= {least}, got {text!r}")
        return int(text)

    return read


def lengths(text: str) -> tuple[int, ...]:
    """Whole numbers with commas between them."""
    return tuple(whole(1)(part) for part in text.split(","))


def file(text: str) -> Path:
    """A file that is there, or a pipe."""
    if Path(text).is_dir():
        raise argparse.ArgumentTypeError(f"expected a file, got the directory {text}")
    if not Path(text).exists():
        raise argparse.ArgumentTypeError(f"there is no file {text}")
    return Path(text)


def new_file(text: str) -> Path:
    """A file to be written: its folder must be there, which minutes of work would tell too late."""
    if not Path(text).parent.is_dir():
        raise argparse.ArgumentTypeError(f"there is no folder {Path(text).parent} to write to")
    return Path(text)


def or_pipe(kind: Callable[[str], Path]) -> Callable[[str], str]:
    """A type of arguments: `-` for a pipe, or what `kind` takes."""

    def read(text: str) -> str:
        return text if text == "-" else str(kind(text))

    return read


def run_directory(text: str) -> Path:
    """A directory that holds a run."""
    if not (Path(text) / "config.json").is_file():
        raise argparse.ArgumentTypeError(
            f"{text} is not a run directory (it has no config.json); "
            f"make one with `arithtf train RECIPE --out {text}`"
        )
    return Path(text)
