"""`arithtf study`: grids of recipes and seeds, by any number of workers, and boards of them."""

from __future__ import annotations

import argparse
import inspect
import json
import os
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from arithtf.console import count, misuse, say, table
from arithtf.runs import write_text
from arithtf.studies import STUDIES, Shard, Study, board_of, get_study, run_study, status_of
from arithtf.studies import predict as write_predictions
from arithtf.studies.pages import cells, headings, html, markdown, notes
from arithtf.studies.shards import take_gpu

TAKEN_BY = {
    "shard": ("run",),
    "retry": ("run",),
    "json": ("board", "status", "list"),
    "markdown": ("board",),
    "html": ("board",),
}
"""Options, and the actions that they are of."""


def study(arguments: argparse.Namespace) -> int:
    """Do what is asked with a study."""
    action = arguments.action
    for option, actions in TAKEN_BY.items():
        if getattr(arguments, option) and action not in actions:
            misuse(f"--{option} goes with {' or '.join(actions)}, not with {action}")
    if action == "list":
        return _list(arguments)
    if arguments.study is None:
        misuse(f"expected a study to {action}; `arithtf study list` lists those that there are")
    found = get_study(arguments.study, *arguments.settings)
    folder = arguments.out or found.folder
    work: dict[str, Callable[[Study, Path, argparse.Namespace], int]] = {
        "run": _run,
        "status": _status,
        "predict": _predict,
        "board": _board,
    }
    return work[action](found, folder, arguments)


def _list(arguments: argparse.Namespace) -> int:
    if arguments.study is not None:
        misuse("list takes no study; `arithtf study status STUDY` shows one")
    rows = []
    for name, made in STUDIES.items():
        text = made.what if isinstance(made, Study) else inspect.getdoc(made) or ""
        known = {} if isinstance(made, Study) else inspect.signature(made).parameters
        settings = " ".join(f"{key}={_shown(p.default)}" for key, p in known.items())
        rows.append((name, text.partition("\n")[0], settings))
    if arguments.json:
        keys = ("name", "what", "settings")
        say(json.dumps([dict(zip(keys, row, strict=True)) for row in rows], indent=1))
        return 0
    table(("study", "what", "settings"), rows)
    say("one of your own: arithtf study run FILE.py:NAME")
    return 0


def _shown(value: Any) -> str:
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)


def _run(study: Study, folder: Path, arguments: argparse.Namespace) -> int:
    """Work on cells; exit code 1 if any of them failed, but under torchrun."""
    given = arguments.shard
    shard = Shard.parse(given) if given else Shard.of_environment(os.environ)
    total = len(study.cells()[shard.i :: shard.n])
    part = "" if shard.n == 1 else f", shard {shard.i}/{shard.n}"
    say(f"study {study.name} in {folder}{part}: {count(total)} cells")
    take_gpu(os.environ)
    ended = run_study(
        study,
        folder,
        shard=shard,
        retry=arguments.retry,
        tell=say,
    )
    left = f", {count(ended.elsewhere)} with other workers" if ended.elsewhere else ""
    say(f"{count(ended.finished)} finished, {count(ended.failed)} failed{left}")
    if ended.failed:
        say("why: arithtf study status; once more: --retry")
    # torchrun ends all other workers when one ends with an error.
    return 1 if ended.failed and "TORCHELASTIC_RUN_ID" not in os.environ else 0


def _status(study: Study, folder: Path, arguments: argparse.Namespace) -> int:
    found = status_of(study, folder)
    if arguments.json:
        say(json.dumps([asdict(status) for status in found], indent=1))
        return 0
    rows = [(s.recipe, str(s.seed), s.state, s.note, s.cell) for s in found]
    table(("recipe", "seed", "state", "note", "run"), rows, title=f"{study.name} in {folder}")
    states = Counter(status.state for status in found)
    say(", ".join(f"{count(number)} {state}" for state, number in sorted(states.items())))
    return 0


def _predict(study: Study, folder: Path, arguments: argparse.Namespace) -> int:
    figures = write_predictions(study, folder)
    say(f"predicted: {count(figures)} figures, in {folder / 'predictions.json'}")
    say("commit the file, then run the study: its board says that the predictions came first")
    return 0


def _board(study: Study, folder: Path, arguments: argparse.Namespace) -> int:
    found = board_of(study, folder)
    for path, page in ((arguments.markdown, markdown), (arguments.html, html)):
        if path is not None:
            write_text(path, page(found))
    if arguments.json:
        say(json.dumps(found.to_dict(), indent=1))
        return 0
    table(headings(found), cells(found), title=study.what)
    for note in notes(found):
        say(note)
    return 0
