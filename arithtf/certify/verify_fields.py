"""What the second path expects to find in a run: no setting and no weight that it does not know.

A setting that is ignored could change the model that is proved into another one.
"""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

from arithtf.certify.verify_addition import ABSENT, Derived

FIXED: dict[str, Any] = {
    "name": "transformer",
    "block_encodings": [],
    "key_heads": None,
    "causal": True,
    "norm": "rms",
    "activation": "relu",
    "bias": False,
    "tied": False,
}
"""Settings that have one value in every model that is known here."""
MODEL = {
    "vocabulary",
    "levels",
    "width",
    "heads",
    "hidden",
    "blocks",
    "encoding",
    "dropout",
    "init",
    *FIXED,
}
ENCODING = {"embedding", "mechanism", "windows", "head_levels", "sinks", "logit_scale"}
ATTENTION = ("norm.weight", "query.weight", "key.weight", "value.weight", "out.weight")
MLP = ("norm.weight", "up.weight", "down.weight")
MECHANISM: dict[str, tuple[set[str], tuple[str, ...]]] = {
    "none": (set(), ()),
    "table": ({"reach"}, ("mechanism.table",)),
    "alibi": ({"learned"}, ()),
    "shaw": ({"reach"}, ("mechanism.key_vectors",)),
}
"""What is known of each mechanism: its settings and its weights."""


def unknown_parts(model: dict[str, Any], weights: set[str]) -> list[str]:
    """What does not belong to a model, or is missing.

    Args:
        model: its configuration, from config.json.
        weights: names of the weights in model.safetensors.

    Returns:
        Problems; empty if everything is as expected.
    """
    encoding = model["encoding"]
    mechanism = encoding["mechanism"]
    settings, own = MECHANISM.get(mechanism["name"], (set(mechanism), ()))
    parts = (
        ("model", model, MODEL),
        ("encoding", encoding, ENCODING),
        ("mechanism", mechanism, settings | {"name"}),
    )
    problems = []
    for what, found, expected in parts:
        if set(found) != expected:
            differing = sorted(set(found) ^ expected)
            problems.append(f"the {what}'s settings {differing} are unknown or missing")
    for name, value in FIXED.items():
        if model.get(name) != value or type(model[name]) is not type(value):
            problems.append(f"the model has {name}={model.get(name)!r}, known is {value!r}")
    attention = ATTENTION + own
    if encoding["logit_scale"] == "head":
        attention += ("mechanism.logit_scale",)
    names = {"embedding.weight", "norm.weight", "unembedding.weight"}
    for i, kind in enumerate(model["blocks"]):
        names |= {f"blocks.{i}.{part}" for part in (attention if kind == "attention" else MLP)}
    if weights != names:
        problems.append(f"the weights {sorted(weights ^ names)} are unknown or missing")
    return problems


def hash_contexts(derived: Derived) -> str:
    """SHA-256 of a set of contexts, as a certificate defines it.

    Rows of big-endian int32 (query, target, then level, difference and token of each visible
    token in ascending order, then -1), sorted by their bytes, after their width as text.
    """
    slots = derived.slots.copy()
    levels = levels_of(derived)
    for level, d in set(zip(levels.tolist(), derived.differences.tolist(), strict=True)):
        at = np.flatnonzero((derived.differences == d) & (levels == level))
        slots[:, at] = np.sort(slots[:, at], axis=1)
    # Visible slots first: a stable sort by "is absent" keeps the ascending order.
    order = np.argsort(slots == ABSENT, axis=1, kind="stable")
    slots = np.take_along_axis(slots, order, 1)
    differences, levels = derived.differences[order], levels[order]
    width = int((slots != ABSENT).sum(1).max(initial=0))
    triples = np.stack([levels, differences, slots], 2)
    triples[slots == ABSENT] = -1
    head = np.stack([derived.query, derived.target], 1)
    table = np.concatenate([head, triples[:, :width].reshape(len(head), -1)], 1)
    rows = sorted(row.tobytes() for row in table.astype(">i4"))
    return hashlib.sha256(f"{table.shape[1]}\n".encode() + b"".join(rows)).hexdigest()


def levels_of(derived: Derived) -> NDArray[np.int64]:
    """The level of each slot."""
    return np.zeros_like(derived.differences) if derived.levels is None else derived.levels
