"""Which code made something: the version, its commit, and files from outside of the package."""

from __future__ import annotations

import contextlib
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import arithtf
from arithtf.origin import source_of
from arithtf.recipes import Recipe
from arithtf.runs.shapes import FLAG, TEXT, TEXTS
from arithtf.studies.study import Study

Code = dict[str, Any]

CODE = {"version": TEXT, "commit": TEXT, "dirty": FLAG, "sources": TEXTS}
"""What `code_of` gives, as files must hold it."""

FOLDERS = ("arithtf", "csrc", "kernels")
"""Folders of a checkout that hold code. Results that are appended to it are no change of that."""


def code_of(study: Study, recipe: Recipe | None = None) -> Code:
    """What code a study's cells are made by.

    Args:
        study: its functions may come from a file.
        recipe: of a cell, parts of which may too.

    Returns:
        version; commit, "" where the package is no checkout; dirty: whether that had changes which
        were in no commit; sources: SHA-256 by file name.
    """
    sources = {}
    for part in (study.recipes, study.predictions, *study.evaluations):
        made = part if hasattr(part, "__qualname__") else type(part)
        with contextlib.suppress(ValueError):  # typed in a notebook: no file says what it was
            if (source := source_of(made)) is not None:
                sources[Path(source["path"]).name] = source["sha256"]
    if recipe is not None:
        recorded = recipe.to_dict().get("sources", {})
        sources |= {name: source["sha256"] for name, source in recorded.items()}
    return {"version": arithtf.__version__, **_checkout(), "sources": dict(sorted(sources.items()))}


def code_text(code: Code) -> str:
    """Code for people: "commit 1a2b3c4d5e6f, widths.py 0a1b2c3d"."""
    commit = f"commit {code['commit']}" if code["commit"] else f"version {code['version']}"
    dirty = " with changes" if code["dirty"] else ""
    files = "".join(f", {name} {sha[:8]}" for name, sha in code["sources"].items())
    return commit + dirty + files


@cache
def _checkout() -> Code:
    root = Path(arithtf.__file__).parents[1]
    if not (root / ".git").exists():
        return {"commit": "", "dirty": False}
    changed = git(root, "status", "--porcelain", "--untracked-files=no", "--", *FOLDERS)
    return {"commit": git(root, "rev-parse", "--short=12", "HEAD"), "dirty": bool(changed)}


def git(root: Path, *arguments: str) -> str:
    """What git says of a checkout; empty if it cannot."""
    try:
        done = subprocess.run(
            ["git", "-C", str(root), *arguments], capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return ""
    return done.stdout.strip()
