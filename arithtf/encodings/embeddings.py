"""Absolute position embeddings: vectors added to token embeddings, looked up by id."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from arithtf.attention import NO_ID
from arithtf.encodings.spec import EmbeddingSpec


class LearnedEmbedding(nn.Module):
    """A learned vector per id and level, added up over levels (arXiv 1705.03122, section 3.1).

    On indices: absolute positions. On places in numbers with a random start: Abacus
    (arXiv 2405.17399). On coupled ids: position coupling (arXiv 2405.20671), on several levels of
    them arXiv 2410.15787.

    Row 0 of a table is for NO_ID, row 1 + i for id i.

    Args:
        levels: number of id systems; each has a table.
        max_position: the largest id.
        width: C.
        std: standard deviation of the initial entries.
    """

    def __init__(self, levels: int, max_position: int, width: int, std: float = 1.0) -> None:
        super().__init__()
        self.max_position, self.std = max_position, std
        self.tables = nn.Parameter(torch.empty(levels, max_position + 2, width))
        self.initialise()

    @torch.no_grad()
    def initialise(self, generator: torch.Generator | None = None) -> None:
        """Draw all entries from a normal distribution."""
        nn.init.normal_(self.tables, std=self.std, generator=generator)

    def forward(self, ids: Tensor) -> Tensor:
        """Vectors of ids.

        Args:
            ids: int32 [B, L, T], each NO_ID or 0..max_position.

        Returns:
            [B, T, C].

        Raises:
            ValueError: an id beyond the table, or another number of levels.
        """
        levels, rows, width = self.tables.shape
        _check_levels(ids, levels)
        none = ids == NO_ID
        if not torch.compiler.is_compiling() and ids.numel():
            low, high = (int(x) for x in ids.masked_fill(none, 0).aminmax())
            if low < 0 or high > self.max_position:
                raise ValueError(
                    f"expected ids 0..{self.max_position} (or NO_ID), got "
                    f"{low if low < 0 else high}; "
                    "set max_position of the encoding to the largest id that will occur"
                )
        row = ids.masked_fill(none, -1).long() + 1
        row = row + rows * torch.arange(levels, device=ids.device)[:, None]
        return F.embedding(row, self.tables.view(-1, width)).sum(1)


class SinusoidalEmbedding(nn.Module):
    """Sines and cosines of the id (arXiv 1706.03762, section 3.5), added up over levels.

    Entry 2i is sin(id / 10000^(2i/C)), entry 2i+1 the cosine; NO_ID gives zeros. Each level gets
    a learned gain, 1 at first, without which levels could not be told apart.

    Args:
        levels: number of id systems.
        width: C, even.
    """

    frequencies: Tensor

    def __init__(self, levels: int, width: int) -> None:
        super().__init__()
        if width % 2:
            raise ValueError(f"expected an even width for sinusoidal embeddings, got {width}")
        self.gain = nn.Parameter(torch.ones(levels, width))
        exponent = torch.arange(0, width, 2, dtype=torch.float64) / width
        self.register_buffer("frequencies", 10000.0**-exponent, persistent=False)

    @torch.no_grad()
    def initialise(self, generator: torch.Generator | None = None) -> None:
        """Set the gains to 1; nothing is random."""
        self.gain.fill_(1.0)

    def forward(self, ids: Tensor) -> Tensor:
        """Vectors of ids.

        Args:
            ids: int32 [B, L, T].

        Returns:
            [B, T, C].

        Raises:
            ValueError: another number of levels.
        """
        _check_levels(ids, self.gain.shape[0])
        # float64 until one turn is left: float32 loses the phase of ids above a hundred thousand.
        angle = (ids.double().unsqueeze(-1) * self.frequencies.double()).remainder(2 * torch.pi)
        angle = angle.to(self.gain.dtype)
        waves = torch.stack((angle.sin(), angle.cos()), dim=-1).flatten(-2)
        waves = waves.masked_fill((ids == NO_ID).unsqueeze(-1), 0.0)
        return torch.einsum("bltc,lc->btc", waves, self.gain)


def _check_levels(ids: Tensor, levels: int) -> None:
    if ids.dim() != 3 or ids.shape[1] != levels:
        raise ValueError(f"expected ids [B, {levels}, T], got shape {tuple(ids.shape)}")


@dataclass(frozen=True, kw_only=True)
class Learned(EmbeddingSpec, name="learned"):
    """A learned vector per id, see `LearnedEmbedding`.

    Args:
        max_position: the largest id.
    """

    max_position: int = 1024

    def __post_init__(self) -> None:
        if self.max_position < 0:
            raise ValueError(f"expected max_position >= 0, got {self.max_position}")

    def build(self, levels: int, width: int) -> LearnedEmbedding:
        """A table per level."""
        return LearnedEmbedding(levels, self.max_position, width)


@dataclass(frozen=True, kw_only=True)
class Sinusoidal(EmbeddingSpec, name="sinusoidal"):
    """Sines and cosines of the id, see `SinusoidalEmbedding`."""

    def build(self, levels: int, width: int) -> SinusoidalEmbedding:
        """Gains per level."""
        return SinusoidalEmbedding(levels, width)
