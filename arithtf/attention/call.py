"""A call of attention, checked: what every implementation takes; and its form for operators."""

from __future__ import annotations

from typing import Any, NamedTuple, get_type_hints

import torch
from torch import Tensor

from arithtf.attention.mechanism import LogScale, Mechanism
from arithtf.attention.mechanisms import NONE
from arithtf.attention.positions import Positions

Scale = float | Tensor | LogScale


class Call(NamedTuple):
    """A call whose arguments fit each other.

    Args:
        query: [B, H, Tq, D]. key, value: [B, H, Tk, D].
        positions: with ids and head_levels filled in.
        mechanism: how id differences act on scores.
        scale: logit scale: a number, [H], or LogScale.
        impl: the implementation.
    """

    query: Tensor
    key: Tensor
    value: Tensor
    positions: Positions
    mechanism: Mechanism
    scale: Scale
    impl: str

    @property
    def factor(self) -> float | Tensor:
        """The scale, but for the growth of a LogScale."""
        return self.scale.scale if isinstance(self.scale, LogScale) else self.scale

    @property
    def has_gradients(self) -> bool:
        """Whether anything wants gradients of this call."""
        given = (self.query, self.key, self.value, self.factor, *self.mechanism.tensors())
        return torch.is_grad_enabled() and any(
            isinstance(x, Tensor) and x.requires_grad for x in given
        )

    @property
    def log_scale(self) -> bool:
        """Whether the scale grows with the logarithm of what a query sees."""
        return isinstance(self.scale, LogScale)

    def flat(self) -> Flat:
        """The call as a registered operator takes it."""
        positions, factor = self.positions, self.factor
        query_ids, key_ids = positions.ids
        return Flat(
            query=self.query,
            key=self.key,
            value=self.value,
            query_ids=query_ids,
            key_ids=key_ids,
            prefix=positions.prefix,
            documents=positions.documents,
            windows=[n for pair in positions.pairs for n in pair or (-1, -1)],
            head_levels=list(positions.reads),
            sinks=positions.sinks,
            causal=positions.causal,
            query_start=positions.query_start,
            mechanism=self.mechanism.spelled(),
            tensors=list(self.mechanism.tensors()),
            scale=factor if isinstance(factor, Tensor) else None,
            number=0.0 if isinstance(factor, Tensor) else float(factor),
            log_scale=self.log_scale,
            impl=self.impl,
        )


class Flat(NamedTuple):
    """A `Call` as tensors and plain numbers, for a registered operator takes nothing else.

    The fields are the operator's arguments, and their types its schema. A window without limit is
    (-1, -1); a scale that is a number stands in `number`.
    """

    query: Tensor
    key: Tensor
    value: Tensor
    query_ids: Tensor
    key_ids: Tensor
    prefix: Tensor | None
    documents: Tensor | None
    windows: list[int]
    head_levels: list[int]
    sinks: int
    causal: bool
    query_start: int
    mechanism: str
    tensors: list[Tensor]
    scale: Tensor | None
    number: float
    log_scale: bool
    impl: str

    def call(self) -> Call:
        """The inverse of `Call.flat`."""
        pairs = zip(self.windows[0::2], self.windows[1::2], strict=True)
        positions = Positions.trusted(
            query_ids=self.query_ids,
            key_ids=self.key_ids,
            windows=tuple(None if pair[0] < 0 else pair for pair in pairs),
            head_levels=tuple(self.head_levels),
            sinks=self.sinks,
            causal=self.causal,
            query_start=self.query_start,
            prefix=self.prefix,
            documents=self.documents,
        )
        mechanism = Mechanism.read(self.mechanism, self.tensors)
        scale: Scale = self.number if self.scale is None else self.scale
        if self.log_scale and isinstance(scale, Tensor):
            scale = LogScale(scale)
        query, key, value = self.query, self.key, self.value
        return Call(query, key, value, positions, mechanism, scale, self.impl)


_TYPES: dict[Any, str] = {
    Tensor: "Tensor",
    Tensor | None: "Tensor?",
    list[Tensor]: "Tensor[]",
    list[int]: "int[]",
    int: "int",
    float: "float",
    bool: "bool",
    str: "str",
}
SCHEMA = ", ".join(f"{_TYPES[t]} {name}" for name, t in get_type_hints(Flat).items())
"""The arguments of an operator that takes a `Flat`."""


def checked(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    positions: Positions | None = None,
    *,
    mechanism: Mechanism = NONE,
    scale: float | Tensor | LogScale | None = None,
    impl: str = "auto",
) -> Call:
    """A call of `arithtf.attention`, whose arguments these are, if they fit each other.

    Raises:
        ValueError, TypeError: what was expected, what came, what to do.
    """
    _check_tensors(query, key, value)
    if positions is None:
        positions = Positions()
    elif not isinstance(positions, Positions):
        raise TypeError(
            f"expected arithtf.attention.Positions, got {type(positions).__name__}; "
            "write attention(query, key, value, Positions(query_ids, key_ids))"
        )
    positions = positions.checked_for(query, key)
    if not isinstance(mechanism, Mechanism):
        raise TypeError(
            f"expected a mechanism of arithtf.attention, got {type(mechanism).__name__}; "
            "a module of arithtf.encodings must be called to give one"
        )
    mechanism.validate(query.shape[1], query.shape[3])
    for tensor in mechanism.tensors():
        if tensor.device != query.device:
            raise ValueError(
                f"expected the mechanism on {query.device}, got {tensor.device}; move it"
            )
    return Call(query, key, value, positions, mechanism, _scale_of(scale, query), impl)


def _check_tensors(query: Tensor, key: Tensor, value: Tensor) -> None:
    for name, tensor in (("query", query), ("key", key), ("value", value)):
        if not isinstance(tensor, Tensor):
            raise TypeError(f"expected {name} to be a torch.Tensor, got {type(tensor).__name__}")
        if tensor.dim() != 4:
            raise ValueError(f"expected {name} [B, H, T, D], got shape {list(tensor.shape)}")
    if not query.is_floating_point() or not query.dtype == key.dtype == value.dtype:
        raise TypeError(
            "expected query, key and value of one floating-point dtype, "
            f"got {query.dtype}, {key.dtype}, {value.dtype}; convert them"
        )
    if not query.device == key.device == value.device:
        raise ValueError(
            "expected query, key and value on one device, "
            f"got {query.device}, {key.device}, {value.device}; move them"
        )
    batch, heads, _, dim = query.shape
    if key.shape != value.shape or key.shape[:2] != (batch, heads) or key.shape[3] != dim:
        raise ValueError(
            f"expected key and value [{batch}, {heads}, Tk, {dim}] to go with query "
            f"{list(query.shape)}, got {list(key.shape)} and {list(value.shape)}"
        )


def _scale_of(scale: float | Tensor | LogScale | None, query: Tensor) -> Scale:
    """The logit scale with its default, or an error that says what was expected."""
    if scale is None:
        return float(query.shape[3] ** -0.5)
    tensor = scale.scale if isinstance(scale, LogScale) else scale
    if isinstance(tensor, Tensor):
        if tuple(tensor.shape) != (query.shape[1],):
            raise ValueError(
                f"expected scale [{query.shape[1]}], one per head, got {list(tensor.shape)}"
            )
        return scale
    if isinstance(tensor, int | float):
        return float(tensor)
    raise TypeError(
        f"expected scale None, a number, a tensor or LogScale, got {type(scale).__name__}"
    )
