"""`Encoding`: how ids act in a model, as plain data. ids x mechanism x window."""

from __future__ import annotations

from dataclasses import dataclass, field

from torch import Tensor

from arithtf.attention import Window, normalise_window
from arithtf.encodings.mechanisms import MechanismModule, NoPE
from arithtf.encodings.spec import EmbeddingSpec, MechanismSpec

LOGIT_SCALES = ("constant", "head", "log")
WindowLike = int | tuple[int, int] | None


@dataclass(frozen=True, kw_only=True)
class Encoding:
    """How ids act in a model: what they add to the stream, to scores, and whom they hide.

    Args:
        embedding: vectors that ids add to token embeddings; None: none.
        mechanism: how id differences act on scores.
        windows: per level None (no limit), w, or (back, ahead); stored normalised.
        head_levels: level each head reads; None: head h reads level h % levels.
        sinks: leading columns every query sees.
        logit_scale: "constant" 1/sqrt(D); "head": learned per head from there; "log": learned per
            head times log(number of visible keys).

    Raises:
        ValueError, TypeError: what was expected, what came.
    """

    embedding: EmbeddingSpec | None = None
    mechanism: MechanismSpec = field(default_factory=NoPE)
    windows: tuple[WindowLike, ...] = (None,)
    head_levels: tuple[int, ...] | None = None
    sinks: int = 0
    logit_scale: str = "constant"

    def __post_init__(self) -> None:
        if not isinstance(self.mechanism, MechanismSpec):
            raise TypeError(
                "expected a mechanism of arithtf.encodings, such as Table(reach=1), or a "
                f"MechanismSpec of your own, got {self.mechanism!r}"
            )
        if not isinstance(self.embedding, EmbeddingSpec | None):
            raise TypeError(
                "expected an embedding of arithtf.encodings, such as Learned(max_position=99), "
                f"or None, got {self.embedding!r}"
            )
        if self.logit_scale not in LOGIT_SCALES:
            raise ValueError(f"expected logit_scale of {LOGIT_SCALES}, got {self.logit_scale!r}")
        if self.sinks < 0:
            raise ValueError(f"expected sinks >= 0, got {self.sinks}")
        if not self.windows:
            raise ValueError("expected a window per level, got none; windows=(None,) has no limit")
        object.__setattr__(self, "windows", tuple(normalise_window(w) for w in self.windows))
        if self.head_levels is not None:
            object.__setattr__(self, "head_levels", tuple(self.head_levels))
        read = {"head_levels": self.head_levels}
        if self.embedding is not None:
            read["the embedding's levels"] = self.embedding.levels
        for what, levels in read.items():
            if not all(0 <= level < len(self.windows) for level in levels or ()):
                raise ValueError(
                    f"expected {what} within the {len(self.windows)} levels of windows, "
                    f"got {levels}"
                )

    @property
    def finite(self) -> bool:
        """Every level has a window, so a query sees boundedly many ids."""
        return all(window is not None for window in self.windows)

    @property
    def linear(self) -> bool:
        """Attention on a CPU takes time linear in the tokens."""
        return self.finite and self.mechanism.acts_as.linear

    @property
    def translation_invariant(self) -> bool:
        """Shifting all ids changes no bit: they act by integer differences, and add no vectors."""
        return self.embedding is None and self.mechanism.acts_as.translation_invariant

    def levels_of_heads(self, heads: int) -> tuple[int, ...]:
        """The level each of `heads` heads reads.

        Raises:
            ValueError: head_levels is given for another number of heads.
        """
        if self.head_levels is None:
            return tuple(h % len(self.windows) for h in range(heads))
        if len(self.head_levels) != heads:
            raise ValueError(
                f"expected head_levels for {heads} heads, got {len(self.head_levels)} numbers"
            )
        return self.head_levels

    def build(self, heads: int, head_dim: int) -> MechanismModule:
        """The mechanism's module: called, it gives the mechanism; `scale()` is the logit scale.

        Args:
            heads: H.
            head_dim: D.

        Raises:
            ValueError: sizes that the mechanism cannot have.
        """
        self.levels_of_heads(heads)
        return MechanismModule(self.mechanism, self.logit_scale, heads, head_dim)

    def embedded(self, key_ids: Tensor) -> Tensor:
        """Ids of the levels that the embedding reads, of key ids [B, L, T]."""
        levels = None if self.embedding is None else self.embedding.levels
        return key_ids if levels is None else key_ids[:, list(levels)]

    def pairs(self) -> tuple[Window, ...]:
        """The (back, ahead) window of every level, None where it has none."""
        return tuple(normalise_window(w) for w in self.windows)

    def __str__(self) -> str:
        """For people: "mechanism table, windows (back, ahead) (1, 0), sinks 1"."""
        added = "" if self.embedding is None else f"embedding {self.embedding.name}, "
        windows = ", ".join(str(window or "none") for window in self.windows)
        return (
            f"{added}mechanism {self.mechanism.name}, windows (back, ahead) {windows}, "
            f"sinks {self.sinks}"
        )
