"""A run directory as a recipe and a model, and the hashes that say whether they are still those.

`hashes.json` is written when training begins, with the hash of `config.json`, and again just before
the weights, with theirs. So at every moment weights that are there have their hash beside them.
"""

from __future__ import annotations

import hashlib
import io
import json
import pickle
import warnings
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from torch import Tensor

from arithtf.model import Model, ModelConfig
from arithtf.origin import SourceMissing
from arithtf.plain import to_plain
from arithtf.recipes import Recipe
from arithtf.runs.files import RunError, read_bytes, read_json, write_atomic, write_json
from arithtf.runs.shapes import DIGEST, TEXT

HASHES = {"recipe": DIGEST, "weights": DIGEST.or_null()}


_ANEW = (
    "where state.pt is there, `arithtf train ... --resume` writes it anew; else copy it again, or "
    "train again"
)

# What damaged files led to in those who read them, as found by damaging files at random.
_ODD = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    EOFError,
    LookupError,
    MemoryError,
    RuntimeError,
    TypeError,
    ValueError,
    pickle.UnpicklingError,
    zipfile.BadZipFile,
)


class RunChanged(UserWarning):
    """Something in a run directory is not what training or certifying left there."""


def load_recipe(run: Path) -> Recipe:
    """The recipe of a run; a line warns if it is not the one that training began with.

    Raises:
        RunError: `run` is not a run directory, or its config.json does not hold a recipe.
    """
    path = run / "config.json"
    if not path.exists():
        raise RunError(
            f"{run} is not a run directory: it has no config.json; "
            "make one with `arithtf train RECIPE --out DIR`"
        )
    data = read_json(path)
    try:
        recipe = Recipe.from_dict(data, run=run)
    except SourceMissing as error:
        raise RunError(f"{error} in {path}") from None
    except _ODD as error:
        raise RunError(f"{path} does not hold a recipe: {_said(error)}") from None
    _warn(recipe_changes(run))
    return recipe


def recipe_changes(run: Path) -> list[str]:
    """What there is to say where config.json is not what training began with."""
    path = run / "config.json"
    try:
        recorded = _recorded(run)
    except RunError as error:
        return [f"{error}; nobody can tell whether recipe and weights are those that were trained"]
    if recorded is None or recorded["recipe"] == config_hash(read_json(path)):
        return []
    return [
        f"{path} is not as it was when training began: what it says may not be what was trained; "
        "restore it, or train again"
    ]


def weights_changes(run: Path, found: str) -> list[str]:
    """What there is to say where weights of this hash are not what training ended with."""
    try:
        recorded = _recorded(run)
    except RunError:
        return []  # of which `recipe_changes` speaks
    if not found or recorded is None or recorded["weights"] in (found, None):
        return []
    return [
        f"{run / 'model.safetensors'} is not what training wrote: its hash is another than "
        f"hashes.json says; {_ANEW}"
    ]


def certificate_changes(run: Path, found: str) -> list[str]:
    """What there is to say where a run's certificate is not of these weights, or damaged."""
    path = run / "certificate.json"
    if not found or not path.exists():
        return []
    try:
        about = read_json(path, {"weights": TEXT})["weights"]
    except RunError as error:
        return [f"{error}; certify the run again"]
    if about in (found, ""):
        return []
    return [f"{path} is about other weights than the run has now; certify it again"]


def _recorded(run: Path) -> Mapping[str, Any] | None:
    """What hashes.json says; None where it is not there, as in a run from elsewhere.

    Raises:
        RunError: it is damaged.
    """
    path = run / "hashes.json"
    found: Mapping[str, Any] | None = read_json(path, HASHES) if path.exists() else None
    return found


def _warn(changes: list[str]) -> None:
    # From here, whoever asked: so that Python, which tells the places apart, says each once.
    for text in changes:
        warnings.warn(text, RunChanged, stacklevel=1)


def config_hash(config: Mapping[str, Any]) -> str:
    """SHA-256 of what config.json holds, but for the places of the files that it names."""
    sources = {name: source["sha256"] for name, source in config.get("sources", {}).items()}
    text = json.dumps({**config, "sources": sources}, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def begin_run(run: Path, recipe: Recipe) -> None:
    """Write config.json, and before it the hash that it will have."""
    config = recipe.to_dict()
    write_json(run / "hashes.json", {"recipe": config_hash(config), "weights": None})
    write_json(run / "config.json", config)


def check_recipe(run: Path, recipe: Recipe) -> None:
    """Check that a run can go on by a recipe.

    Raises:
        RunError: it was begun by another one.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RunChanged)  # here it is an error
        same = load_recipe(run) == recipe
    if not same:
        raise RunError(
            f"{run} holds a run of another recipe, seed or number of steps; "
            "resume it with the arguments it was started with, or choose another --out"
        )
    try:
        recorded = _recorded(run)
    except RunError as error:
        raise RunError(f"{error}; remove the file, and the run goes on without it") from None
    if recorded is not None and recorded["recipe"] != config_hash(read_json(run / "config.json")):
        raise RunError(
            f"{run / 'config.json'} is not as it was when training began, so that the run would "
            "be of two recipes; restore it, or choose another --out"
        )


def finish_run(run: Path, model: Model) -> None:
    """Write a run's weights, and before them the hash that they have."""
    recipe = config_hash(read_json(run / "config.json"))
    write_json(run / "hashes.json", {"recipe": recipe, "weights": known_hash(model) or None})
    save_weights(run / "model.safetensors", model)


def save_weights(path: Path, model: Model) -> None:
    """Write the weights alone, as safetensors."""
    weights = {name: t.detach().cpu().contiguous() for name, t in model.state_dict().items()}
    data = safetensors.torch.save(weights, metadata={"format": "pt"})
    write_atomic(path, lambda file: file.write(data))


def load_state(path: Path, device: torch.device) -> dict[str, Any]:
    """Read a checkpoint, its checksums compared first: torch.load does not compare them.

    Raises:
        RunError: the file is damaged.
    """
    data = io.BytesIO(read_bytes(path))
    try:
        with zipfile.ZipFile(data) as archive:
            damaged = archive.testzip()
        if damaged is not None:
            raise ValueError(f"the checksum of its part {damaged} is wrong")
        data.seek(0)
        state = torch.load(data, map_location=device, weights_only=True)
        if not isinstance(state, dict):
            raise TypeError(f"expected a dict, got {type(state).__name__}")
    except _ODD as error:
        raise RunError(
            f"{path} is damaged: {_said(error)}; remove the run directory and train again"
        ) from None
    return state


def load_model(
    run: Path, device: str | torch.device = "cpu", *, certifying: bool = False
) -> tuple[Model, Recipe]:
    """Model and recipe of a run.

    A line warns where they are not those that were trained, and where the run's certificate is of
    other weights.

    Args:
        run: the run directory.
        device: where the weights go.
        certifying: nothing is said of the certificate: there will be a new one.

    Raises:
        RunError: there are no weights, or they are damaged, or do not fit the recipe.
    """
    recipe = load_recipe(run)
    path = run / "model.safetensors"
    if not path.exists():
        raise RunError(
            f"{run} has no weights (model.safetensors) yet; finish it with "
            "`arithtf train ... --resume`"
        )
    model = _filled(recipe, path)
    found = known_hash(model)
    _warn(weights_changes(run, found))
    if not certifying:
        _warn(certificate_changes(run, found))
    return model.to(device).eval(), recipe


def _filled(recipe: Recipe, path: Path) -> Model:
    """The recipe's model with the weights of a file."""
    try:
        weights = safetensors.torch.load(read_bytes(path))
    except (safetensors.SafetensorError, *_ODD) as error:
        raise RunError(f"{path} is damaged or incomplete: {_said(error)}; {_ANEW}") from None
    other = f"{path} does not fit the run's config.json"
    try:
        if type(recipe.model) is ModelConfig and _is_larger(recipe.model, weights):
            with torch.device("meta"):  # without memory for it, which might be too much
                _check_fit(recipe.model.build(), weights)
        model = recipe.model.build(seed=recipe.seed)
        _check_fit(model, weights)
        model.load_state_dict(weights)
    except _ODD as error:
        raise RunError(
            f"{other}: {_said(error)}; one of the two is of another run, or was changed: restore "
            "it, or train again"
        ) from None
    return model


def _is_larger(config: ModelConfig, weights: Mapping[str, Tensor]) -> bool:
    """Whether a model of this configuration might have more numbers than there are.

    To build one on the device "meta" tells, but imports a compiler, which takes a second.
    """
    total = sum(w.numel() for w in weights.values())
    sizes = [sum(config.factors) * config.width, len(config.blocks) * config.width]
    sizes += [config.width**2, config.width * config.hidden * ("mlp" in config.blocks)]
    for encoding in (config.encoding, *config.block_encodings):
        parts = (encoding.mechanism, encoding.embedding)
        sizes += [n for part in parts for n in _integers(to_plain(part))]
    return max(sizes) > total


def _integers(plain: Any) -> Iterator[int]:
    """The integers among a part's settings."""
    if type(plain) is int:
        yield plain
    elif isinstance(plain, dict | list):
        for part in plain.values() if isinstance(plain, dict) else plain:
            yield from _integers(part)


def _check_fit(model: Model, weights: Mapping[str, Tensor]) -> None:
    """Check names, shapes and number formats of weights."""
    expected = {name: (tuple(w.shape), w.dtype) for name, w in model.state_dict().items()}
    found = {name: (tuple(w.shape), w.dtype) for name, w in weights.items()}
    for name in sorted({*expected, *found}):
        wanted, got = (_form(forms.get(name)) for forms in (expected, found))
        if wanted != got:
            raise ValueError(f"expected {wanted} as {name}, got {got}")


def _form(form: tuple[tuple[int, ...], torch.dtype] | None) -> str:
    return "none" if form is None else f"{form[1]} {list(form[0])}".removeprefix("torch.")


def _said(error: BaseException) -> str:
    """An error in one line; of a defect in someone's file also what it is."""
    text = " ".join(str(error).split())[:300]
    return (
        text if isinstance(error, ValueError | RuntimeError) else f"{type(error).__name__}: {text}"
    )


def known_hash(model: Model) -> str:
    """The weights' hash; empty for number formats that NumPy does not have."""
    try:
        return weights_hash(model)
    except TypeError:
        return ""


def weights_hash(model: Model) -> str:
    """SHA-256 over names, dtypes, shapes and bytes of all weights, in order of their names."""
    digest = hashlib.sha256()
    weights: dict[str, Tensor] = model.state_dict()
    for name in sorted(weights):
        array = weights[name].detach().cpu().contiguous().numpy()
        digest.update(f"{name} {array.dtype} {array.shape}\n".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()
