"""The mechanisms of the literature, and the module that owns a mechanism's tensors.

Each mechanism is one frozen dataclass, registered by its definition: its fields, its traits, how
its tensors start, and what of `arithtf.attention` they make.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from arithtf.attention import (
    NONE,
    Alibi,
    BiasTable,
    BucketBias,
    Content,
    Fire,
    Kerple,
    LogScale,
    Mechanism,
    NoMechanism,
    Rotary,
)
from arithtf.encodings.spec import MechanismSpec

Tensors = dict[str, Tensor]
Generator = torch.Generator | None


class MechanismModule(nn.Module):
    """The tensors of a mechanism and the logit scale: calling it gives the mechanism, ready to use.

    Args:
        spec: the mechanism.
        logit_scale: see `Encoding`.
        heads: H.
        head_dim: D.
    """

    def __init__(self, spec: MechanismSpec, logit_scale: str, heads: int, head_dim: int) -> None:
        super().__init__()
        self.spec, self.grows, self.heads, self.head_dim = (
            spec,
            logit_scale == "log",
            heads,
            head_dim,
        )
        self.logit_scale = None if logit_scale == "constant" else nn.Parameter(torch.empty(heads))
        tensors = spec.initial(heads, head_dim, None)
        self.names = tuple(tensors)
        for name, tensor in tensors.items():
            if spec.trained:
                self.register_parameter(name, nn.Parameter(tensor))
            else:
                self.register_buffer(name, tensor, persistent=False)
        self.initialise()

    @torch.no_grad()
    def initialise(self, generator: Generator = None) -> None:
        """Set all parameters as the source of the mechanism does, drawing from `generator`.

        Logit scales start at 1/sqrt(D); those that grow with log n at 0.43 of that
        (arXiv 2501.19399, the mean its models learn).
        """
        if self.logit_scale is not None:
            self.logit_scale.fill_((0.43 if self.grows else 1.0) / math.sqrt(self.head_dim))
        if self.spec.trained:
            for name, start in self.spec.initial(self.heads, self.head_dim, generator).items():
                getattr(self, name).copy_(start)

    def scale(self) -> Tensor | LogScale | None:
        """The `scale` argument of `attention`."""
        if self.logit_scale is None:
            return None
        return LogScale(self.logit_scale) if self.grows else self.logit_scale

    def forward(self) -> Mechanism:
        """The mechanism with the current values."""
        return self.spec.mechanism({name: getattr(self, name) for name in self.names})


@dataclass(frozen=True, kw_only=True)
class NoPE(MechanismSpec, name="none"):
    """Scores do not depend on ids (arXiv 2305.19466), which act by windows or an embedding."""

    def initial(self, heads: int, head_dim: int, generator: Generator) -> Tensors:
        """None."""
        return {}

    def mechanism(self, tensors: Mapping[str, Tensor]) -> NoMechanism:
        """No mechanism."""
        return NONE


@dataclass(frozen=True, kw_only=True)
class Table(MechanismSpec, name="table"):
    """A learned bias per head and difference; starts at 0, which is no bias.

    Args:
        reach: differences are clipped to [-reach, reach].
    """

    reach: int = 16

    def __post_init__(self) -> None:
        _at_least(0, reach=self.reach)

    def initial(self, heads: int, head_dim: int, generator: Generator) -> Tensors:
        """All zeros."""
        return {"table": torch.zeros(heads, 2 * self.reach + 1)}

    def mechanism(self, tensors: Mapping[str, Tensor]) -> BiasTable:
        """The table."""
        return BiasTable(tensors["table"])


@dataclass(frozen=True, kw_only=True)
class T5(MechanismSpec, name="t5"):
    """A learned bias per bucket of differences (arXiv 1910.10683, section 2.1); starts at 0.

    Args:
        buckets, max_distance, bidirectional: see `arithtf.attention.BucketBias`.
    """

    buckets: int = 32
    max_distance: int = 128
    bidirectional: bool = False

    def __post_init__(self) -> None:
        self.mechanism(self.initial(1, 1, None))  # checks the numbers

    def initial(self, heads: int, head_dim: int, generator: Generator) -> Tensors:
        """All zeros."""
        return {"table": torch.zeros(heads, self.buckets)}

    def mechanism(self, tensors: Mapping[str, Tensor]) -> BucketBias:
        """The table of buckets."""
        return BucketBias(tensors["table"], self.max_distance, self.bidirectional)


@dataclass(frozen=True, kw_only=True)
class ALiBi(MechanismSpec, name="alibi"):
    """A penalty in proportion to the distance (arXiv 2108.12409, section 3).

    Args:
        learned: train the slopes, from the paper's on.
    """

    learned: bool = False

    @property
    def trained(self) -> bool:
        """By choice."""
        return self.learned

    def initial(self, heads: int, head_dim: int, generator: Generator) -> Tensors:
        """The paper's slopes."""
        return {"slopes": alibi_slopes(heads)}

    def mechanism(self, tensors: Mapping[str, Tensor]) -> Alibi:
        """The slopes."""
        return Alibi(tensors["slopes"])


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


@dataclass(frozen=True, kw_only=True)
class KERPLE(MechanismSpec, name="kerple"):
    """A penalty that grows like a logarithm or a power of the distance (arXiv 2205.09921).

    Positive numbers are trained as logarithms; the exponent is 2 * sigmoid, to stay below 2.

    Args:
        form: "log" or "power".
    """

    form: str = "log"

    def __post_init__(self) -> None:
        if self.form not in ("log", "power"):
            raise ValueError(f"expected form 'log' or 'power', got {self.form!r}")

    def initial(self, heads: int, head_dim: int, generator: Generator) -> Tensors:
        """r1 uniform in (0, 2), r2 in (0, 1) for "log"; the other way round for "power"."""
        draws = torch.rand(2, heads, generator=generator).clamp(1e-3, 1 - 1e-3)
        if self.form == "log":
            return {"raw1": (2 * draws[0]).log(), "raw2": draws[1].log()}
        return {"raw1": draws[0].log(), "raw2": draws[1].logit()}

    def mechanism(self, tensors: Mapping[str, Tensor]) -> Kerple:
        """The kernel."""
        raw1, raw2 = tensors["raw1"], tensors["raw2"]
        return Kerple(
            raw1.exp(), raw2.exp() if self.form == "log" else 2 * raw2.sigmoid(), self.form
        )


@dataclass(frozen=True, kw_only=True)
class FIRE(MechanismSpec, name="fire"):
    """A small network of the normalised log distance (arXiv 2310.04418, equation 3).

    Args:
        width: of its hidden layer.
    """

    width: int = 32

    def __post_init__(self) -> None:
        _at_least(1, width=self.width)

    def initial(self, heads: int, head_dim: int, generator: Generator) -> Tensors:
        """Uniform within 1/sqrt(fan-in), as the authors' linear layers; c is 0.1 (appendix)."""

        def drawn(fan_in: int, *shape: int) -> Tensor:
            return torch.empty(shape).uniform_(-(fan_in**-0.5), fan_in**-0.5, generator=generator)

        k = self.width
        return {
            "w1": drawn(1, k),
            "b1": drawn(1, k),
            "w2": drawn(k, heads, k),
            "b2": drawn(k, heads),
            "c": torch.tensor(0.1),
            "multiplier": torch.tensor(1.0),
        }

    def mechanism(self, tensors: Mapping[str, Tensor]) -> Fire:
        """The network; its threshold is a learned multiple of 512."""
        w1, b1, w2, b2, c, multiplier = tensors.values()
        return Fire(w1, b1, w2, b2, c, (512.0 * multiplier).abs())


@dataclass(frozen=True, kw_only=True)
class Shaw(MechanismSpec, name="shaw"):
    """A vector per head and difference that the query meets (arXiv 1803.02155, keys only).

    The authors found vectors for values to add nothing (section 4.3).

    Args:
        reach: differences are clipped to [-reach, reach].
    """

    reach: int = 16

    def __post_init__(self) -> None:
        _at_least(0, reach=self.reach)

    def initial(self, heads: int, head_dim: int, generator: Generator) -> Tensors:
        """Normal with variance 1/D."""
        shape = (heads, 2 * self.reach + 1, head_dim)
        return {"key_vectors": _normal(shape, generator)}

    def mechanism(self, tensors: Mapping[str, Tensor]) -> Content:
        """The vectors."""
        return Content(tensors.get("query_vectors"), tensors["key_vectors"])


@dataclass(frozen=True, kw_only=True)
class Disentangled(Shaw, name="disentangled"):
    """DeBERTa (arXiv 2006.03654): vectors that the query meets, and others that the key meets.

    Its scores are divided by sqrt(3D) there; here the logit scale is 1/sqrt(D) or learned.
    """

    def initial(self, heads: int, head_dim: int, generator: Generator) -> Tensors:
        """Normal with variance 1/D."""
        first = super().initial(heads, head_dim, generator)
        return first | {"query_vectors": _normal(first["key_vectors"].shape, generator)}


@dataclass(frozen=True, kw_only=True)
class RoPE(MechanismSpec, name="rotary"):
    """Queries and keys turned by their ids (arXiv 2104.09864, equation 34); frequencies are fixed.

    Args:
        base: of the frequencies.
    """

    base: float = 10000.0

    def __post_init__(self) -> None:
        if not self.base > 1:
            raise ValueError(f"expected base > 1, got {self.base}")

    @property
    def trained(self) -> bool:
        """Never."""
        return False

    def initial(self, heads: int, head_dim: int, generator: Generator) -> Tensors:
        """The paper's frequencies, in float64."""
        return {"inv_freq": Rotary.from_base(head_dim, self.base).inv_freq}

    def mechanism(self, tensors: Mapping[str, Tensor]) -> Rotary:
        """The frequencies."""
        return Rotary(tensors["inv_freq"])


def _normal(shape: tuple[int, ...], generator: Generator) -> Tensor:
    """Variance 1 / last dimension."""
    return nn.init.normal_(torch.empty(shape), std=shape[-1] ** -0.5, generator=generator)


def _at_least(least: int, **values: int) -> None:
    for name, value in values.items():
        if value < least:
            raise ValueError(f"expected {name} >= {least}, got {value}")
