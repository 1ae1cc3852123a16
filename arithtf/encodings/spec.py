"""`Encoding`: how ids act in a model, as plain data. ids x mechanism x window."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from arithtf.attention.geometry import Window, normalise_window

EMBEDDINGS = ("learned", "sinusoidal")
BIASES = ("table", "t5", "alibi", "alibi-learned", "kerple-log", "kerple-power", "fire")
CONTENTS = ("shaw", "disentangled")
MECHANISMS = ("none", *EMBEDDINGS, "rotary", *BIASES, *CONTENTS)
LOGIT_SCALES = ("constant", "head", "log")
WindowLike = int | tuple[int, int] | None


@dataclass(frozen=True, kw_only=True)
class Encoding:
    """How ids act in a model.

    Args:
        mechanism: one of MECHANISMS; where an embedding acts, attention itself has no mechanism.
        windows: per level None (no limit), w, or (back, ahead); stored normalised.
        head_levels: level each head reads; None: head h reads level h % levels.
        sinks: leading columns every query sees.
        reach: differences are clipped to [-reach, reach] (table, shaw, disentangled).
        buckets, max_distance, bidirectional: T5's buckets.
        max_position: largest id of a learned embedding.
        width: hidden width of FIRE's network.
        logit_scale: "constant" 1/sqrt(D); "head": learned per head from there; "log": learned per
            head times log(number of visible keys).
        base: rotary base.

    Raises:
        ValueError: what was expected, what came.
    """

    mechanism: str = "none"
    windows: tuple[WindowLike, ...] = (None,)
    head_levels: tuple[int, ...] | None = None
    sinks: int = 0
    reach: int = 16
    buckets: int = 32
    max_distance: int = 128
    bidirectional: bool = False
    max_position: int = 1024
    width: int = 32
    logit_scale: str = "constant"
    base: float = 10000.0

    def __post_init__(self) -> None:
        if self.mechanism not in MECHANISMS:
            raise ValueError(f"expected mechanism one of {MECHANISMS}, got {self.mechanism!r}")
        if self.logit_scale not in LOGIT_SCALES:
            raise ValueError(f"expected logit_scale of {LOGIT_SCALES}, got {self.logit_scale!r}")
        if not self.windows:
            raise ValueError("expected a window per level, got none; windows=(None,) has no limit")
        object.__setattr__(self, "windows", tuple(normalise_window(w) for w in self.windows))
        if self.head_levels is not None:
            object.__setattr__(self, "head_levels", tuple(self.head_levels))
            if not all(0 <= level < len(self.windows) for level in self.head_levels or ()):
                raise ValueError(
                    f"expected head_levels within the {len(self.windows)} levels of windows, "
                    f"got {self.head_levels}"
                )
        for name, least in (("sinks", 0), ("reach", 0), ("max_position", 0), ("width", 1)):
            if getattr(self, name) < least:
                raise ValueError(f"expected {name} >= {least}, got {getattr(self, name)}")
        side = self.buckets // 2 if self.bidirectional else self.buckets
        if side < 2 or (self.bidirectional and self.buckets % 2):
            raise ValueError(f"expected buckets >= 2 a direction, got {self.buckets}")
        if self.max_distance <= side // 2:
            raise ValueError(
                f"expected max_distance > {side // 2} (the exact buckets), got {self.max_distance}"
            )
        if not self.base > 1:
            raise ValueError(f"expected base > 1, got {self.base}")

    @property
    def finite(self) -> bool:
        """Every level has a window, so a query sees boundedly many ids."""
        return all(window is not None for window in self.windows)

    @property
    def translation_invariant(self) -> bool:
        """Shifting all ids changes no bit: scores are functions of integer id differences.

        Not so for embeddings and FIRE (they read the id itself) and rotary (it depends on the
        difference in exact arithmetic only, not in rounding).
        """
        return self.mechanism not in (*EMBEDDINGS, "rotary", "fire")

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

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON form."""
        data = dataclasses.asdict(self)
        data["windows"] = [None if w is None else list(w) for w in self.pairs()]
        data["head_levels"] = None if self.head_levels is None else list(self.head_levels)
        return data

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Encoding:
        """The inverse of `to_dict`.

        Raises:
            ValueError: unknown fields.
        """
        unknown = set(data) - {f.name for f in dataclasses.fields(cls)}
        if unknown:
            raise ValueError(f"expected fields of Encoding, got unknown {sorted(unknown)}")
        values = dict(data)
        if "windows" in values:
            values["windows"] = tuple(
                tuple(w) if isinstance(w, list) else w for w in values["windows"]
            )
        return cls(**values)

    def pairs(self) -> tuple[Window, ...]:
        """The (back, ahead) window of every level, None where it has none."""
        return tuple(normalise_window(w) for w in self.windows)
