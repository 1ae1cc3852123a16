"""What the second path expects to find in a run: no setting and no weight that it does not know.

A setting that is ignored could change the model that is proved into another one.
"""

from __future__ import annotations

from typing import Any

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
