"""A run directory: what is in it, how it is written so that no moment of death can spoil it.

| file | content |
|---|---|
| config.json | the recipe |
| metrics.jsonl | one line per logged step; depends on the recipe and the thread count alone |
| timing.json | seconds, threads, versions, device of the training |
| model.safetensors | the weights |
| state.pt | weights, optimiser and step, for resuming; read with weights_only=True |
| eval.jsonl | evaluations, appended |
| certificate.json | the certificate |
| report.html | the report |
| cell.json, failure.json | in a study: what was done, by which code; how it failed |

Files are the truth. Whole files are written beside their place, flushed to disk and renamed.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import io
import json
import os
import pickle
import tempfile
import zipfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import IO, Any

import safetensors.torch
import torch
from torch import Tensor

from arithtf.model import Model
from arithtf.origin import SourceMissing
from arithtf.recipes import Recipe

FILES = (
    "config.json",
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
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(name, 0o644)
        os.replace(name, path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(name)
        raise
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def write_text(path: Path, text: str) -> None:
    """Write text atomically."""
    write_atomic(path, lambda file: file.write(text.encode()))


def write_json(path: Path, data: Any) -> None:
    """Write JSON atomically."""
    write_text(path, json.dumps(data, indent=1, sort_keys=False) + "\n")


def read_json(path: Path) -> Any:
    """Read a JSON file.

    Raises:
        RunError: it is missing or not JSON.
    """
    try:
        return json.loads(path.read_text())
    except FileNotFoundError:
        raise RunError(f"expected the file {path}, but it does not exist") from None
    except (ValueError, RecursionError) as error:
        raise RunError(f"{path} is not valid JSON: {error}") from None


def read_lines(path: Path) -> list[dict[str, Any]]:
    """The complete lines of a .jsonl file; a line cut off by a kill is left out.

    Raises:
        RunError: a line is not a JSON object.
    """
    if not path.exists():
        return []
    rows = []
    for number, line in enumerate(path.read_bytes().split(b"\n")[:-1], start=1):
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise RunError(f"line {number} of {path} is not valid JSON: {error}") from None
        if not isinstance(row, dict):
            raise RunError(f"line {number} of {path} is not a JSON object; remove the line")
        rows.append(row)
    return rows


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


def load_recipe(run: Path) -> Recipe:
    """The recipe of a run.

    Raises:
        RunError: `run` is not a run directory.
    """
    if not (run / "config.json").exists():
        raise RunError(
            f"{run} is not a run directory: it has no config.json; "
            "make one with `arithtf train RECIPE --out DIR`"
        )
    try:
        return Recipe.from_dict(read_json(run / "config.json"), run=run)
    except SourceMissing as error:
        raise RunError(f"{error} in {run / 'config.json'}") from None
    except (ValueError, TypeError, KeyError) as error:
        raise RunError(f"{run / 'config.json'} does not hold a recipe: {error}") from None


def save_weights(path: Path, model: Model) -> None:
    """Write the weights alone, as safetensors."""
    weights = {name: t.detach().cpu().contiguous() for name, t in model.state_dict().items()}
    data = safetensors.torch.save(weights, metadata={"format": "pt"})
    write_atomic(path, lambda file: file.write(data))


# What zipfile and torch.load raise on a damaged file, as found by damaging files at random.
_UNREADABLE = (
    AttributeError,
    EOFError,
    LookupError,
    OverflowError,
    RuntimeError,
    TypeError,
    ValueError,
    pickle.UnpicklingError,
    zipfile.BadZipFile,
)


def load_state(path: Path, device: torch.device) -> dict[str, Any]:
    """Read a checkpoint, its checksums compared first: torch.load does not compare them.

    Raises:
        RunError: the file is damaged.
    """
    data = io.BytesIO(path.read_bytes())
    try:
        with zipfile.ZipFile(data) as archive:
            damaged = archive.testzip()
        if damaged is not None:
            raise ValueError(f"the checksum of its part {damaged} is wrong")
        data.seek(0)
        state = torch.load(data, map_location=device, weights_only=True)
        if not isinstance(state, dict):
            raise TypeError(f"expected a dict, got {type(state).__name__}")
    except _UNREADABLE as error:
        why = str(error).partition("\n")[0]
        raise RunError(
            f"{path} is damaged: {why}; remove the run directory and train again"
        ) from None
    return state


def load_model(run: Path, device: str | torch.device = "cpu") -> tuple[Model, Recipe]:
    """Model and recipe of a run.

    Args:
        run: the run directory.
        device: where the weights go.

    Raises:
        RunError: there are no weights, or they do not fit the recipe.
    """
    recipe = load_recipe(run)
    path = run / "model.safetensors"
    if not path.exists():
        raise RunError(f"{run} has no weights yet; finish it with `arithtf train ... --resume`")
    model = recipe.model.build(seed=recipe.seed)
    try:
        model.load_state_dict(safetensors.torch.load_file(path))
    except (safetensors.SafetensorError, RuntimeError) as error:
        raise RunError(f"{path} does not fit the run's config.json: {error}") from None
    return model.to(device).eval(), recipe


def weights_hash(model: Model) -> str:
    """SHA-256 over names, dtypes, shapes and bytes of all weights, in order of their names."""
    digest = hashlib.sha256()
    weights: dict[str, Tensor] = model.state_dict()
    for name in sorted(weights):
        array = weights[name].detach().cpu().contiguous().numpy()
        digest.update(f"{name} {array.dtype} {array.shape}\n".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()
