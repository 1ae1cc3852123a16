"""Training, from top to bottom: step, metrics, checkpoint, resume.

A run is a pure function of its recipe: data and whatever else is random are addressed by seed and
step, the recipe sets the threads, and a checkpoint holds all that the next step depends on. So a
run that was killed at any moment and resumed ends in the same bytes as one that was not.
"""

from __future__ import annotations

import io
import os
import platform
import sys
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from arithtf.model import Model
from arithtf.recipes import Recipe
from arithtf.runs import (
    FILES,
    RunError,
    append_line,
    begin_run,
    check_recipe,
    finish_run,
    load_state,
    lock,
    read_json,
    read_lines,
    remove_leftovers,
    write_atomic,
    write_json,
    write_lines,
)
from arithtf.runs.shapes import COUNT, NUMBER, TEXT
from arithtf.threads import torch_threads
from arithtf.train.data import Inputs, batches
from arithtf.train.interrupt import Deferred, Interrupted
from arithtf.train.metrics import METRICS, Metrics, measure
from arithtf.train.objectives import OBJECTIVES, Logits
from arithtf.train.schedules import schedule

STATE_FORMAT = 1

TIMING = {
    "seconds": NUMBER,
    "cpu_seconds": NUMBER,
    "threads": COUNT,
    "torch": TEXT,
    "python": TEXT,
    "machine": TEXT,
    "gpu": TEXT.or_null(),
}
"""What timing.json must hold."""


class TrainingDiverged(RunError):
    """Loss or gradient became NaN or infinite; the last good checkpoint is kept."""


def train(
    recipe: Recipe,
    out: str | os.PathLike[str] | None = None,
    *,
    resume: bool = False,
    device: str | torch.device | None = None,
    progress: Callable[[Metrics], None] | None = None,
) -> Model:
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
        ValueError: no objective or schedule has the recipe's name of it.
        RunError: `out` is no directory, or it holds another run, or a run and `resume` is False.
        TrainingDiverged: loss or gradient norm was NaN or infinite.
        Interrupted: SIGINT or SIGTERM came while training into a directory, which now holds the
            state after the last step. A second signal does not wait for the end of the step.
    """
    if not isinstance(recipe, Recipe):
        raise TypeError(
            f"expected a Recipe, got {type(recipe).__name__}; "
            "arithtf.recipes.get_recipe makes one of a name"
        )
    OBJECTIVES.resolve(recipe.objective), schedule(recipe)  # before anything is written
    device = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
    with torch_threads(recipe.threads):
        if out is None:
            return Loop(recipe, None, device).run(progress)
        run = Path(out)
        if run.exists() and not run.is_dir():
            raise RunError(f"{run} is not a directory; choose another --out")
        run.mkdir(parents=True, exist_ok=True)
        with lock(run), Deferred() as signals:
            _prepare(run, recipe, resume)
            return Loop(recipe, run, device).run(progress, signals)


def _prepare(run: Path, recipe: Recipe, resume: bool) -> None:
    """Check that the directory is free or holds this very run; write its config."""
    remove_leftovers(run, FILES)
    if not (run / "config.json").exists():
        begin_run(run, recipe)
    elif not resume:
        raise RunError(f"{run} already holds a run; go on with --resume, or choose another --out")
    else:
        check_recipe(run, recipe)


class Loop:
    """The state of one training run and the steps that change it."""

    def __init__(self, recipe: Recipe, run: Path | None, device: torch.device) -> None:
        self.recipe, self.run_path, self.device = recipe, run, device
        self.objective, self.rate = OBJECTIVES.resolve(recipe.objective), schedule(recipe)
        self.model = recipe.model.build(seed=recipe.seed).to(device)
        self.optimizer = torch.optim.AdamW(
            self.model.parameters(),
            lr=recipe.learning_rate,
            betas=recipe.betas,
            weight_decay=recipe.weight_decay,
            fused=True,
        )
        self.done, self.seconds, self.cpu_seconds = 0, 0.0, 0.0
        if run is not None:
            if (run / "state.pt").exists():
                self._restore(run)
            self._cut_metrics(run)

    def run(
        self, progress: Callable[[Metrics], None] | None, signals: Deferred | None = None
    ) -> Model:
        """All remaining steps, or those until a signal comes."""
        recipe = self.recipe
        began = (time.perf_counter() - self.seconds, time.process_time() - self.cpu_seconds)
        # The flag stays on the device, so that CUDA need not be waited for in every step.
        healthy = torch.ones((), dtype=torch.bool, device=self.device)
        check_every = 1 if self.device.type == "cpu" else recipe.log_every
        self.model.train()
        first = self.done + 1
        for step, (inputs, measured) in enumerate(batches(recipe, first, self.device), start=first):
            before = None if measured is None else self._logits(step, measured)
            logits, loss, norm = self.step(step, inputs)
            healthy &= torch.isfinite(loss) & torch.isfinite(norm)
            last = step == recipe.steps
            stop = signals.received if signals is not None and not last else None
            log = last or step % recipe.log_every == 0
            save = last or stop is not None or step % recipe.checkpoint_every == 0
            if save:
                healthy &= self._finite_weights()
            if (log or save or step % check_every == 0) and not healthy:
                raise self._diverged(step, loss, norm)
            self.done = step
            if log:
                if measured is not None and before is not None:
                    inputs, logits = measured, before
                metrics = measure(step, logits, inputs.targets, loss, norm, self.rate(step))
                if self.run_path is not None:
                    append_line(self.run_path / "metrics.jsonl", asdict(metrics))
                if progress is not None:
                    progress(metrics)
            if save:
                self._save(time.perf_counter() - began[0], time.process_time() - began[1])
            if stop is not None:
                raise Interrupted(f"interrupted at step {step}; --resume goes on", stop)
        if self.run_path is not None:
            # Written after the state: a kill between the two is mended by the next --resume.
            finish_run(self.run_path, self.model)
        return self.model.eval()

    @torch.no_grad()
    def _logits(self, step: int, inputs: Inputs) -> Logits:
        """Logits before the step's update."""
        return self._forward(step, inputs)

    def _forward(self, step: int, inputs: Inputs) -> Logits:
        self.model.train_step(step)
        start = inputs.start
        stop = start + inputs.targets.shape[1]
        ids = (inputs.query_ids, inputs.key_ids)
        logits: Logits = self.model(inputs.tokens, *ids, start=start, stop=stop)
        return logits

    def step(self, step: int, inputs: Inputs) -> tuple[Logits, Tensor, Tensor]:
        """One optimiser step; returns logits, loss and gradient norm."""
        logits = self._forward(step, inputs)
        loss = self.objective(logits, inputs.targets, self.model)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.recipe.clip)
        for group in self.optimizer.param_groups:
            group["lr"] = self.rate(step)
        self.optimizer.step()
        kept = logits.detach() if isinstance(logits, Tensor) else [x.detach() for x in logits]
        return kept, loss.detach(), norm.detach()

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

    def _save(self, seconds: float, cpu_seconds: float) -> None:
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
        spent = {"step": self.done, "seconds": seconds, "cpu_seconds": cpu_seconds}
        write_json(run / "timing.json", spent | facts())
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
            if not COUNT.fits(state["step"]):
                raise ValueError(f"expected {COUNT.words} as its step, got {state['step']!r:.40}")
        except (AttributeError, LookupError, RuntimeError, TypeError, ValueError) as error:
            raise RunError(
                f"{run / 'state.pt'} cannot be resumed: {error}; "
                "remove the run directory and train again"
            ) from None
        self.done = state["step"]
        if (run / "timing.json").exists():
            spent = read_json(run / "timing.json", TIMING)
            self.seconds, self.cpu_seconds = spent["seconds"], spent["cpu_seconds"]

    def _cut_metrics(self, run: Path) -> None:
        """Cut the metrics back to the steps that the checkpoint holds; without one, to none."""
        rows = read_lines(run / "metrics.jsonl", METRICS)
        write_lines(run / "metrics.jsonl", (row for row in rows if row["step"] <= self.done))


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
