"""The parts of an encoding as plain data: what an embedding and a mechanism are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from arithtf.attention import Mechanism
from arithtf.origin import Registry


@dataclass(frozen=True, kw_only=True)
class Spec:
    """A part of an encoding; its JSON form (`arithtf.plain`) holds its class's name and its fields.

    The package's own classes are registered where they are defined and nowhere else, as in
    `class Table(MechanismSpec, name="table")`. A class of somebody else's gives no name: it is
    named by the file or module that it is in, see `arithtf.origin`.
    """

    registry: ClassVar[Registry[Any]]

    def __init_subclass__(cls, *, name: str | None = None) -> None:
        super().__init_subclass__()
        if name is not None:
            cls.registry.add(name, cls)

    @property
    def name(self) -> str:
        """The text from which the class is found again."""
        return self.registry.name_of(type(self))


@dataclass(frozen=True, kw_only=True)
class EmbeddingSpec(Spec):
    """A vector that a token's ids add to its embedding, once, before the first block.

    A subclass is a frozen dataclass with a `build`.

    Args:
        levels: the levels whose ids it reads; None: all.
    """

    registry: ClassVar[Registry[Any]] = Registry(
        "embedding", "a subclass of EmbeddingSpec", lambda found: _derives(found, EmbeddingSpec)
    )
    levels: tuple[int, ...] | None = None

    def build(self, levels: int, width: int) -> nn.Module:
        """The module that owns the parameters: called with key ids [B, L, T], it gives [B, T, C].

        Its method `initialise(generator)` draws the parameters, if there are any to draw.

        Args:
            levels: how many levels L it reads.
            width: residual width C.
        """
        raise NotImplementedError


@dataclass(frozen=True, kw_only=True)
class MechanismSpec(Spec):
    """How id differences act on attention scores: tensors, and the mechanism made of them.

    A subclass is a frozen dataclass with `initial` and `mechanism`. Its traits are those of the
    class of `arithtf.attention` that `mechanism` makes.
    """

    registry: ClassVar[Registry[Any]] = Registry(
        "mechanism", "a subclass of MechanismSpec", lambda found: _derives(found, MechanismSpec)
    )

    @property
    def acts_as(self) -> type[Mechanism]:
        """The class of the mechanism that attention is called with."""
        return _acts_as(self)

    @property
    def trained(self) -> bool:
        """Whether the tensors are parameters; constants are part of no checkpoint."""
        return True

    def initial(
        self, heads: int, head_dim: int, generator: torch.Generator | None
    ) -> dict[str, Tensor]:
        """The tensors by name, as the source of the mechanism starts them.

        Args:
            heads: H.
            head_dim: D.
            generator: what is random is drawn from it, in the order of the names.
        """
        raise NotImplementedError

    def mechanism(self, tensors: Mapping[str, Tensor]) -> Mechanism:
        """The mechanism that attention is called with.

        Args:
            tensors: those of `initial`, with the values that they have now.
        """
        raise NotImplementedError


@lru_cache
def _acts_as(spec: MechanismSpec) -> type[Mechanism]:
    return type(spec.mechanism(spec.initial(4, 16, torch.Generator())))


def _derives(found: object, base: type[Spec]) -> bool:
    return isinstance(found, type) and issubclass(found, base) and found is not base
