"""What can be proved: conditions on a model, and the conflict check on a task."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from arithtf.certify.contexts import TaskContexts, enumerate_contexts
from arithtf.certify.rounding import BOUNDED
from arithtf.certify.shown import abbreviate, problem_text, start_of
from arithtf.encodings import MechanismSpec
from arithtf.encodings.windows import WindowLike
from arithtf.model import Model, ModelConfig, Transformer
from arithtf.tasks import ArithmeticTask, Coupling, Task


class CannotCertify(ValueError):
    """A certificate is impossible; the message says why and what would help."""


class Clash(CannotCertify):
    """Two problems show the same local context but need different tokens: no model is exact."""


def check_task(
    task: ArithmeticTask, coupling: Coupling, windows: Sequence[WindowLike], *, sinks: int = 1
) -> TaskContexts:
    """Enumerate a task's contexts; needs no model, so ask it before training.

    Args:
        task: the task.
        coupling: where its ids come from.
        windows: one per level.
        sinks: leading tokens that every query sees.

    Returns:
        The contexts and where they occur.

    Raises:
        CannotCertify: they cannot be enumerated.
        Clash: two problems show the same context but need different tokens, so no model of these
            windows is exact.
    """
    if sinks > 1:
        raise CannotCertify(
            f"{sinks} sinks: only the leading BOS is the same token in every instance; use sinks=1"
        )
    try:
        found = enumerate_contexts(task, coupling, windows, sinks)
    except ValueError as error:
        raise CannotCertify(str(error)) from None
    if found.conflicts:
        raise Clash(_clash(found))
    return found


def _clash(found: TaskContexts) -> str:
    """The clash of the two shortest problems, in words."""
    task, operands = found.task, found.operands
    length = np.diff(operands.offsets[:: operands.arity])
    worst = min(found.conflicts, key=lambda c: length[c.instance] + length[c.other_instance])
    sides = (
        (worst.instance, worst.column, worst.target),
        (worst.other_instance, worst.other_column, worst.other_target),
    )
    text = [
        f"{abbreviate(problem_text(task, operands, instance))} (token "
        f"{column - start_of(found, instance)} of the answer: {task.vocabulary.text([target])!r})"
        for instance, column, target in sides
    ]
    return (
        f"the windows {[list(pair) for pair in found.windows]} are too small for {task.name} with "
        f"coupling {found.coupling.name!r}: {text[0]} and {text[1]} show the same local context "
        f"but need different tokens ({len(found.conflicts)} contexts clash); widen the windows or "
        "change the coupling"
    )


def require_provable(model: Model, task: Task, coupling: Coupling) -> Transformer:
    """The model, if predictions depend on a finite local context, in a known arithmetic.

    Raises:
        CannotCertify: they do not.
    """
    if type(model) is not Transformer:
        raise _foreign(model)
    require_provable_config(model.config, task, coupling)
    _require_weights(model)
    _require_float32(model)
    return model


def _foreign(model: object) -> CannotCertify:
    return CannotCertify(
        f"{type(model).__name__} is a model of somebody's own: what its predictions depend on and "
        "how they round is not known; arithtf's Transformer can be certified"
    )


def require_provable_config(config: ModelConfig, task: Task, coupling: Coupling) -> None:
    """Check that predictions of such a model depend on a finite local context; needs no weights.

    Raises:
        CannotCertify: they do not.
    """
    encoding = config.encoding
    if type(config) is not ModelConfig:
        raise _foreign(config)
    attention = config.blocks.count("attention")
    if attention != 1:
        raise CannotCertify(
            f"the model has {attention} attention blocks: what the first one sees moves on with "
            "the second, so one query's context is not the local one; use a single attention block "
            "with several MLP blocks"
        )
    if config.vocabulary != task.vocabulary.size or config.levels != len(coupling.levels):
        raise CannotCertify(
            f"the model has {config.vocabulary} tokens and {config.levels} levels, the task "
            f"{task.vocabulary.size} and the coupling {len(coupling.levels)}; they do not belong "
            "together"
        )
    for level, window in zip(coupling.levels, encoding.windows, strict=True):
        if window is None:
            raise CannotCertify(
                f"level {level.name!r} has no window: a query sees ever more keys as operands "
                "grow, and there is no finite set of contexts; train with a window"
            )
    if not encoding.translation_invariant:
        part = encoding.embedding or encoding.mechanism
        raise CannotCertify(
            f"{part.registry.kind} {part.name!r} depends on the ids themselves or rounds "
            "differently at each, not on differences alone, so far places are not like near ones; "
            f"use no embedding and a mechanism of {_bounded()}"
        )
    if encoding.mechanism.acts_as not in BOUNDED:
        raise CannotCertify(
            f"mechanism {encoding.mechanism.name!r} has no rounding bound; use one of {_bounded()}"
        )
    _require_arithmetic(config)


def _bounded() -> list[str]:
    return [name for name, spec in MechanismSpec.registry.items() if spec().acts_as in BOUNDED]


def _require_arithmetic(config: ModelConfig) -> None:
    """Check that a model computes what the rounding bound is for.

    Dropout is not in it: it acts in training only.
    """
    covered = {
        name: getattr(ModelConfig, name)
        for name in ("norm", "activation", "bias", "causal", "key_heads")
    }
    for name, value in covered.items():
        if getattr(config, name) != value:
            raise CannotCertify(
                f"the model has {name}={getattr(config, name)!r}; the rounding bound covers "
                "RMSNorm and ReLU without biases, in causal order, each head with keys of its own: "
                f"use {name}={value!r}"
            )


def _require_weights(model: Transformer) -> None:
    for name, weight in model.state_dict().items():
        if weight.dtype != torch.float32:
            raise CannotCertify(
                f"weight {name} is {weight.dtype}; the rounding bound is for torch.float32"
            )
        if not bool(torch.isfinite(weight).all()):
            raise CannotCertify(f"weight {name} holds NaN or infinite entries; train again")
        if small := _subnormal(weight):
            raise CannotCertify(
                f"weight {name} has {small} entries closer to 0 than 2^-126 (subnormal), which a "
                "library may take for 0: that is another model; set them to 0"
            )


def _subnormal(weight: Tensor) -> int:
    """How many float32 numbers are subnormal.

    By their bits: where a library has told the processor to flush, comparisons take them for 0.
    """
    magnitude = weight.detach().cpu().contiguous().view(torch.int32) & 0x7FFF_FFFF
    return int(((magnitude > 0) & (magnitude < 1 << 23)).sum())


def _require_float32(model: Transformer) -> None:
    """Check that PyTorch computes with float32 numbers, and multiplies their matrices, in float32.

    Autocast computes in a shorter format whatever the weights are.
    """
    for device in sorted({"cpu", model.device.type}):
        if torch.is_autocast_enabled(device):
            raise CannotCertify(
                f"torch.autocast is on for {device!r}: it computes in "
                f"{torch.get_autocast_dtype(device)}, and the rounding bound is for torch.float32; "
                "certify outside autocast"
            )
    # The legacy getter raises where a backend was set by the newer names, so those are asked.
    for name, backend in (("mkldnn", torch.backends.mkldnn), ("cuda", torch.backends.cuda)):
        precision = backend.matmul.fp32_precision
        if precision not in ("none", "ieee"):
            raise CannotCertify(
                f"float32 matrices are multiplied in {precision!r} precision ({name}), which is "
                "shorter than float32; call torch.set_float32_matmul_precision('highest') or set "
                f"torch.backends.{name}.matmul.fp32_precision = 'ieee'"
            )
