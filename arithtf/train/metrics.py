"""Metrics of a step: one line of metrics.jsonl."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from arithtf.runs.shapes import COUNT, NUMBER, SHARE
from arithtf.train.objectives import Logits, ignored, predicted

METRICS = {
    "step": COUNT,
    "loss": NUMBER,
    "accuracy": SHARE,
    "exact": SHARE,
    "gradient_norm": NUMBER,
    "rate": NUMBER,
}
"""What a line of metrics.jsonl must hold."""


@dataclass(frozen=True)
class Metrics:
    """One line of metrics.jsonl.

    Args:
        step: optimiser steps done.
        loss: the objective, of this step's batch before its update; for next-token the
            cross-entropy in nats per answer token.
        accuracy: share of the batch's answer tokens (of factors, where tokens have several) whose
            argmax is right.
        exact: share of its instances with every answer token right.
        gradient_norm: before clipping.
        rate: learning rate of this step.
    """

    step: int
    loss: float
    accuracy: float
    exact: float
    gradient_norm: float
    rate: float


def measure(
    step: int, logits: Logits, targets: Tensor, loss: Tensor, norm: Tensor, rate: float
) -> Metrics:
    """The metrics of one step.

    Args:
        step: its number.
        logits: as an objective takes them.
        targets: [B, Q] or [B, Q, F].
        loss, norm: scalars.
        rate: of the step.
    """
    wanted = targets.long()  # PyTorch compares uint16 with nothing else
    asked = wanted != ignored(targets)
    right = (predicted(logits, targets) == wanted) & asked
    exact = (right == asked).flatten(1).all(1).float().mean()
    return Metrics(
        step=step,
        loss=loss.item(),
        accuracy=(right.sum() / asked.sum()).item(),
        exact=exact.item(),
        gradient_norm=norm.item(),
        rate=rate,
    )
