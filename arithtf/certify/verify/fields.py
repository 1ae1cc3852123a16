"""What the second path reads: a certificate, a run's configuration and its weights.

Nothing unknown is ignored: a setting or a weight that is not accounted for could change the model
that is proved into another one.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.numpy
from numpy.typing import NDArray

from arithtf.certify.verify.contexts import NotDerivable
from arithtf.certify.verify.network import FUNCTION, TINY

Json = dict[str, Any]
Weights = dict[str, NDArray[np.float32]]
FORMAT = 3
NORMAL = 1 << 23
"""Bits of the smallest normal float32 number, 2^-126; smaller ones are 0 where a library flushes
them."""


ASSUMPTIONS = {
    "numbers": "IEEE 754 binary32",
    "rounding": "to nearest",
    "sums": "any order, any parenthesising",
    "fused multiply-add": "any use",
    "batch": "any shape",
    "ulps of exp, log and 1/sqrt": FUNCTION // 2,
    "results flushed to zero below": TINY,
}
"""What `network` assumes of a computation: one that a certificate is about may not need less."""


class Invalid(Exception):
    """The check cannot go on; the message is the problem."""


def _number(low: float = -math.inf) -> Callable[[Any], bool]:
    return lambda x: type(x) in (int, float) and math.isfinite(x) and x >= low


def _count(low: int = 0) -> Callable[[Any], bool]:
    return lambda x: type(x) is int and x >= low


def _exactly(value: Any) -> Callable[[Any], bool]:
    return lambda x: type(x) is type(value) and bool(x == value)


def _texts(x: Any) -> bool:
    return isinstance(x, dict) and bool(x) and all(isinstance(v, str) and v for v in x.values())


def _attention(x: Any) -> bool:
    known = ("reference", "cpu")
    return isinstance(x, list) and 0 < len(x) == len(set(x)) and set(x) <= set(known)


CLAIM: dict[str, Callable[[Any], bool]] = {
    "format": lambda x: x == FORMAT,
    "verdict": lambda x: x == "certified",
    "reason": lambda x: x == "",
    "task": lambda x: isinstance(x, dict),
    "coupling": lambda x: isinstance(x, dict),
    "model": lambda x: isinstance(x, dict),
    "weights": lambda x: isinstance(x, str),
    "dtype": lambda x: x == "float32",
    "assumptions": lambda x: x == ASSUMPTIONS,
    "implementations": _attention,
    "contexts": _count(1),
    "contexts_hash": lambda x: isinstance(x, str),
    "wrong": lambda x: type(x) is int and x == 0,
    "mistakes": lambda x: x == [],
    "margin": _number(),
    "lower": _number(),
    "bound": _number(),
    "worst": lambda x: isinstance(x, dict),
    "histogram": lambda x: isinstance(x, dict),
    "versions": _texts,
    "seconds": _number(0),
    "digest": lambda x: isinstance(x, str),
}
"""The fields of a certificate, and what is true of each that certifies."""


def read_json(path: Path) -> Json:
    """A file that holds a JSON object.

    Raises:
        Invalid: it does not.
    """
    try:
        data = json.loads(path.read_text())
    except OSError as error:
        raise Invalid(f"{path} cannot be read: {error.strerror}") from None
    except (ValueError, RecursionError) as error:
        raise Invalid(f"{path} is not valid JSON: {error}") from None
    if not isinstance(data, dict):
        raise Invalid(f"{path} does not hold a JSON object")
    return data


def read_claim(path: Path) -> Json:
    """A certificate that says "certified", whole and unchanged.

    Raises:
        Invalid: it is none.
    """
    claim = read_json(path)
    if claim.get("format") != FORMAT:
        raise Invalid(
            f"certificate format {claim.get('format')!r}, expected {FORMAT}; certify the run again "
            "with this version"
        )
    rest = {key: value for key, value in claim.items() if key != "digest"}
    canonical = json.dumps(rest, sort_keys=True, separators=(",", ":")).encode()
    if hashlib.sha256(canonical).hexdigest() != claim.get("digest"):
        raise Invalid("the certificate was changed after it was written: its digest does not fit")
    if differing := sorted(set(claim) ^ set(CLAIM)):
        raise Invalid(f"the certificate's fields {differing} are unknown or missing")
    for name, holds in CLAIM.items():
        if not holds(claim[name]):
            raise Invalid(f"a certificate that certifies has no {name} {claim[name]!r:.80}")
    return claim


def read_weights(path: Path) -> Weights:
    """The weights of a run.

    Raises:
        Invalid: the file cannot be read, or holds other numbers than normal float32 ones.
    """
    try:
        weights = safetensors.numpy.load_file(path)
    except (OSError, safetensors.SafetensorError) as error:
        raise Invalid(f"{path} cannot be read: {error}") from None
    for name, array in weights.items():
        if array.dtype != np.float32:
            raise Invalid(f"weight {name} is {array.dtype}, expected float32")
        if not np.isfinite(array).all():
            raise Invalid(f"weight {name} holds NaN or infinite entries")
        # By the bits: where flushing is on, comparisons take such numbers for 0.
        magnitude = array.view(np.uint32) & 0x7FFF_FFFF
        if ((magnitude > 0) & (magnitude < NORMAL)).any():
            raise Invalid(f"weight {name} has entries so small that a library may take them for 0")
    return weights


def hash_weights(weights: Weights) -> str:
    """SHA-256 over names, dtypes, shapes and bytes, in order of the names."""
    digest = hashlib.sha256()
    for name, array in sorted(weights.items()):
        digest.update(f"{name} {array.dtype} {array.shape}\n".encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


_SIZE = _count(1)
_FIXED: Json = {
    "name": "transformer", "block_encodings": [], "key_heads": None, "causal": True, "norm": "rms",
    "activation": "relu", "bias": False,
}  # fmt: skip
_MODEL: dict[str, Callable[[Any], bool]] = {
    **dict.fromkeys(("vocabulary", "levels", "width", "heads", "hidden"), _SIZE),
    "blocks": lambda x: isinstance(x, list) and set(x) <= {"attention", "mlp"},
    "encoding": lambda x: isinstance(x, dict),
    "tied": lambda x: type(x) is bool,
    # Training alone depends on these two.
    "dropout": _number(0),
    "init": lambda x: x in ("fan-in", "gpt2"),
    **{name: _exactly(value) for name, value in _FIXED.items()},
}
_ENCODING: dict[str, Callable[[Any], bool]] = {
    "embedding": lambda x: x is None,
    "mechanism": lambda x: isinstance(x, dict),
    "windows": lambda x: all(w is None or (len(w) == 2 and all(map(_count(), w))) for w in x),
    "head_levels": lambda x: x is None or all(map(_count(), x)),
    "sinks": _count(),
    "logit_scale": lambda x: x in ("constant", "head", "log"),
}
_FLAG: Callable[[Any], bool] = lambda x: type(x) is bool  # noqa: E731
_MECHANISMS: dict[str, dict[str, Callable[[Any], bool]]] = {
    "none": {},
    "table": {"reach": _count()},
    "alibi": {"learned": _FLAG},
    "t5": {"buckets": _SIZE, "max_distance": _SIZE, "bidirectional": _FLAG},
    "shaw": {"reach": _count()},
    "disentangled": {"reach": _count()},
}


def check_model(model: Json, levels: int, words: int) -> list[str]:
    """Problems with a model's configuration.

    Args:
        model: the JSON form.
        levels: of the coupling.
        words: tokens of the task.

    Raises:
        NotDerivable: nothing is wrong, but its contexts are not finitely many, or it is not known.
    """
    encoding = model["encoding"]
    mechanism = encoding["mechanism"]
    for what, part in (("embedding", encoding["embedding"]), ("mechanism", mechanism)):
        name = None if part is None else part["name"]
        if name is not None and (what == "embedding" or name not in _MECHANISMS):
            raise NotDerivable(
                f"{what} {name!r} has no independent evaluation; there is one for no embedding and "
                f"the mechanisms {', '.join(_MECHANISMS)}"
            )
    if None in encoding["windows"]:
        raise NotDerivable("a level has no window, so there are infinitely many contexts")
    if model["blocks"].count("attention") != 1:
        raise NotDerivable("contexts are local in models with one attention block alone")
    settings = {"name": lambda x: isinstance(x, str)} | _MECHANISMS[mechanism["name"]]
    parts = (("model", model, _MODEL), ("encoding", encoding, _ENCODING),
             ("mechanism", mechanism, settings))  # fmt: skip
    problems = []
    for what, found, known in parts:
        if differing := sorted(set(found) ^ set(known)):
            problems.append(f"the {what}'s settings {differing} are unknown or missing")
        wrong = [name for name in found if name in known and not known[name](found[name])]
        problems += [f"the {what} has {name} {found[name]!r:.80}, not known here" for name in wrong]
    heads = encoding["head_levels"]
    fits = {
        "one window and one coupling level a level": (len(encoding["windows"]), levels)
        == (model["levels"],) * 2,
        "the task's tokens": model["vocabulary"] == words,
        "at most one sink, BOS": encoding["sinks"] <= 1,
        "a width that heads share": model["width"] % model["heads"] == 0,
        "a level for every head": heads is None
        or (len(heads) == model["heads"] and max(heads) < model["levels"]),
    }
    return problems + [f"the model has not {what}" for what, holds in fits.items() if not holds]


def check_shapes(model: Json, weights: Mapping[str, NDArray[Any]]) -> list[str]:
    """Weights that are unknown, missing, or of another shape than the configuration says."""
    width, hidden, heads = model["width"], model["hidden"], model["heads"]
    encoding, square = model["encoding"], (width, width)
    mechanism = encoding["mechanism"]
    row = 2 * mechanism.get("reach", 0) + 1
    vectors = (heads, row, width // heads)
    own: dict[str, dict[str, tuple[int, ...]]] = {
        "table": {"table": (heads, row)},
        "alibi": {"slopes": (heads,)} if mechanism.get("learned") else {},
        "t5": {"table": (heads, mechanism.get("buckets", 0))},
        "shaw": {"key_vectors": vectors},
        "disentangled": {"key_vectors": vectors, "query_vectors": vectors},
    }
    acting = dict(own.get(mechanism["name"], {}))
    if encoding["logit_scale"] != "constant":
        acting["logit_scale"] = (heads,)
    block: dict[str, dict[str, tuple[int, ...]]] = {
        "mlp": {"up.weight": (hidden, width), "down.weight": (width, hidden)},
        "attention": {
            **{f"{name}.weight": square for name in ("query", "key", "value", "out")},
            **{f"mechanism.{name}": shape for name, shape in acting.items()},
        },
    }
    table = (model["vocabulary"], width)
    expected = {"embedding.weight": table, "norm.weight": (width,)}
    expected |= {} if model["tied"] else {"unembedding.weight": table}
    for i, kind in enumerate(model["blocks"]):
        expected[f"blocks.{i}.norm.weight"] = (width,)
        expected |= {f"blocks.{i}.{name}": shape for name, shape in block[kind].items()}
    found = {name: array.shape for name, array in weights.items()}
    differing = [n for n in sorted({*found, *expected}) if found.get(n) != expected.get(n)]
    return [
        f"weight {n} has the shape {found.get(n)}, the configuration says {expected.get(n)}"
        for n in differing
    ]
