"""`Mechanism`, what all mechanisms share: how an id difference acts on attention scores.

All differences are `key_id - query_id` on the level that the head reads. With `s` the logit scale,

    score = s * (q . k + content(q, k, difference)) + bias(difference)

Sinks take part with the plain `s * q . k`: no bias, no content term, no rotation.

A mechanism is a frozen dataclass of tensors and is registered by being defined: the shapes of its
tensors, its formula, and what implementations other than the reference need to know of it. The
formula is what is correct, and every tensor gets gradients through it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, ClassVar, Literal

from torch import Tensor

from arithtf.attention.positions import Positions

MECHANISMS: dict[str, type[Mechanism]] = {}
"""Every mechanism by the name of its class, which stands for it in the registered operators."""


@dataclass(frozen=True)
class Mechanism:
    """Base of all mechanisms.

    Class variables:
        shapes: dimensions of each field that is a tensor, in order, as in "H 2R+1": H heads, D head
            dimension, 2R+1 an odd number; other letters stand for one size in all tensors.
        acts_by: how it enters the scores, which says which of the methods it has: `bias`,
            `content`, or `rotated` ("rotation").
        linear: the CPU's windowed attention can run it, for `near` gives all it needs; within
            windows up to `widest`.
        fixed: the fused kernels give its tensors no gradients.
        translation_invariant: shifting all ids changes no bit, since scores are functions of
            integer id differences. Not so where the id itself is read (FIRE), nor where the
            difference decides in exact arithmetic but not in rounding (rotary).
    """

    shapes: ClassVar[Mapping[str, str]] = {}
    acts_by: ClassVar[Literal["nothing", "bias", "content", "rotation"]] = "bias"
    linear: ClassVar[bool] = False
    widest: ClassVar[int] = 2**31 - 1
    fixed: ClassVar[bool] = False
    translation_invariant: ClassVar[bool] = False

    def __init_subclass__(cls) -> None:
        MECHANISMS[cls.__name__] = cls

    def __post_init__(self) -> None:
        for name, dims in self.shapes.items():
            tensor = getattr(self, name)
            if tensor is None:
                continue
            if tensor.dim() != len(dims.split()):
                raise ValueError(f"expected {self._of(name)}, got shape {list(tensor.shape)}")
            if not tensor.is_floating_point():
                raise TypeError(
                    f"expected floating-point {self._of(name)}, got {tensor.dtype}; convert it"
                )
            if "2R+1" in dims and tensor.shape[1] % 2 == 0:
                raise ValueError(
                    f"expected {self._of(name)} of odd width 2R+1, got {tensor.shape[1]}; "
                    "differences -R..R each have a column"
                )

    def _of(self, name: str) -> str:
        return f"{name} [{', '.join(self.shapes[name].split())}]"

    def validate(self, heads: int, head_dim: int) -> None:
        """Raise ValueError if the tensors do not fit `heads`, `head_dim` and each other."""
        sizes: dict[str, float] = {"H": heads, "D": head_dim, "D/2": head_dim / 2}
        for name, dims in self.shapes.items():
            tensor = getattr(self, name)
            if tensor is None:
                continue
            for dim, size in zip(dims.split(), tensor.shape, strict=True):
                if dim != "2R+1" and sizes.setdefault(dim, size) != size:
                    raise ValueError(
                        f"expected {self._of(name)} with {dim} = {sizes[dim]:g}, got "
                        f"{list(tensor.shape)}; build the mechanism for the model's heads"
                    )

    def tensors(self) -> tuple[Tensor, ...]:
        """The tensors that get gradients, in the order of the fields."""
        return tuple([x for name in self.shapes if (x := getattr(self, name)) is not None])

    def spelled(self) -> str:
        """The mechanism without its tensors in a word, for a registered operator takes no more.

        The class, then the fields: "tensor" or its absence, numbers, words.
        """
        words = [type(self).__name__]
        for field in fields(self):
            value = getattr(self, field.name)
            words.append("tensor" if isinstance(value, Tensor) else str(value))
        return " ".join(words)

    @staticmethod
    def read(spelled: str, tensors: Sequence[Tensor]) -> Mechanism:
        """The inverse of `spelled` and `tensors`."""
        name, *words = spelled.split()
        cls, given = MECHANISMS[name], iter(tensors)
        values: list[Any] = []
        for field, word in zip(fields(cls), words, strict=True):
            if word in ("tensor", "None"):
                values.append(next(given) if word == "tensor" else None)
            else:
                kind: Any = type(field.default)
                values.append(word == "True" if kind is bool else kind(word))
        return cls(*values)

    def bias(self, differences: Tensor, acting: Tensor, positions: Positions) -> Tensor:
        """What is added to the scores, exactly 0 where the mechanism does not act.

        Args:
            differences: int64 [B or 1, H or 1, Tq, Tk]. acting: bool, as differences.
            positions: whose differences they are.

        Returns:
            [B or 1, H, Tq, Tk].
        """
        raise NotImplementedError

    def content(self, query: Tensor, key: Tensor, differences: Tensor, acting: Tensor) -> Tensor:
        """What is added to the products of query and key, 0 where not acting: [B, H, Tq, Tk]."""
        raise NotImplementedError

    def rotated(self, x: Tensor, ids: Tensor) -> Tensor:
        """x [B, H, T, D] turned by ids [B or 1, H or 1, T]."""
        raise NotImplementedError

    def near(self, reach: int) -> Tensor | None:
        """Bias of small differences, where it is `linear`: [H, 2n+1] for -n .. n; None: all 0.

        Args:
            reach: the largest difference that matters; beyond n each end's number holds.
        """
        raise NotImplementedError

    @property
    def fused(self) -> str | None:
        """The form in which the fused kernels know it (`arithtf.kernels.forms`), if they do."""
        return None

    @property
    def edges(self) -> tuple[int, ...] | None:
        """For kernels of the form "TABLE" the column of each difference -R .. R, if not its own."""
        return None


@dataclass(frozen=True)
class LogScale:
    """Logit scale that grows with what is seen: s_h * log(n), n the keys this query sees.

    n counts visible keys, sinks included, on the head's level; so a windowed head has a bounded
    scale at every length, and a dense causal head has log of its column number
    (Scalable-Softmax, arXiv 2501.19399, which multiplies by 1/sqrt(D) as well: put it into s).

    Args:
        scale: [H].
    """

    scale: Tensor

    def __post_init__(self) -> None:
        if self.scale.dim() != 1 or not self.scale.is_floating_point():
            raise ValueError(
                f"expected a floating-point scale [H], got {self.scale.dtype} "
                f"{list(self.scale.shape)}"
            )
