"""nn.Modules that own a mechanism's parameters: calling one gives the mechanism, ready to use."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

from arithtf.attention.mechanisms import (
    NONE,
    Alibi,
    BiasTable,
    BucketBias,
    Content,
    Fire,
    Kerple,
    LogScale,
    Mechanism,
    Rotary,
)
from arithtf.encodings.spec import Encoding


class MechanismModule(nn.Module):
    """Base: no parameters but the logit scale, and no mechanism in attention.

    Args:
        encoding: which logit scale, sizes of tables.
        heads: H.
        head_dim: D.
    """

    def __init__(self, encoding: Encoding, heads: int, head_dim: int) -> None:
        super().__init__()
        self.encoding, self.heads, self.head_dim = encoding, heads, head_dim
        learned = encoding.logit_scale != "constant"
        self.logit_scale = nn.Parameter(torch.empty(heads)) if learned else None

    @torch.no_grad()
    def initialise(self, generator: torch.Generator | None = None) -> None:
        """Set all parameters as the source of the mechanism does, drawing from `generator`.

        Logit scales start at 1/sqrt(D); those that grow with log n at 0.43 of that
        (arXiv 2501.19399, the mean its models learn).
        """
        if self.logit_scale is not None:
            start = 0.43 if self.encoding.logit_scale == "log" else 1.0
            self.logit_scale.fill_(start / math.sqrt(self.head_dim))

    def scale(self) -> Tensor | LogScale | None:
        """The `scale` argument of `attention`."""
        if self.logit_scale is None:
            return None
        return (
            LogScale(self.logit_scale) if self.encoding.logit_scale == "log" else (self.logit_scale)
        )

    def forward(self) -> Mechanism:
        """The mechanism with the current parameters."""
        return NONE


class TableModule(MechanismModule):
    """Bias per clipped difference; starts at 0, which is no bias."""

    def __init__(self, encoding: Encoding, heads: int, head_dim: int) -> None:
        super().__init__(encoding, heads, head_dim)
        self.table = nn.Parameter(torch.empty(heads, 2 * encoding.reach + 1))
        self.initialise()

    @torch.no_grad()
    def initialise(self, generator: torch.Generator | None = None) -> None:
        """All zeros."""
        super().initialise(generator)
        self.table.zero_()

    def forward(self) -> BiasTable:
        """The mechanism with the current parameters."""
        return BiasTable(self.table)


class BucketModule(MechanismModule):
    """T5's buckets; starts at 0."""

    def __init__(self, encoding: Encoding, heads: int, head_dim: int) -> None:
        super().__init__(encoding, heads, head_dim)
        self.table = nn.Parameter(torch.empty(heads, encoding.buckets))
        self.initialise()

    @torch.no_grad()
    def initialise(self, generator: torch.Generator | None = None) -> None:
        """All zeros."""
        super().initialise(generator)
        self.table.zero_()

    def forward(self) -> BucketBias:
        """The mechanism with the current parameters."""
        return BucketBias(self.table, self.encoding.max_distance, self.encoding.bidirectional)


def alibi_slopes(heads: int) -> Tensor:
    """ALiBi's slopes (arXiv 2108.12409, section 3): 2^(-8/H), 2^(-16/H), ... for H a power of two.

    Other H: those of the next lower power of two, then every other one of the next higher.

    Returns:
        [H].
    """
    power = 2 ** int(math.log2(heads))
    slopes = [2.0 ** (-8.0 * (i + 1) / power) for i in range(power)]
    between = [2.0 ** (-8.0 * (i + 1) / (2 * power)) for i in range(0, 2 * (heads - power), 2)]
    return torch.tensor(slopes + between)


class AlibiModule(MechanismModule):
    """ALiBi, its slopes fixed (a buffer) or learned."""

    slopes: Tensor

    def __init__(self, encoding: Encoding, heads: int, head_dim: int) -> None:
        super().__init__(encoding, heads, head_dim)
        if encoding.mechanism == "alibi-learned":
            self.slopes = nn.Parameter(torch.empty(heads))
        else:
            self.register_buffer("slopes", torch.empty(heads), persistent=False)
        self.initialise()

    @torch.no_grad()
    def initialise(self, generator: torch.Generator | None = None) -> None:
        """The paper's slopes."""
        super().initialise(generator)
        self.slopes.copy_(alibi_slopes(self.heads))

    def forward(self) -> Alibi:
        """The mechanism with the current parameters."""
        return Alibi(self.slopes)


class KerpleModule(MechanismModule):
    """Kerple; positive parameters are kept as logarithms.

    For "power" the exponent is 2 * sigmoid, as it must stay below 2.
    """

    def __init__(self, encoding: Encoding, heads: int, head_dim: int) -> None:
        super().__init__(encoding, heads, head_dim)
        self.raw1 = nn.Parameter(torch.empty(heads))
        self.raw2 = nn.Parameter(torch.empty(heads))
        self.initialise()

    @torch.no_grad()
    def initialise(self, generator: torch.Generator | None = None) -> None:
        """r1 uniform in (0, 2), r2 in (0, 1) for "log"; the other way round for "power"."""
        super().initialise(generator)
        draws = torch.rand(2, self.heads, generator=generator).clamp(1e-3, 1 - 1e-3)
        if self.encoding.mechanism == "kerple-log":
            self.raw1.copy_((2 * draws[0]).log())
            self.raw2.copy_(draws[1].log())
        else:
            self.raw1.copy_(draws[0].log())
            self.raw2.copy_(draws[1].logit())

    def forward(self) -> Kerple:
        """The mechanism with the current parameters."""
        if self.encoding.mechanism == "kerple-log":
            return Kerple(self.raw1.exp(), self.raw2.exp(), "log")
        return Kerple(self.raw1.exp(), 2 * self.raw2.sigmoid(), "power")


class FireModule(MechanismModule):
    """FIRE; the threshold is a learned multiple of 512, c starts at 0.1 (its appendix)."""

    def __init__(self, encoding: Encoding, heads: int, head_dim: int) -> None:
        super().__init__(encoding, heads, head_dim)
        self.w1 = nn.Parameter(torch.empty(encoding.width))
        self.b1 = nn.Parameter(torch.empty(encoding.width))
        self.w2 = nn.Parameter(torch.empty(heads, encoding.width))
        self.b2 = nn.Parameter(torch.empty(heads))
        self.c = nn.Parameter(torch.empty(()))
        self.multiplier = nn.Parameter(torch.empty(()))
        self.initialise()

    @torch.no_grad()
    def initialise(self, generator: torch.Generator | None = None) -> None:
        """Uniform within 1/sqrt(fan-in), as the authors' linear layers."""
        super().initialise(generator)
        for tensors, fan_in in (((self.w1, self.b1), 1), ((self.w2, self.b2), self.w1.shape[0])):
            for tensor in tensors:
                tensor.uniform_(-(fan_in**-0.5), fan_in**-0.5, generator=generator)
        self.c.fill_(0.1)
        self.multiplier.fill_(1.0)

    def forward(self) -> Fire:
        """The mechanism with the current parameters."""
        threshold = (512.0 * self.multiplier).abs()
        return Fire(self.w1, self.b1, self.w2, self.b2, self.c, threshold)


class ContentModule(MechanismModule):
    """A vector per head and clipped difference for the key side; "disentangled": for both."""

    def __init__(self, encoding: Encoding, heads: int, head_dim: int) -> None:
        super().__init__(encoding, heads, head_dim)
        shape = (heads, 2 * encoding.reach + 1, head_dim)
        both = encoding.mechanism == "disentangled"
        self.key_vectors = nn.Parameter(torch.empty(shape))
        self.query_vectors = nn.Parameter(torch.empty(shape)) if both else None
        self.initialise()

    @torch.no_grad()
    def initialise(self, generator: torch.Generator | None = None) -> None:
        """Normal, standard deviation 1/sqrt(D)."""
        super().initialise(generator)
        for vectors in (self.key_vectors, self.query_vectors):
            if vectors is not None:
                nn.init.normal_(vectors, std=self.head_dim**-0.5, generator=generator)

    def forward(self) -> Content:
        """The mechanism with the current parameters."""
        return Content(self.query_vectors, self.key_vectors)


class RotaryModule(MechanismModule):
    """Rotary frequencies, fixed."""

    inv_freq: Tensor

    def __init__(self, encoding: Encoding, heads: int, head_dim: int) -> None:
        super().__init__(encoding, heads, head_dim)
        frequencies = Rotary.from_base(head_dim, encoding.base).inv_freq
        self.register_buffer("inv_freq", frequencies, persistent=False)
        self.initialise()

    def forward(self) -> Rotary:
        """The mechanism with the current parameters."""
        return Rotary(self.inv_freq)


class NoMechanismModule(MechanismModule):
    """For encodings that act by the window alone or by an embedding."""

    def __init__(self, encoding: Encoding, heads: int, head_dim: int) -> None:
        super().__init__(encoding, heads, head_dim)
        self.initialise()


_MODULES: dict[str, Callable[[Encoding, int, int], MechanismModule]] = {
    "none": NoMechanismModule,
    "learned": NoMechanismModule,
    "sinusoidal": NoMechanismModule,
    "rotary": RotaryModule,
    "table": TableModule,
    "t5": BucketModule,
    "alibi": AlibiModule,
    "alibi-learned": AlibiModule,
    "kerple-log": KerpleModule,
    "kerple-power": KerpleModule,
    "fire": FireModule,
    "shaw": ContentModule,
    "disentangled": ContentModule,
}


def build_mechanism(encoding: Encoding, heads: int, head_dim: int) -> MechanismModule:
    """The module of an encoding: `module()` gives the mechanism, `module.scale()` the logit scale.

    Args:
        encoding: what to build.
        heads: H.
        head_dim: D.

    Raises:
        ValueError: sizes that the mechanism cannot have.
    """
    encoding.levels_of_heads(heads)
    return _MODULES[encoding.mechanism](encoding, heads, head_dim)
