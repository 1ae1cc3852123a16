"""What a model is to everything that trains, evaluates and reports it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from arithtf.model.config import ModelConfig


class Model(nn.Module):
    """Next-token logits from tokens and ids.

    A model of your own derives from this class, and its config from `ModelConfig`, whose `build`
    makes the model.

    Args:
        config: what it is built from.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config

    def forward(
        self,
        tokens: Tensor,
        query_ids: Tensor,
        key_ids: Tensor,
        *,
        start: int = 0,
        stop: int | None = None,
        impl: str = "auto",
    ) -> Tensor | tuple[Tensor, ...]:
        """Next-token logits of columns start .. stop-1.

        Args:
            tokens: integer tokens [B, T], or [B, T, F] where the vocabulary has factors.
            query_ids: int32 [B or 1, L, T], ids of what the next token needs.
            key_ids: int32 [B or 1, L, T], ids of what each token is.
            start: first column whose next token is wanted.
            stop: one past the last such column; T if None.
            impl: implementation of attention, see `arithtf.attention`.

        Returns:
            Logits [B, stop - start, V], a tuple of them where tokens have factors. Those of a
            column depend on no later column, unless the config is not `causal`.
        """
        raise NotImplementedError

    def train_step(self, step: int) -> None:
        """Called before the forward passes of each training step.

        What is random in a step, such as dropout, is addressed by the seed and `step`, so that a
        resumed run goes on with the same bytes.
        """

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next(self.parameters()).device

    def num_parameters(self) -> int:
        """Number of trained scalars."""
        return sum(p.numel() for p in self.parameters())
