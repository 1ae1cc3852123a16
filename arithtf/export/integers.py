"""A certified model in integers: no rounding is left, so its certificate is equality.

With one windowed attention block all before attention depends on the token alone. So it becomes
tables over the vocabulary: the stream, what each head's value adds to it, and the score of each
pair of tokens at each id difference, in powers of 2. The matrices after it become integers of a few
bits, each row with a factor of its own. `arithtf.export.interpreter` says
how they are read; that file is the definition, it leaves with the integers, and the check runs it.

| numbers | places after the point |
|---|---|
| the stream, values | 16 |
| scores | 10 |
| attention weights, as a share of the largest of the query | 36 |
| normed rows, inner layers | 12 |
| factors of rows of up, down, unembedding | 24 |
"""

from __future__ import annotations

import copy
import hashlib
import json
import math
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from arithtf.certify.certificate import contexts_hash
from arithtf.certify.provable import CannotCertify, check_task, require_provable
from arithtf.export import interpreter
from arithtf.export.layout import layout
from arithtf.model import ContextSet, Trace, Transformer
from arithtf.model.blocks import MLP, NORM_EPS, Attention
from arithtf.origin import portable
from arithtf.runs import load_model, weights_hash, write_atomic, write_json
from arithtf.tasks import ArithmeticTask, Coupling, task_to_dict
from arithtf.tasks.coupling import NO_ID

STREAM, WEIGHT, FACTOR = 16, 36, 24
INNER, SCORE = interpreter.PLACE, interpreter.SCORE
LARGEST = 1 << 62
"""Arrays of 64 bits check what Python's integers of any size solve; no sum may reach this."""

FORMAT = 1


@dataclass(frozen=True, kw_only=True)
class IntegerCertificate:
    """An integer model on every local context that any problem of any length shows.

    Args:
        contexts: number of contexts.
        contexts_hash: their SHA-256 (`arithtf.certify.certificate.contexts_hash`).
        wrong: those in which another token than the right one has the largest logit, or an equal
            one.
        margin: smallest difference of the right token's logit and the next, as a share of the
            largest logit's size in that context.
        bits: of the matrices' entries.
        weights: hash of the model that was exported.
        integers: SHA-256 of model.json.
        interpreter: SHA-256 of solve.py.
    """

    contexts: int
    contexts_hash: str
    wrong: int
    margin: float
    bits: int
    weights: str
    integers: str = ""
    interpreter: str = ""

    @property
    def certified(self) -> bool:
        """The exported model is exact at every length."""
        return self.contexts > 0 and self.wrong == 0


def export_integers(
    run: str | os.PathLike[str], folder: str | os.PathLike[str], *, bits: int = 8
) -> IntegerCertificate:
    """Write a run's model as integers, with an interpreter in plain Python, and check all contexts.

    Args:
        run: a run directory of a model with finitely many local contexts.
        folder: where model.json, solve.py and certificate.json go; made if it does not exist.
        bits: of the matrices' entries, 2..16.

    Returns:
        The certificate. A model that is wrong in some context is written all the same.

    Raises:
        CannotCertify: the model's contexts are not finitely many, or its arithmetic has no form in
            integers.
        RunError: the run directory has no model.
        OSError: the folder cannot be written.
        ValueError: a number of bits that does not exist, or a task without text.
    """
    model, recipe = load_model(Path(run))
    task, coupling = recipe.arithmetic, recipe.coupling
    provable = require_provable(model, task, coupling)
    encoding = provable.config.encoding
    found = check_task(task, coupling, encoding.windows, sinks=encoding.sinks).contexts
    data = integers(provable, task, coupling, found, bits=bits)
    wrong, margin = check(data, found)
    text = json.dumps(data, separators=(",", ":")).encode()
    source = Path(interpreter.__file__).read_bytes()
    certificate = IntegerCertificate(
        contexts=len(found.query_token),
        contexts_hash=contexts_hash(found),
        wrong=wrong,
        margin=margin,
        bits=bits,
        weights=weights_hash(provable),
        integers=hashlib.sha256(text).hexdigest(),
        interpreter=hashlib.sha256(source).hexdigest(),
    )
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    # An interrupted export must not stand beside a certificate of other integers.
    (folder / "certificate.json").unlink(missing_ok=True)
    write_atomic(folder / "model.json", lambda file: file.write(text))
    write_atomic(folder / "solve.py", lambda file: file.write(source))
    verdict = "certified" if certificate.certified else "wrong"
    facts = {"format": FORMAT, "verdict": verdict, **vars(certificate)}
    names = {"task": portable(task_to_dict(task)), "coupling": coupling.to_dict()}
    write_json(folder / "certificate.json", {**facts, **names})
    return certificate


def integers(
    model: Transformer,
    task: ArithmeticTask,
    coupling: Coupling,
    contexts: ContextSet,
    *,
    bits: int = 8,
) -> dict[str, Any]:
    """A model as the data that `arithtf.export.interpreter` reads.

    Args:
        model: a transformer that `require_provable` accepts.
        task: what it was trained on.
        coupling: where its ids come from.
        contexts: all that the task has.
        bits: of the matrices' entries.

    Raises:
        CannotCertify: its logit scale depends on the number of visible keys.
        ValueError: see `export_integers`.
    """
    if not 2 <= bits <= 16:
        raise ValueError(f"expected 2 to 16 bits, got {bits}")
    encoding = model.config.encoding
    if encoding.logit_scale == "log":
        raise CannotCertify(
            "scores grow with the number of visible keys (logit_scale 'log'), so that attention "
            "has no table of weights; train with logit_scale 'constant' or 'head'"
        )
    network = _network(model, contexts, task.vocabulary.bos, bits)
    return {"format": FORMAT, **layout(task, coupling, encoding), "network": network}


def _network(model: Transformer, contexts: ContextSet, bos: int, bits: int) -> dict[str, Any]:
    wide = copy.deepcopy(model).double().eval()
    blocks = [*wide.blocks]
    at = next(i for i, block in enumerate(blocks) if isinstance(block, Attention))
    attention = blocks[at]
    assert isinstance(attention, Attention)
    later = [block for block in blocks[at + 1 :] if isinstance(block, MLP)]
    mlps = []
    for block in later:
        up = _matrix(block.up.weight * block.norm.weight, bits, 0)
        mlps.append({"up": up, "down": _matrix(block.down.weight, bits, STREAM - INNER)})
    network = {
        "bos": bos,
        "sinks": wide.config.encoding.sinks,
        "powers": np.rint(2.0 ** (WEIGHT - np.arange(1 << SCORE) / (1 << SCORE)))
        .astype(int)
        .tolist(),
        "epsilon": round(NORM_EPS * (1 << 2 * STREAM)),
        **_tables(wide, attention, contexts, bos),
        "blocks": mlps,
        "unembedding": _matrix(wide.readout * wide.norm.weight, bits, 0),
    }
    _expect_small(network, contexts)
    return network


def _matrix(weight: Tensor, bits: int, gained: int) -> dict[str, Any]:
    """A matrix as integers: row i is rows[i] * factors[i] / 2^FACTOR.

    Args:
        weight: [out, in].
        bits: of the integers, with the sign.
        gained: places after the point that the product has more than the row it multiplies.
    """
    w = weight.detach().numpy()
    largest = np.maximum(np.abs(w).max(axis=1), 1e-30)
    unit = largest / ((1 << bits - 1) - 1)
    return {
        "rows": np.rint(w / unit[:, None]).astype(np.int64).tolist(),
        "factors": np.rint(unit * (1 << FACTOR)).astype(np.int64).tolist(),
        "shift": FACTOR - gained,
    }


@torch.no_grad()
def _tables(
    model: Transformer, attention: Attention, contexts: ContextSet, bos: int
) -> dict[str, Any]:
    """All before the mix of values, as tables over the vocabulary.

    Each query meets each key at each difference in an instance of two tokens of its own, or of
    three with a sink; a trace reads the scores.
    """
    config, prefix = model.config, attention.prefix
    size, sinks = len(model.readout), config.encoding.sinks
    differences = np.unique(contexts.difference).tolist() or [0]
    names = [prefix + name for name in ("hook_resid_pre", "attn.hook_v", "attn.hook_attn_scores")]
    scores = []
    query, key = (x.ravel() for x in np.divmod(np.arange(size * size), size))
    for difference in differences:
        trace = Trace(*names)
        columns = [np.full(size * size, bos)] * sinks + [key, query]
        tokens = torch.from_numpy(np.stack(columns, axis=1))
        ids = torch.full((1, config.levels, len(columns)), NO_ID, dtype=torch.int32)
        ids[..., -2] = difference
        model(tokens, torch.zeros_like(ids), ids, impl="reference", trace=trace)
        scores.append(trace[names[2]][:, :, -1].numpy())  # [V * V, H, columns]
    score = np.stack(scores)  # [R, V * V, H, sinks + 2]
    own = np.arange(size) * (size + 1)
    stream = trace[names[0]][own, -1].numpy()
    value = trace[names[1]][own, -1].numpy()  # [V, H, D]
    out = attention.out.weight.numpy().reshape(config.width, config.heads, -1)
    values = np.einsum("vhd,chd->hvc", value, out)
    levels = config.encoding.levels_of_heads(config.heads)
    seen = np.where(np.isfinite(score), score, 0)  # what no window shows is never read
    logs = np.rint(seen / math.log(2) * (1 << SCORE)).astype(np.int64)
    heads = [
        {
            "level": level,
            "sink": logs[0, ::size, head, 0].tolist() if sinks else [],
            "scores": {str(d): logs[r, :, head, sinks].tolist() for r, d in enumerate(differences)},
            "values": _fixed(values[head]),
        }
        for head, level in enumerate(levels)
    ]
    return {"stream": _fixed(stream), "heads": heads}


def _fixed(values: NDArray[np.float64]) -> list[Any]:
    rounded: list[Any] = np.rint(values * (1 << STREAM)).astype(np.int64).tolist()
    return rounded


def _expect_small(network: dict[str, Any], contexts: ContextSet) -> None:
    """Check that no sum comes near 2^62, whatever a context shows.

    Raises:
        ValueError: one might.
    """
    width = len(network["stream"][0])
    row = _longest(network["stream"])
    most = int(np.diff(contexts.offsets).max(initial=0)) + network["sinks"]
    sums = []
    for head in network["heads"]:
        value = float(np.abs(np.array(head["values"])).max())
        sums.append(most * value * 2**WEIGHT)
        row += _longest(head["values"])
    normed = 2**INNER * width**0.5 + width  # the length of a normed row, rounded down
    for block in network["blocks"]:
        row += _product_length(block["down"], _product_length(block["up"], normed, sums), sums)
    _product_length(network["unembedding"], normed, sums)
    sums += [(row + width) ** 2, row * 2**INNER]
    if max(sums) >= LARGEST:
        raise ValueError(
            f"expected weights whose sums stay below 2^62, got up to 2^{np.log2(max(sums)):.0f}; "
            "train with weight decay"
        )


def _longest(rows: list[list[int]]) -> float:
    """The length of the longest row."""
    return float(np.linalg.norm(np.array(rows, np.float64), axis=1).max())


def _product_length(matrix: dict[str, Any], length: float, sums: list[float]) -> float:
    """The largest length of a product with rows of this length; its sums are added to `sums`."""
    rows, factors = (np.array(matrix[name], np.float64) for name in ("rows", "factors"))
    sums.append(float((np.linalg.norm(rows, axis=1) * factors).max() * length))
    scaled = rows * factors[:, None] / 2 ** matrix["shift"]
    return float(np.linalg.norm(scaled, 2) * length + len(rows) ** 0.5)


def check(data: dict[str, Any], contexts: ContextSet) -> tuple[int, float]:
    """Run the interpreter's own code on every context, on arrays of those that look alike.

    Args:
        data: see `integers`.
        contexts: N contexts with their targets.

    Returns:
        How many are wrong, and the smallest margin as `IntegerCertificate` has it.
    """
    network = interpreter.Network(_arrays(data["network"]), take=_take)
    wrong, margin = 0, np.inf
    for members, places, tokens in _alike(contexts):
        seen = [(*place, token) for place, token in zip(places, tokens, strict=True)]
        query = contexts.query_token[members].astype(np.int64)
        logits = np.stack(network.logits(query, seen), axis=1)
        each, target = np.arange(len(members)), contexts.target[members]
        right = logits[each, target]
        scale = np.abs(logits).max(axis=1)
        logits[each, target] = -LARGEST
        above = right - logits.max(axis=1)
        wrong += int((above <= 0).sum())
        margin = min(margin, float((above / np.maximum(scale, 1)).min()))
    return wrong, margin


def _arrays(network: dict[str, Any]) -> dict[str, Any]:
    """The tables that `take` reads as arrays; the rest stays."""
    heads = [
        {
            "level": head["level"],
            "sink": np.array(head["sink"]),
            "values": np.array(head["values"]),
            "scores": {key: np.array(table) for key, table in head["scores"].items()},
        }
        for head in network["heads"]
    ]
    arrays = {name: np.array(network[name]) for name in ("stream", "powers")}
    return {**network, **arrays, "heads": heads}


def _take(table: NDArray[np.int64], i: NDArray[np.int64] | int) -> NDArray[np.int64]:
    """Entries of a table, or columns of its rows."""
    return table[i].T


def _alike(contexts: ContextSet, most: int = 1 << 13) -> Any:
    """Contexts that see tokens at the same places: numbers, places, tokens [places][contexts]."""
    count = np.diff(contexts.offsets)
    width = int(count.max(initial=0))
    shape = (len(count), width)
    place, token = np.full((*shape, 2), -1, np.int64), np.zeros(shape, np.int64)
    row = np.repeat(np.arange(len(count)), count)
    column = np.arange(len(row)) - np.repeat(contexts.offsets[:-1], count)
    place[row, column, 0], place[row, column, 1] = contexts.level, contexts.difference
    token[row, column] = contexts.token
    keys = np.concatenate([count[:, None], place.reshape(len(count), -1)], axis=1)
    kinds, number = np.unique(keys, axis=0, return_inverse=True)
    for kind, facts in enumerate(kinds):
        members = np.flatnonzero(number.ravel() == kind)
        size = int(facts[0])
        places = [tuple(pair) for pair in facts[1:].reshape(-1, 2)[:size].tolist()]
        for first in range(0, len(members), most):
            part = members[first : first + most]
            yield part, places, token[part, :size].T
