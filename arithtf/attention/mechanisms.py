"""The mechanisms: how ids act on scores, in the literature's formulas.

Each is registered by being defined here; `Mechanism` says what its class variables mean.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar

import torch
from torch import Tensor

from arithtf.attention.mechanism import Mechanism
from arithtf.attention.positions import Positions


@dataclass(frozen=True)
class NoMechanism(Mechanism):
    """Scores do not depend on ids (NoPE, arXiv 2305.19466); ids act by the window only."""

    acts_by = "nothing"
    linear = True
    translation_invariant = True
    fused = "NONE"

    def near(self, reach: int) -> None:
        """No bias."""
        return None


NONE = NoMechanism()


@dataclass(frozen=True)
class BiasTable(Mechanism):
    """A learned number per head and id difference, differences clipped to [-R, R].

    Args:
        table: [H, 2R+1]; column R + difference.
    """

    table: Tensor
    shapes: ClassVar = {"table": "H 2R+1"}
    linear = True
    translation_invariant = True
    fused = "TABLE"

    def bias(self, differences: Tensor, acting: Tensor, positions: Positions) -> Tensor:
        """table[h, clipped difference]."""
        reach = self.table.shape[1] // 2
        return _look_up(self.table, differences.clamp(-reach, reach) + reach, acting)

    def near(self, reach: int) -> Tensor:
        """The table, which holds its ends beyond R."""
        return self.table


@dataclass(frozen=True)
class BucketBias(Mechanism):
    """T5's relative bias: exact buckets near, logarithmic ones far (arXiv 1910.10683, 2.1).

    Args:
        table: [H, NB].
        max_distance: distances from here on share the last bucket.
        bidirectional: half of the buckets for keys ahead; otherwise those all share bucket 0.
    """

    table: Tensor
    max_distance: int = 128
    bidirectional: bool = False
    shapes: ClassVar = {"table": "H NB"}
    translation_invariant = True
    fused = "TABLE"

    def __post_init__(self) -> None:
        super().__post_init__()
        buckets = self.table.shape[1]
        least = 4 if self.bidirectional else 2
        if buckets < least or (self.bidirectional and buckets % 2):
            raise ValueError(
                f"expected at least {least} buckets, an even number if bidirectional, got {buckets}"
            )
        if self.max_distance <= self.exact:
            raise ValueError(
                f"expected max_distance > {self.exact} (the exact buckets), got {self.max_distance}"
            )

    @property
    def side(self) -> int:
        """Buckets of one direction."""
        return self.table.shape[1] // 2 if self.bidirectional else self.table.shape[1]

    @property
    def exact(self) -> int:
        """Distances below this have a bucket of their own."""
        return self.side // 2

    def thresholds(self) -> list[int]:
        """The smallest distance of each bucket after the first, ascending.

        Bucket e + j (e exact buckets, m others) starts at the smallest n with
        n >= e * (max_distance / e)^(j / m), decided in integers: n^m >= e^(m-j) * max_distance^j.
        """
        exact, far = self.exact, self.side - self.exact
        starts = list(range(1, exact + 1))
        for j in range(1, far):
            bound = exact ** (far - j) * self.max_distance**j
            n = max(int(exact * (self.max_distance / exact) ** (j / far)) - 1, exact)
            while n**far < bound:
                n += 1
            starts.append(n)
        return starts

    def buckets(self, differences: Tensor) -> Tensor:
        """Bucket of every difference: int64 tensor of the same shape."""
        distance = differences.abs() if self.bidirectional else (-differences).clamp(min=0)
        edges = torch.tensor(self.thresholds(), device=differences.device)
        bucket = torch.bucketize(distance, edges, right=True)
        return bucket + (differences > 0) * self.side if self.bidirectional else bucket

    def bias(self, differences: Tensor, acting: Tensor, positions: Positions) -> Tensor:
        """table[h, bucket]."""
        return _look_up(self.table, self.buckets(differences), acting)

    @property
    def edges(self) -> tuple[int, ...]:
        """Bucket of each difference in [-R, R], R where the last bucket begins."""
        # A number, also where a tracer has the size as a symbol.
        return _edges(int(self.table.shape[1]), self.max_distance, self.bidirectional)


@lru_cache(maxsize=64)
def _edges(buckets: int, max_distance: int, bidirectional: bool) -> tuple[int, ...]:
    """On the CPU whatever the default device is: to read numbers of a GPU would wait for it."""
    shape = BucketBias(torch.empty(1, buckets, device="cpu"), max_distance, bidirectional)
    reach = shape.thresholds()[-1]
    return tuple(shape.buckets(torch.arange(-reach, reach + 1, device="cpu")).tolist())


@dataclass(frozen=True)
class Alibi(Mechanism):
    """Linear penalty: bias = -slope * |difference| (ALiBi, arXiv 2108.12409, section 3).

    Args:
        slopes: [H].
    """

    slopes: Tensor
    shapes: ClassVar = {"slopes": "H"}
    linear = True
    translation_invariant = True
    # `near` is a table of a head's differences, two windows wide.
    widest = 2**20
    fused = "ALIBI"

    def bias(self, differences: Tensor, acting: Tensor, positions: Positions) -> Tensor:
        """-slope * |difference|."""
        return -self.slopes[:, None, None] * _distances(differences, acting)

    def near(self, reach: int) -> Tensor:
        """The penalty of each difference in reach."""
        return -self.slopes.float()[:, None] * torch.arange(-reach, reach + 1).abs()


@dataclass(frozen=True)
class Kerple(Mechanism):
    """Kernelised relative bias (arXiv 2205.09921, equations 6 and 7), r1 > 0 and r2 > 0.

    "log": -r1 * log(1 + r2 * |difference|); "power": -r1 * |difference|^r2 with r2 <= 2.

    Args:
        r1: [H].
        r2: [H].
        form: "log" or "power".
    """

    r1: Tensor
    r2: Tensor
    form: str = "log"
    shapes: ClassVar = {"r1": "H", "r2": "H"}
    translation_invariant = True

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.form not in ("log", "power"):
            raise ValueError(f"expected form 'log' or 'power', got {self.form!r}")

    def bias(self, differences: Tensor, acting: Tensor, positions: Positions) -> Tensor:
        """The formula of the form."""
        r1, r2 = self.r1[:, None, None], self.r2[:, None, None]
        distance = _distances(differences, acting).to(r1.dtype)
        grown = (r2 * distance).log1p() if self.form == "log" else distance**r2
        return -r1 * grown

    @property
    def fused(self) -> str:
        """Kernels of their own for the two formulas."""
        return f"KERPLE_{self.form.upper()}"


@dataclass(frozen=True)
class Fire(Mechanism):
    """A small network of the normalised log distance (FIRE, arXiv 2310.04418, equation 3).

    x = log(1 + |c * difference|) / (log(1 + |c * max(query_id, threshold)|) + 1e-6),
    bias = w2 relu(w1 x + b1) + b2.

    Args:
        w1: [K]. b1: [K]. w2: [H, K]. b2: [H]. c: []. threshold: [] (the paper's L).
    """

    w1: Tensor
    b1: Tensor
    w2: Tensor
    b2: Tensor
    c: Tensor
    threshold: Tensor
    shapes: ClassVar = {"w1": "K", "b1": "K", "w2": "H K", "b2": "H", "c": "", "threshold": ""}
    fused = "FIRE"

    def bias(self, differences: Tensor, acting: Tensor, positions: Positions) -> Tensor:
        """The network's output."""
        distance, (query_ids, _) = _distances(differences, acting), positions.ids_of_heads()
        c, length = self.c, torch.maximum(query_ids.to(self.c.dtype), self.threshold)
        x = (c * distance).abs().log1p() / ((c * length.unsqueeze(-1)).abs().log1p() + 1e-6)
        hidden = torch.relu(x.unsqueeze(-1) * self.w1 + self.b1)
        if hidden.shape[1] == 1:
            out = (hidden[:, 0] @ self.w2.T + self.b2).permute(0, 3, 1, 2)
        else:
            out = torch.einsum("bhqkw,hw->bhqk", hidden, self.w2) + self.b2[:, None, None]
        return out.masked_fill(~acting, 0.0)


@dataclass(frozen=True)
class Content(Mechanism):
    """A vector per difference, met by the query or the key; differences clipped to [-R, R].

    content = q . key_vectors[difference] + query_vectors[difference] . k. With `key_vectors` alone
    this is Shaw et al. (arXiv 1803.02155, equation 4, keys only); with both, DeBERTa's
    content-to-position and position-to-content terms (arXiv 2006.03654, equation 4).

    Args:
        query_vectors: [H, 2R+1, D] or None.
        key_vectors: [H, 2R+1, D] or None.
    """

    query_vectors: Tensor | None
    key_vectors: Tensor | None
    shapes: ClassVar = {"query_vectors": "H 2R+1 D", "key_vectors": "H 2R+1 D"}
    acts_by = "content"
    translation_invariant = True

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.tensors():
            raise ValueError("expected query_vectors or key_vectors, got neither; use NoMechanism")

    def content(self, query: Tensor, key: Tensor, differences: Tensor, acting: Tensor) -> Tensor:
        """Both products where there are the vectors."""
        terms = []
        if self.key_vectors is not None:
            reach = self.key_vectors.shape[1] // 2
            by_query = query @ self.key_vectors.transpose(-1, -2)
            terms.append(_pick(by_query, differences.clamp(-reach, reach) + reach, acting))
        if self.query_vectors is not None:
            reach = self.query_vectors.shape[1] // 2
            by_key = key @ self.query_vectors.transpose(-1, -2)
            column = (differences.clamp(-reach, reach) + reach).transpose(-1, -2)
            terms.append(_pick(by_key, column, acting.transpose(-1, -2)).transpose(-1, -2))
        return sum(terms[1:], terms[0])

    @property
    def fused(self) -> str:
        """By what meets the vectors: the query, the key, or both."""
        if self.query_vectors is None:
            return "BY_QUERY"
        return "BY_KEY" if self.key_vectors is None else "BY_BOTH"


@dataclass(frozen=True)
class Rotary(Mechanism):
    """Rotate the pair (2i, 2i+1) of q and k by id * inv_freq[i] (RoPE, arXiv 2104.09864, eq. 34).

    Args:
        inv_freq: [D/2], radians per id. `Rotary.from_base(D, base)` gives the paper's.
    """

    inv_freq: Tensor
    shapes: ClassVar = {"inv_freq": "D/2"}
    acts_by = "rotation"
    fixed = True
    fused = "NONE"

    @staticmethod
    def from_base(head_dim: int, base: float = 10000.0) -> Rotary:
        """The paper's frequencies base^(-2i/D), in float64."""
        if head_dim % 2:
            raise ValueError(f"expected an even head_dim for rotary, got {head_dim}")
        return Rotary(base ** (-torch.arange(0, head_dim, 2, dtype=torch.float64) / head_dim))

    def rotated(self, x: Tensor, ids: Tensor) -> Tensor:
        """Adjacent pairs of x, turned.

        The angle is reduced to one turn in float64: ids of a million times a float32 frequency
        would be wrong by a tenth of a radian.
        """
        angles = ids.double().unsqueeze(-1) * self.inv_freq.double()
        turn = angles.remainder(2 * torch.pi).to(x.dtype)
        cos, sin = turn.cos(), turn.sin()
        even, odd = x[..., 0::2], x[..., 1::2]
        return torch.stack((even * cos - odd * sin, even * sin + odd * cos), dim=-1).flatten(-2)


def _distances(differences: Tensor, acting: Tensor) -> Tensor:
    """|difference| where `acting`, else 0: int64, as differences."""
    return differences.masked_fill(~acting, 0).abs()


def _look_up(table: Tensor, column: Tensor, acting: Tensor) -> Tensor:
    """table[h, column] where `acting`, else 0.

    A gather from an expanded table: its backward is a scatter per row and one sum, which is
    deterministic for any number of threads (`table[:, column]` is not) and the fastest found.

    Args:
        table: [H, N]. column: int64 [B, H or 1, Tq, Tk]. acting: bool, broadcastable to column.

    Returns:
        [B, H, Tq, Tk].
    """
    heads, width = table.shape
    index = torch.where(acting, column, width)
    rows = torch.nn.functional.pad(table, (0, 1)).expand(index.shape[0], -1, -1)
    picked = rows.gather(2, index.flatten(2).expand(-1, heads, -1))
    return picked.view(-1, heads, *index.shape[2:])


def _pick(dots: Tensor, column: Tensor, acting: Tensor) -> Tensor:
    """dots[b, h, i, column[b, h, i, j]] where `acting`, else 0.

    Args:
        dots: [B, H, T1, N]. column: int64 [B or 1, H or 1, T1, T2]. acting: as column.
    """
    padded = torch.nn.functional.pad(dots, (0, 1))
    index = column.masked_fill(~acting, dots.shape[-1])
    return padded.gather(3, index.expand(*dots.shape[:2], -1, -1))
