"""Training, from top to bottom: data, step, metrics, checkpoint, resume.

A run is a pure function of its recipe: the data are addressed by step, the recipe sets the threads,
nothing in a step draws random numbers, and a checkpoint holds all that the next step depends on.
So a run that was killed at any moment and resumed ends in the same bytes as one that was not.
"""

from __future__ import annotations

import io
import json
import os
import platform
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from arithtf.batches import Inputs, LocalContexts, drawn, instances
from arithtf.callable import make_callable
from arithtf.model import Transformer
from arithtf.recipes import Recipe
from arithtf.runs import (
    FILES,
    RunError,
    append_line,
    load_recipe,
    load_state,
    lock,
    read_json,
    read_lines,
    save_weights,
    write_atomic,
    write_json,
)
from arithtf.tasks import IGNORE
from arithtf.threads import torch_threads

STATE_FORMAT = 1


class TrainingDiverged(RunError):
    """Loss or gradient became NaN or infinite; the last good checkpoint is kept."""


@dataclass(frozen=True)
class Metrics:
    """One line of metrics.jsonl.

    Args:
        step: optimiser steps done.
        loss: cross-entropy in nats per answer token, of this step's batch before its update.
        accuracy: share of the batch's answer tokens whose argmax is right.
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


def train(
    recipe: Recipe,
    out: str | os.PathLike[str] | None = None,
    *,
    resume: bool = False,
    device: str | torch.device | None = None,
    progress: Callable[[Metrics], None] | None = None,
) -> Transformer:
    """Train a model.

    Args:
        recipe: all that the result depends on.
        out: run directory; None trains in memory and writes nothing.
        resume: go on from the directory's last checkpoint (from the start if it has none).
        device: "cuda", "cpu"; CUDA where there is one if None.
        progress: called after each logged step.

    Returns:
        The trained model, in eval mode.

    Raises:
        TypeError: `recipe` is none.
        RunError: `out` is no directory, or it holds another run, or a run and `resume` is False.
        TrainingDiverged: loss or gradient norm was NaN or infinite.
    """
    if not isinstance(recipe, Recipe):
        raise TypeError(
            f"expected a Recipe, got {type(recipe).__name__}; "
            "arithtf.recipes.get_recipe makes one of a name"
        )
    device = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
    with torch_threads(recipe.threads):
        if out is None:
            return Loop(recipe, None, device).run(progress)
        run = Path(out)
        if run.exists() and not run.is_dir():
            raise RunError(f"{run} is not a directory; choose another --out")
        run.mkdir(parents=True, exist_ok=True)
        with lock(run):
            _prepare(run, recipe, resume)
            return Loop(recipe, run, device).run(progress)


def _prepare(run: Path, recipe: Recipe, resume: bool) -> None:
    """Check that the directory is free or holds this very run; write its config."""
    for leftover in run.glob(".*.*"):
        if leftover.name.removeprefix(".").rpartition(".")[0] in FILES:
            leftover.unlink()  # the temporary file of a write that a kill cut off
    if not (run / "config.json").exists():
        write_json(run / "config.json", recipe.to_dict())
    elif not resume:
        raise RunError(f"{run} already holds a run; go on with --resume, or choose another --out")
    elif load_recipe(run) != recipe:
        raise RunError(
            f"{run} holds a run of another recipe, seed or number of steps; "
            "resume it with the arguments it was started with, or choose another --out"
        )


def batches(
    recipe: Recipe, first: int, device: torch.device
) -> Iterator[tuple[Inputs, Inputs | None]]:
    """What the steps `first` .. steps learn from, one made ahead, and what they are measured on.

    The C++ core fills the next batch, holding no lock, while the current step runs. Steps are
    measured on what they learn from, or, if that is no instances, on those where metrics are due.
    """
    local = LocalContexts(recipe, device) if recipe.local else None

    def make(step: int) -> tuple[Inputs, Inputs | None]:
        if local is None:
            return instances(drawn(recipe, step)).to(device), None
        due = step == recipe.steps or step % recipe.log_every == 0
        return local.step(step), instances(drawn(recipe, step)).to(device) if due else None

    with ThreadPoolExecutor(1) as pool:
        ahead = pool.submit(make, first)
        for step in range(first, recipe.steps + 1):
            ready = ahead.result()
            if step < recipe.steps:
                ahead = pool.submit(make, step + 1)
            yield ready


class Loop:
    """The state of one training run and the steps that change it."""

    def __init__(self, recipe: Recipe, run: Path | None, device: torch.device) -> None:
        self.recipe, self.run_path, self.device = recipe, run, device
        self.model = Transformer(recipe.model, seed=recipe.seed).to(device)
        self.optimizer = torch.optim.AdamW(
            self.model.parameters(),
            lr=recipe.learning_rate,
            betas=recipe.betas,
            weight_decay=recipe.weight_decay,
            fused=True,
        )
        self.done, self.seconds = 0, 0.0
        if run is not None:
            if (run / "state.pt").exists():
                self._restore(run)
            self._cut_metrics(run)

    def run(self, progress: Callable[[Metrics], None] | None) -> Transformer:
        """All remaining steps."""
        recipe, began = self.recipe, time.perf_counter() - self.seconds
        # The flag stays on the device, so that CUDA need not be waited for in every step.
        healthy = torch.ones((), dtype=torch.bool, device=self.device)
        check_every = 1 if self.device.type == "cpu" else recipe.log_every
        self.model.train()
        first = self.done + 1
        for step, given in enumerate(batches(recipe, first, self.device), start=first):
            inputs, measured = given
            shown = self._logits(measured) if measured is not None else None
            logits, loss, norm = self.step(step, inputs)
            healthy &= torch.isfinite(loss) & torch.isfinite(norm)
            last = step == recipe.steps
            log = last or step % recipe.log_every == 0
            save = last or step % recipe.checkpoint_every == 0
            if save:
                healthy &= self._finite_weights()
            if (log or save or step % check_every == 0) and not healthy:
                raise self._diverged(step, loss, norm)
            self.done = step
            if log:
                if measured is not None and shown is not None:
                    inputs, logits = measured, shown
                metrics = measure(recipe, step, logits, inputs.targets, loss, norm)
                if self.run_path is not None:
                    append_line(self.run_path / "metrics.jsonl", asdict(metrics))
                if progress is not None:
                    progress(metrics)
            if save:
                self._save(time.perf_counter() - began)
        if self.run_path is not None:
            # Written after the state: a kill between the two is mended by the next --resume.
            save_weights(self.run_path / "model.safetensors", self.model)
        return self.model.eval()

    @torch.no_grad()
    def _logits(self, inputs: Inputs) -> Tensor:
        """Logits before the step's update."""
        return self._forward(inputs)

    def _forward(self, inputs: Inputs) -> Tensor:
        start = inputs.start
        stop = start + inputs.targets.shape[1]
        ids = (inputs.query_ids, inputs.key_ids)
        logits: Tensor = self.model(inputs.tokens, *ids, start=start, stop=stop)
        return logits

    def step(self, step: int, inputs: Inputs) -> tuple[Tensor, Tensor, Tensor]:
        """One optimiser step; returns logits, loss and gradient norm."""
        logits = self._forward(inputs)
        flat, targets = logits.flatten(0, 1), inputs.targets.flatten().long()
        loss = F.cross_entropy(flat, targets, ignore_index=IGNORE)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.recipe.clip)
        for group in self.optimizer.param_groups:
            group["lr"] = self.recipe.rate(step)
        self.optimizer.step()
        return logits.detach(), loss.detach(), norm.detach()

    def _diverged(self, step: int, loss: Tensor, norm: Tensor) -> TrainingDiverged:
        kept = "no checkpoint had been written"
        if self.run_path is not None and (self.run_path / "state.pt").exists():
            kept = f"the checkpoint in {self.run_path} is kept"
        return TrainingDiverged(
            f"training diverged by step {step}: expected finite loss, gradient and weights, got "
            f"loss {loss.item():g}, gradient norm {norm.item():g}; {kept}. "
            "Lower the recipe's learning_rate or clip"
        )

    def _finite_weights(self) -> Tensor:
        """Whether the last update left every weight finite, as a bool scalar on the device."""
        return torch.stack([torch.isfinite(p).all() for p in self.model.parameters()]).all()

    def _save(self, seconds: float) -> None:
        """Write the state: one rename, and what came before it counts."""
        run = self.run_path
        if run is None:
            return
        optimizer = self.optimizer.state_dict()
        # Pickle writes a string it has met before as a reference if it is the same object. Interned
        # names always are, so a resumed run writes the same bytes as an uninterrupted one.
        optimizer["state"] = {
            index: {sys.intern(name): value for name, value in slots.items()}
            for index, slots in optimizer["state"].items()
        }
        state = {
            "format": STATE_FORMAT,
            "step": self.done,
            "model": self.model.state_dict(),
            "optimizer": optimizer,
        }
        # First, so that a state never lacks its timing: a kill after the last state ends the run.
        write_json(run / "timing.json", {"step": self.done, "seconds": seconds} | facts())
        # By way of memory: torch.save answers a full disk with a RuntimeError about its archive.
        data = io.BytesIO()
        torch.save(state, data)
        write_atomic(run / "state.pt", lambda file: file.write(data.getbuffer()))

    def _restore(self, run: Path) -> None:
        """Load the last checkpoint."""
        state = load_state(run / "state.pt", self.device)
        try:
            if state["format"] != STATE_FORMAT:
                raise ValueError(f"expected format {STATE_FORMAT}, got {state['format']!r}")
            self.model.load_state_dict(state["model"])
            self.optimizer.load_state_dict(state["optimizer"])
        except (RuntimeError, ValueError, KeyError) as error:
            raise RunError(
                f"{run / 'state.pt'} cannot be resumed: {error}; "
                "remove the run directory and train again"
            ) from None
        self.done = int(state["step"])
        if (run / "timing.json").exists():
            self.seconds = float(read_json(run / "timing.json")["seconds"])

    def _cut_metrics(self, run: Path) -> None:
        """Cut the metrics back to the steps that the checkpoint holds; without one, to none."""
        rows = read_lines(run / "metrics.jsonl")
        kept = [row for row in rows if row["step"] <= self.done]
        text = "".join(json.dumps(row) + "\n" for row in kept)
        write_atomic(run / "metrics.jsonl", lambda file: file.write(text.encode()))


def measure(
    recipe: Recipe, step: int, logits: Tensor, targets: Tensor, loss: Tensor, norm: Tensor
) -> Metrics:
    """The metrics of one step from logits [B, Q, V] and targets [B, Q]."""
    counted = targets != IGNORE
    right = (logits.argmax(-1) == targets) & counted
    exact = (right == counted).all(1).float().mean()
    return Metrics(
        step=step,
        loss=loss.item(),
        accuracy=(right.sum() / counted.sum()).item(),
        exact=exact.item(),
        gradient_norm=norm.item(),
        rate=recipe.rate(step),
    )


def facts() -> dict[str, Any]:
    """What a timing or a reproduction depends on besides the recipe."""
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else None
    return {
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "python": platform.python_version(),
        "machine": platform.machine(),
        "gpu": gpu,
    }


make_callable(__name__)
