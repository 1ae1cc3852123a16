"""Every row of the literature's table, in every visibility, against loops over its formulas."""

import math
from dataclasses import dataclass

import numpy as np
import pytest
import torch

from arithtf.attention import (
    NO_ID,
    NONE,
    Alibi,
    BiasTable,
    BucketBias,
    Content,
    Fire,
    Kerple,
    LogScale,
    Positions,
    Rotary,
    attention,
    explain,
)
from arithtf.encodings import LearnedEmbedding, SinusoidalEmbedding

B, H, D, REACH = 2, 2, 4, 3


def tensor(seed, *shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


# Ids ----------------------------------------------------------------------------------------------


def index_ids(size, rng):
    return np.tile(np.arange(size), (B, 1))


def randomized_ids(size, rng):
    return np.stack([np.sort(rng.choice(4 * size, size, replace=False)) for _ in range(B)])


def abacus_ids(size, rng):
    """Place in the number, numbers of 4 digits after one symbol each, one start for the batch."""
    place = np.arange(size) % 5
    return np.tile(np.where(place == 0, NO_ID, place + rng.integers(1, 20)), (B, 1))


def coupled_ids(size, rng):
    """Digits of equal significance share an id; symbols have none; a start per instance."""
    third = max(size // 3, 1)
    row = np.concatenate([np.arange(third)[::-1], np.arange(third)[::-1], np.arange(size)])[:size]
    ids = row + rng.integers(0, 30, size=(B, 1))
    return np.where(rng.random((B, size)) < 0.1, NO_ID, ids)


# Formulas: score = scale * (q . k + content) + bias, on plain floats -----------------------------


def no_term(h, q, k, i, j):
    return 0.0, 0.0


def clip(difference):
    return max(-REACH, min(REACH, difference)) + REACH


TABLE = tensor(1, H, 2 * REACH + 1)
SLOPES = tensor(2, H).abs()
R1, R2 = tensor(3, H).abs() + 0.1, torch.rand(H, dtype=torch.float64) + 0.3
T5 = tensor(4, H, 8)
FIRE = Fire(
    tensor(5, 6),
    tensor(6, 6),
    tensor(7, H, 6),
    tensor(8, H),
    torch.tensor(0.3, dtype=torch.float64),
    torch.tensor(5.5, dtype=torch.float64),
)
KEY_VECTORS, QUERY_VECTORS = tensor(9, H, 2 * REACH + 1, D), tensor(10, H, 2 * REACH + 1, D)


def table_term(h, q, k, i, j):
    return 0.0, float(TABLE[h, clip(j - i)])


def alibi_term(h, q, k, i, j):
    return 0.0, -float(SLOPES[h]) * abs(i - j)


def kerple_log_term(h, q, k, i, j):
    return 0.0, -float(R1[h]) * math.log(1 + float(R2[h]) * abs(i - j))


def kerple_power_term(h, q, k, i, j):
    return 0.0, -float(R1[h]) * abs(i - j) ** float(R2[h])


def t5_bucket(relative, bidirectional, buckets=8, max_distance=20):
    """The T5 code's arithmetic on one number; these sizes have no ties for rounding to break."""
    bucket, n = 0, -relative
    if bidirectional:
        buckets //= 2
        bucket += buckets * (n < 0)
        n = abs(n)
    else:
        n = max(n, 0)
    exact = buckets // 2
    if n < exact:
        return bucket + n
    large = exact + int(math.log(n / exact) / math.log(max_distance / exact) * (buckets - exact))
    return bucket + min(large, buckets - 1)


def t5_term(h, q, k, i, j):
    return 0.0, float(T5[h, t5_bucket(j - i, False)])


def t5_both_term(h, q, k, i, j):
    return 0.0, float(T5[h, t5_bucket(j - i, True)])


def fire_term(h, q, k, i, j):
    c, threshold = float(FIRE.c), float(FIRE.threshold)
    x = math.log(1 + abs(c * (i - j))) / (math.log(1 + abs(c * max(i, threshold))) + 1e-6)
    out = float(FIRE.b2[h])
    for w1, b1, w2 in zip(FIRE.w1, FIRE.b1, FIRE.w2[h], strict=True):
        out += float(w2) * max(float(w1) * x + float(b1), 0.0)
    return 0.0, out


def shaw_term(h, q, k, i, j):
    return sum(a * float(b) for a, b in zip(q, KEY_VECTORS[h, clip(j - i)], strict=True)), 0.0


def disentangled_term(h, q, k, i, j):
    by_key = sum(a * float(b) for a, b in zip(k, QUERY_VECTORS[h, clip(j - i)], strict=True))
    return shaw_term(h, q, k, i, j)[0] + by_key, 0.0


def rotary_term(h, q, k, i, j):
    """Difference between the dot product of rotated vectors (complex pairs) and the plain one."""
    turned = plain = 0.0
    for pair in range(D // 2):
        theta = 10000.0 ** (-2 * pair / D)
        a = complex(q[2 * pair], q[2 * pair + 1])
        b = complex(k[2 * pair], k[2 * pair + 1])
        turned += (
            a * complex(math.cos((i - j) * theta), math.sin((i - j) * theta)) * b.conjugate()
        ).real
        plain += (a * b.conjugate()).real
    return turned - plain, 0.0


LEARNED = LearnedEmbedding(1, 300, D).double()
SINUSOIDAL = SinusoidalEmbedding(1, D).double()


def learned_row(i):
    return LEARNED.tables[0, 0 if i == NO_ID else i + 1].tolist()


def sinusoidal_row(i):
    if i == NO_ID:
        return [0.0] * D
    angles = [i / 10000 ** (2 * (e // 2) / D) for e in range(D)]
    return [math.cos(a) if e % 2 else math.sin(a) for e, a in enumerate(angles)]


@dataclass(frozen=True)
class Encoded:
    """A row of the table: ids, mechanism, the formula, and the embedding with its formula."""

    ids: object
    mechanism: object = NONE
    term: object = no_term
    embedding: object = None
    row: object = None


ROWS = {
    "none": Encoded(index_ids),
    "learned absolute": Encoded(index_ids, embedding=LEARNED, row=learned_row),
    "sinusoidal": Encoded(index_ids, embedding=SINUSOIDAL, row=sinusoidal_row),
    "randomized": Encoded(randomized_ids, embedding=LEARNED, row=learned_row),
    "abacus": Encoded(abacus_ids, embedding=LEARNED, row=learned_row),
    "position coupling": Encoded(coupled_ids, embedding=LEARNED, row=learned_row),
    "rotary": Encoded(index_ids, Rotary.from_base(D), rotary_term),
    "coupled rotary": Encoded(coupled_ids, Rotary.from_base(D), rotary_term),
    "alibi": Encoded(index_ids, Alibi(SLOPES), alibi_term),
    "coupled alibi": Encoded(coupled_ids, Alibi(SLOPES), alibi_term),
    "kerple log": Encoded(index_ids, Kerple(R1, R2), kerple_log_term),
    "kerple power": Encoded(coupled_ids, Kerple(R1, R2, "power"), kerple_power_term),
    "t5": Encoded(index_ids, BucketBias(T5, 20), t5_term),
    "t5 bidirectional": Encoded(coupled_ids, BucketBias(T5, 20, True), t5_both_term),
    "fire": Encoded(index_ids, FIRE, fire_term),
    "coupled fire": Encoded(coupled_ids, FIRE, fire_term),
    "shaw": Encoded(index_ids, Content(None, KEY_VECTORS), shaw_term),
    "disentangled": Encoded(coupled_ids, Content(QUERY_VECTORS, KEY_VECTORS), disentangled_term),
    "table": Encoded(coupled_ids, BiasTable(TABLE), table_term),
}
ORDERS = ("causal", "bidirectional", "prefix", "documents")
VIEWS = {
    "dense": {},
    "window": {"windows": (2,)},
    "one-sided": {"windows": ((3, 1),)},
    "levels": {"windows": (1, None)},
    "levels, sinks": {"windows": (1, (2, 0)), "sinks": 2},
    "sinks": {"sinks": 1},
    "head scale": {"windows": (2,), "scale": torch.tensor([0.3, 0.9], dtype=torch.float64)},
    "log scale": {
        "windows": (2,),
        "sinks": 1,
        "scale": LogScale(torch.tensor([0.3, 0.9], dtype=torch.float64)),
    },
}


def loop(query, key, value, query_ids, key_ids, term, call):
    """Attention by loops over plain floats; `call` holds positions, mechanism and scale."""
    windows, sinks, start = call["windows"], call.get("sinks", 0), call["query_start"]
    documents, prefix = call.get("documents"), call.get("prefix")
    out = np.zeros(query.shape)
    for b, h, i in np.ndindex(*query.shape[:3]):
        level, column = h % len(windows), start + i
        document = documents[b] if documents is not None else [0] * key.shape[2]
        first = next(c for c in range(column + 1) if document[c] == document[column])
        bounds = windows[level]
        back, ahead = bounds if isinstance(bounds, tuple) else (bounds, bounds)
        mine, seen = int(query_ids[b, level, i]), []
        for j in range(key.shape[2]):
            its = int(key_ids[b, level, j])
            ordered = not call["causal"] or j <= column or (prefix is not None and j < prefix[b])
            if not ordered or document[j] != document[column]:
                continue
            if first <= j < first + sinks:
                seen.append((j, 0.0, 0.0))
            elif NO_ID not in (mine, its) and (back is None or -back <= its - mine <= ahead):
                seen.append((j, *term(h, query[b, h, i], key[b, h, j], mine, its)))
        scale = call.get("scale")
        factor = 1 / math.sqrt(D)
        if isinstance(scale, LogScale):
            factor = float(scale.scale[h]) * math.log(max(len(seen), 1))
        elif scale is not None:
            factor = float(scale[h])
        scores = [
            factor * (sum(query[b, h, i] * key[b, h, j]) + content) + bias
            for j, content, bias in seen
        ]
        weights = [math.exp(s - max(scores)) for s in scores]
        for (j, _, _), w in zip(seen, weights, strict=True):
            out[b, h, i] += w / sum(weights) * value[b, h, j]
    return out


def make(row, order, view, size):
    """Inputs of `attention` for a case and what it should return."""
    rng = np.random.default_rng([size, len(row), len(order), len(view)])
    encoded, call = ROWS[row], {"windows": (None,), **VIEWS[view]}
    start = int(rng.integers(0, size))
    levels = len(call["windows"])
    ids = np.stack([encoded.ids(size, rng) for _ in range(levels)], axis=1)
    call |= {"causal": order != "bidirectional", "query_start": start}
    if order == "prefix":
        call["prefix"] = torch.tensor(rng.integers(0, size + 1, B), dtype=torch.int32)
    if order == "documents":
        documents = np.sort(rng.integers(0, 3, (B, size)), axis=1)
        call["documents"] = torch.tensor(documents, dtype=torch.int32)
    query, key, value = (rng.standard_normal((B, H, size, D)) for _ in range(3))
    tensors = [torch.from_numpy(x) for x in (query, key, value)]
    if encoded.embedding is not None:
        with torch.no_grad():
            at = torch.from_numpy(ids[:, :1].astype(np.int32))
            added = encoded.embedding(at)[:, None]
        tensors = [x + added for x in tensors]
        for b, t in np.ndindex(B, size):
            for x in (query, key, value):
                x[b, :, t] += encoded.row(int(ids[b, 0, t]))
    # What a query asks for differs from what its token is: shift the query side by one column.
    query_ids = np.roll(ids, -1, axis=2)[:, :, start:]
    want = loop(query[:, :, start:], key, value, query_ids, ids, encoded.term, call)
    tensors[0] = tensors[0][:, :, start:]
    call |= {
        "mechanism": encoded.mechanism,
        "query_ids": torch.from_numpy(query_ids.astype(np.int32)),
        "key_ids": torch.from_numpy(ids.astype(np.int32)),
    }
    return tensors, call, want


def single(x):
    """Float32 of a tensor, or of the tensors of a mechanism or scale."""
    if isinstance(x, torch.Tensor):
        return x.float() if x.is_floating_point() else x
    if isinstance(x, LogScale):
        return LogScale(x.scale.float())
    return type(x)(*(t.float() for t in x.tensors())) if isinstance(x, BiasTable | Alibi) else x


def asked(call):
    """The keywords of `attention` for a call."""
    call = dict(call)
    own = {name: call.pop(name) for name in ("mechanism", "scale") if name in call}
    return {"positions": Positions(**call), **own}


def check(row, order, view, size):
    tensors, call, want = make(row, order, view, size)
    got = attention(*tensors, **asked(call), impl="reference")
    np.testing.assert_allclose(got.numpy(), want, rtol=1e-9, atol=1e-11)
    tensors = [x.float() for x in tensors]
    call = asked({name: single(x) for name, x in call.items()})
    if explain(*tensors, **call).impl == "cpu":
        got = attention(*tensors, **call, impl="cpu")
        np.testing.assert_allclose(got.numpy(), want, rtol=2e-5, atol=2e-6)


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("row", ROWS)
def test_formula(row, order, view):
    check(row, order, view, 17)


@pytest.mark.parametrize("size", [1, 63])
@pytest.mark.parametrize("row", ROWS)
def test_formula_at_other_sizes(row, size):
    check(row, "causal", "levels, sinks", size)
    if size == 1:
        check(row, "bidirectional", "dense", size)


def test_cpu_takes_part_in_the_table():
    """The checks above would pass if `cpu` were never chosen."""
    tensors, call, _ = make("table", "causal", "window", 17)
    call = asked({name: single(x) for name, x in call.items()})
    assert explain(*[x.float() for x in tensors], **call).impl == "cpu"


def test_bucket_edges_are_exact():
    """Where the logarithm is an exact integer, the bucket starts there: 2 * 4^(1/2) = 4."""
    bias = BucketBias(torch.zeros(1, 4), 8)
    distance = torch.arange(0, 20)
    assert bias.buckets(-distance).tolist() == [0, 1, 2, 2] + [3] * 16
