"""The second path: a certificate checked again by code that shares nothing with what made it.

Contexts are derived from the task's definition (`verify_addition`), the model is evaluated by the
formulas below in NumPy, the weights are read and hashed with safetensors and hashlib. Neither the
C++ core nor PyTorch takes part.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.numpy
from numpy.typing import NDArray

from arithtf.certify.verify_addition import ABSENT, Derived, NotDerivable, derive_addition
from arithtf.certify.verify_calculator import derive_calculator
from arithtf.certify.verify_columns import COLUMN_DERIVATIONS
from arithtf.certify.verify_fields import MECHANISM, hash_contexts, levels_of, unknown_parts
from arithtf.certify.verify_worksheets import WORKSHEET_DERIVATIONS

Derivation = Callable[[dict[str, Any], dict[str, Any], list[list[int]]], Derived]
DERIVATIONS: dict[str, Derivation] = {
    "addition": derive_addition,
    **COLUMN_DERIVATIONS,
    **WORKSHEET_DERIVATIONS,
    "calculator": derive_calculator,
}
"""Independent enumerations by task name: (task, coupling, windows) -> contexts."""

Floats = NDArray[Any]
Weights = dict[str, Floats]
FORMAT = 1
CLOSE = 1e-6  # relative: margins of two float64 evaluations agree to many more digits


@dataclass(frozen=True)
class Verification:
    """What the second path found.

    Args:
        problems: everything that does not hold; empty if the certificate does.
        contexts: number of contexts derived.
        margin: smallest margin found.
        seconds: it took.
        able: False where nothing is wrong, but this path knows no contexts of such a model.
    """

    problems: tuple[str, ...]
    contexts: int = 0
    margin: float | None = None
    seconds: float = 0.0
    able: bool = True

    @property
    def valid(self) -> bool:
        """The certificate is right: the run's model is exact at every length."""
        return not self.problems


class _Invalid(Exception):
    """The check cannot go on; the message is the problem."""


def verify_certificate(file: str | os.PathLike[str], run: str | os.PathLike[str]) -> Verification:
    """Check a certificate against a run directory.

    Args:
        file: the certificate's JSON.
        run: the run directory whose model it is about.

    Returns:
        The verification; `valid` says whether the claim holds. Files that cannot be read are
        problems as well.
    """
    began = time.perf_counter()
    problems: list[str] = []
    contexts, margin, able = 0, None, True
    try:
        claim = _read_claim(Path(file))
        config, weights = _read_run(Path(run))
        problems += _compare_run(claim, config, weights)
        problems += unknown_parts(config["model"], set(weights))
        derived = _derive(config)
        contexts = len(derived.query)
        problems += _compare_contexts(claim, derived)
        margins, rounded = _evaluate(config["model"], weights, derived)
        margin = float(margins.min())
        problems += _compare_margins(claim, margins, rounded)
    except (NotDerivable, _Invalid) as problem:
        able = bool(problems) or isinstance(problem, _Invalid)
        problems.append(str(problem))
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        # What odd values in the files lead to; nothing that is not understood may pass.
        problems.append(f"the files are malformed: {type(error).__name__}: {error}")
    return Verification(tuple(problems), contexts, margin, time.perf_counter() - began, able)


def _read_json(path: Path) -> dict[str, Any]:
    try:
        data = json.loads(path.read_text())
    except OSError as error:
        raise _Invalid(f"{path} cannot be read: {error.strerror}") from None
    except (ValueError, RecursionError) as error:
        raise _Invalid(f"{path} is not valid JSON: {error}") from None
    if not isinstance(data, dict):
        raise _Invalid(f"{path} does not hold a JSON object")
    return data


def _read_claim(path: Path) -> dict[str, Any]:
    """The certificate, whole and unchanged."""
    claim = _read_json(path)
    if claim.get("format") != FORMAT:
        raise _Invalid(f"certificate format {claim.get('format')!r}, expected {FORMAT}")
    rest = {key: value for key, value in claim.items() if key != "digest"}
    canonical = json.dumps(rest, sort_keys=True, separators=(",", ":")).encode()
    if hashlib.sha256(canonical).hexdigest() != claim.get("digest"):
        raise _Invalid("the certificate was changed after it was written: its digest does not fit")
    needed = {
        "verdict",
        "task",
        "coupling",
        "model",
        "weights",
        "dtype",
        "implementations",
        "contexts",
        "contexts_hash",
        "wrong",
        "margin",
        "lower",
        "bound",
        "tour",
    }
    if missing := sorted(needed - set(claim)):
        raise _Invalid(f"the certificate lacks {missing}")
    if claim["verdict"] != "certified":
        raise _Invalid(f"the certificate's verdict is {claim['verdict']!r}, not 'certified'")
    numbers = [claim[name] for name in ("contexts", "margin", "lower", "bound")]
    if not all(type(x) in (int, float) and math.isfinite(x) for x in numbers):
        raise _Invalid("contexts, margin, lower and bound must be finite numbers")
    return claim


def _read_run(run: Path) -> tuple[dict[str, Any], Weights]:
    config = _read_json(run / "config.json")
    path = run / "model.safetensors"
    try:
        weights = safetensors.numpy.load_file(path)
    except (OSError, safetensors.SafetensorError) as error:
        raise _Invalid(f"{path} cannot be read: {error}") from None
    for name, array in weights.items():
        if array.dtype != np.float32:
            raise _Invalid(f"weight {name} is {array.dtype}, expected float32")
        if not np.isfinite(array).all():
            raise _Invalid(f"weight {name} holds NaN or infinite entries")
    return config, weights


def _compare_run(claim: dict[str, Any], config: dict[str, Any], weights: Weights) -> list[str]:
    """Is the certificate about this run?"""
    digest = hashlib.sha256()
    for name, array in sorted(weights.items()):
        digest.update(f"{name} {array.dtype} {array.shape}\n".encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    problems = []
    if digest.hexdigest() != claim["weights"]:
        problems.append("the run's weights are not those that were certified: their hash differs")
    problems += [
        f"the run's {part} is not the one that was certified"
        for part in ("task", "coupling", "model")
        if config.get(part) != claim[part]
    ]
    return problems


def _derive(config: dict[str, Any]) -> Derived:
    """All contexts of the run's task, coupling and windows."""
    model, task = config["model"], config["task"]
    encoding = model["encoding"]
    if model["blocks"].count("attention") != 1:
        raise _Invalid(f"the model has not one attention block but the blocks {model['blocks']}")
    if any(window is None for window in encoding["windows"]):
        raise _Invalid("a level has no window, so there are infinitely many contexts")
    if encoding["sinks"] > 1:
        raise _Invalid(f"{encoding['sinks']} sinks: only BOS is the same in every instance")
    mechanism, scale = encoding["mechanism"]["name"], encoding["logit_scale"]
    known = mechanism in MECHANISM and scale in SCALES and encoding["embedding"] is None
    if not known or encoding["mechanism"].get("learned", False) is not False:
        raise NotDerivable(
            f"mechanism {mechanism!r} with logit scale {scale!r} has no independent evaluation; "
            f"there is one for {', '.join(MECHANISM)}, not learned, with {SCALES}, no embedding"
        )
    if task["task"] not in DERIVATIONS:
        raise NotDerivable(
            f"task {task['task']!r} has no independent derivation; there are: "
            f"{', '.join(DERIVATIONS)}"
        )
    return DERIVATIONS[task["task"]](task, config["coupling"], encoding["windows"])


def _compare_contexts(claim: dict[str, Any], derived: Derived) -> list[str]:
    count = len(derived.query)
    if claim["contexts"] != count:
        return [f"the certificate is about {claim['contexts']} contexts, but there are {count}"]
    if claim["contexts_hash"] != hash_contexts(derived):
        return ["the certificate is about other contexts than there are: their hash differs"]
    return []


def _compare_margins(
    claim: dict[str, Any], margins: NDArray[np.float64], rounded: NDArray[np.float64]
) -> list[str]:
    """Are all contexts right, by as much as the certificate says?

    `rounded` are margins of a float32 evaluation; they must be as near as the bound claims.
    """
    problems = []
    smallest, seen = float(margins.min()), float(np.abs(margins - rounded).max())
    if not (margins > 0).all() or not (rounded > 0).all():
        wrong = int((~((margins > 0) & (rounded > 0))).sum())
        problems.append(f"the model errs in {wrong} contexts")
    if claim["wrong"] != 0:
        problems.append(f"the certificate itself counts {claim['wrong']} wrong contexts")
    if not abs(smallest - claim["margin"]) <= CLOSE * abs(smallest):
        problems.append(
            f"the smallest margin is {smallest:.6f}, the certificate says {claim['margin']:.6f}"
        )
    least = claim["margin"] - claim["bound"] - CLOSE * abs(claim["margin"])
    if not 0 < claim["lower"] <= claim["margin"] or claim["lower"] < least:
        problems.append("margin, bound and lower bound of the certificate do not fit each other")
    if not seen <= claim["bound"]:
        problems.append(
            f"a float32 evaluation differs by {seen:.2e}, more than the certificate's rounding "
            f"bound {claim['bound']:.2e}"
        )
    named = isinstance(claim["implementations"], list) and claim["implementations"]
    if claim["dtype"] != "float32" or not named:
        problems.append("the certificate names no float32 implementation")
    tour = claim["tour"]
    if tour is not None and (tour["wrong"] or tour["covered"] != claim["contexts"]):
        problems.append("the certificate's tour had mistakes or missed contexts")
    return problems


SCALES = ("constant", "head")


def _evaluate(
    model: dict[str, Any], weights: Weights, derived: Derived, chunk: int = 16384
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Margins [N] in float64, and in float32."""
    try:
        parts = []
        for i in range(0, len(derived.query), chunk):
            part = slice(i, i + chunk)
            target = derived.target[part]
            parts.append(
                [
                    _margins(_forward(model, weights, derived, part, dtype), target)
                    for dtype in (np.float64, np.float32)
                ]
            )
    except (KeyError, ValueError) as error:
        raise _Invalid(f"the weights do not fit the model's configuration: {error}") from None
    exact, rounded = (np.concatenate(column) for column in zip(*parts, strict=True))
    return exact, rounded


def _margins(logits: Floats, target: NDArray[np.int64]) -> NDArray[np.float64]:
    rows = np.arange(len(target))
    others: NDArray[np.float64] = logits.astype(np.float64)
    right = others[rows, target]
    others[rows, target] = -np.inf
    margins: NDArray[np.float64] = right - others.max(axis=1)
    return margins


def _norm(x: Floats, gain: Floats) -> Floats:
    """x / sqrt(mean(x^2) + 1e-6) * gain."""
    y: Floats = x / np.sqrt((x * x).mean(axis=-1, keepdims=True) + x.dtype.type(1e-6)) * gain
    return y


def _mlp(x: Floats, w: Weights, i: int) -> Floats:
    """x + down relu(up norm(x))."""
    hidden = _norm(x, w[f"blocks.{i}.norm.weight"]) @ w[f"blocks.{i}.up.weight"].T
    y: Floats = x + np.maximum(hidden, 0) @ w[f"blocks.{i}.down.weight"].T
    return y


def _forward(
    model: dict[str, Any], weights: Weights, derived: Derived, part: slice, dtype: Any
) -> Floats:
    """Logits [n, V] of some contexts, every intermediate in `dtype`."""
    w = {name: array.astype(dtype) for name, array in weights.items()}
    stream = w["embedding.weight"]  # [V, C]: until attention, a function of the token
    query = derived.query[part]
    x: Floats | None = None
    for i, kind in enumerate(model["blocks"]):
        if kind == "attention":
            mixed = _attention(model, w, i, stream, derived, part)
            x = stream[query] + mixed @ w[f"blocks.{i}.out.weight"].T
        elif x is None:
            stream = _mlp(stream, w, i)
        else:
            x = _mlp(x, w, i)
    assert x is not None
    logits: Floats = _norm(x, w["norm.weight"]) @ w["unembedding.weight"].T
    return logits


def _attention(
    model: dict[str, Any], w: Weights, i: int, stream: Floats, derived: Derived, part: slice
) -> Floats:
    """softmax_j(s q.k_j + bias_j) mixed values, heads side by side: [n, C]."""
    heads, encoding = model["heads"], model["encoding"]
    normed = _norm(stream, w[f"blocks.{i}.norm.weight"])
    q, k, v = (
        (normed @ w[f"blocks.{i}.{name}.weight"].T).reshape(len(stream), heads, -1)
        for name in ("query", "key", "value")
    )
    query, slots = derived.query[part], derived.slots[part]
    sinks = np.full((len(query), encoding["sinks"]), derived.bos)
    tokens = np.concatenate([sinks, slots], 1)
    seen = tokens != ABSENT
    tokens = np.where(seen, tokens, 0)
    scale = w.get(f"blocks.{i}.mechanism.logit_scale")
    if scale is None:
        scale = np.full(heads, 1 / math.sqrt(q.shape[-1]), stream.dtype)
    mixed = np.empty((len(query), *q.shape[1:]), stream.dtype)
    for h in range(heads):
        score = scale[h] * (q[:, h] @ k[:, h].T)[query[:, None], tokens]
        score[:, encoding["sinks"] :] += _relative(encoding, w, i, h, q, scale, query, derived)
        level = (encoding["head_levels"] or range(heads))[h] % len(encoding["windows"])
        visible = seen.copy()
        visible[:, encoding["sinks"] :] &= levels_of(derived) == level
        score[~visible] = -np.inf
        top = score.max(axis=1, keepdims=True)
        blind = np.isneginf(top)  # a head that sees nothing gives 0
        weight = np.exp(score - np.where(blind, 0, top))
        weight /= np.where(blind, 1, weight.sum(axis=1, keepdims=True))
        mixed[:, h] = np.einsum("nw,nwd->nd", weight, v[:, h][tokens])
    return mixed.reshape(len(query), -1)


def _relative(
    encoding: dict[str, Any],
    w: Weights,
    i: int,
    h: int,
    q: Floats,
    scale: Floats,
    query: NDArray[np.int64],
    derived: Derived,
) -> Floats:
    """What a difference adds to the score: [W] or [n, W]."""
    mechanism, d = encoding["mechanism"], derived.differences
    reach = mechanism.get("reach", 0)
    column = np.clip(d, -reach, reach) + reach
    added: Floats = np.zeros(len(d), q.dtype)
    if mechanism["name"] == "table":
        added = w[f"blocks.{i}.mechanism.table"][h, column]
    elif mechanism["name"] == "shaw":
        vectors = w[f"blocks.{i}.mechanism.key_vectors"][h, column]
        added = scale[h] * (q[:, h] @ vectors.T)[query]
    elif mechanism["name"] == "alibi":
        added = (-_alibi_slope(h, len(scale)) * np.abs(d)).astype(q.dtype)
    return added


def _alibi_slope(h: int, heads: int) -> np.float32:
    """ALiBi's slope of head h, as the float32 number the model holds."""
    power = 2 ** int(math.log2(heads))
    if h < power:
        return np.float32(2.0 ** (-8.0 * (h + 1) / power))
    return np.float32(2.0 ** (-8.0 * (2 * (h - power) + 1) / (2 * power)))
