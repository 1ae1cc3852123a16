"""Where the time of a training step goes, by operator: what is worth fusing, and what is not."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import replace

import torch

from arithtf.recipes import get_recipe
from arithtf.train import Loop, batches
from bench.registry import Row, benchmark

WARM = 5
STEPS = 20
SHOWN = 12
"""Operators that get a row each; the others' time is summed up in one."""


@benchmark("step")
def step(recipes: Sequence[str] = ("addition", "multiplication")) -> Iterator[Row]:
    """A row for a step as a whole, then one for each operator that takes most of it.

    Times of operators are their own, without those they call, on the GPU where there is one. The
    share left of a GPU's step is launching and waiting.

    Args:
        recipes: names.
    """
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    for name in recipes:
        recipe = replace(
            get_recipe(name), steps=WARM + 2 * STEPS, log_every=10**6, local_batches=16
        )
        loop = Loop(recipe, None, device)
        given = [inputs for inputs, _ in batches(recipe, 1, device)]
        for i in range(WARM):
            loop.step(i + 1, given[i])
        _wait(device)
        begin = time.perf_counter()
        for i in range(WARM, WARM + STEPS):
            loop.step(i + 1, given[i])
        _wait(device)
        whole = (time.perf_counter() - begin) / STEPS
        activities = [torch.profiler.ProfilerActivity.CPU]
        if device.type == "cuda":
            activities.append(torch.profiler.ProfilerActivity.CUDA)
        with torch.profiler.profile(activities=activities) as profile:
            for i in range(WARM + STEPS, WARM + 2 * STEPS):
                loop.step(i + 1, given[i])
            _wait(device)
        attribute = f"self_{'device' if device.type == 'cuda' else 'cpu'}_time_total"
        spent = {
            e.key: (getattr(e, attribute) / STEPS, e.count / STEPS) for e in profile.key_averages()
        }
        total = sum(us for us, _ in spent.values())
        common = {"recipe": name, "device": device.type}
        yield {
            **common,
            "operator": "all",
            "step_ms": whole * 1e3,
            "operators_ms": total / 1e3,
            "calls": sum(calls for _, calls in spent.values()),
        }
        ranked = sorted(spent.items(), key=lambda item: -item[1][0])
        for operator, (us, calls) in ranked[:SHOWN]:
            yield {**common, "operator": operator, "share": us / total, "calls": calls}
        rest = ranked[SHOWN:]
        yield {
            **common,
            "operator": "others",
            "share": sum(us for _, (us, _) in rest) / total,
            "calls": sum(calls for _, (_, calls) in rest),
        }


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize()
