"""Objectives by name: what a step makes small, as functions of logits, targets and model.

A model gives logits [B, Q, V], a sequence of F such tensors (one for each factor of a token), or
either with an axis of iterations in front. An objective of one's own is any such function, named as
file.py:name; it has the model too, for terms that are about weights.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from arithtf.origin import Registry

Logits = Tensor | Sequence[Tensor]
Objective = Callable[[Logits, Tensor, nn.Module], Tensor]


def ignored(targets: Tensor) -> int:
    """The value of targets that are not asked for: the largest of their type."""
    return torch.iinfo(targets.dtype).max


def next_token(logits: Logits, targets: Tensor, model: nn.Module) -> Tensor:
    """Mean cross-entropy, in nats, of the targets that are asked for.

    Args:
        logits: [B, Q, V].
        targets: unsigned integers [B, Q].
        model: plays no part.

    Raises:
        TypeError: the model gives logits by factor.
    """
    if not isinstance(logits, Tensor):
        raise TypeError(
            f"the objective next-token expects one tensor of logits, got {len(logits)}, one for "
            "each factor of a token; train with objective='per-factor'"
        )
    flat = targets.flatten()
    return F.cross_entropy(logits.flatten(0, 1), flat.long(), ignore_index=ignored(targets))


def per_factor(logits: Logits, targets: Tensor, model: nn.Module) -> Tensor:
    """The sum over factors of their mean cross-entropies: the loss of independent factors.

    Args:
        logits: F tensors [B, Q, V_f].
        targets: unsigned integers [B, Q, F]; a factor of a token may be asked for by itself.
        model: plays no part.
    """
    each = [
        next_token(part, targets[..., factor], model) for factor, part in enumerate(_parts(logits))
    ]
    return torch.stack(each).sum()


def per_iteration(logits: Logits, targets: Tensor, model: nn.Module) -> Tensor:
    """The mean over a recurrent model's iterations, each asked for the same targets.

    Args:
        logits: [I, B, Q, V], or F tensors [I, B, Q, V_f].
        targets: as of one iteration.
        model: plays no part.
    """
    if isinstance(logits, Tensor):
        each = [next_token(step, targets, model) for step in logits]
    else:
        each = [per_factor(step, targets, model) for step in zip(*logits, strict=True)]
    return torch.stack(each).mean()


def _parts(logits: Logits) -> Sequence[Tensor]:
    if isinstance(logits, Tensor):
        raise TypeError(
            "the objective per-factor expects a sequence of tensors, one for each factor of a "
            "token, got one tensor; train with objective='next-token'"
        )
    return logits


OBJECTIVES: Registry[Objective] = Registry(
    "objective", "a function of logits, targets and model", inspect.isroutine
)
for _function in (next_token, per_factor, per_iteration):
    OBJECTIVES.add(_function.__name__.replace("_", "-"), _function)


def predicted(logits: Logits, targets: Tensor) -> Tensor:
    """The argmax of logits, of the last iteration if there are several, in the form of targets."""
    if isinstance(logits, Tensor):
        return (logits[-1] if logits.dim() > targets.dim() + 1 else logits).argmax(-1)
    last = [part[-1] if part.dim() > targets.dim() else part for part in logits]
    return torch.stack([part.argmax(-1) for part in last], -1)
