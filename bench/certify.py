"""Seconds for a whole certificate, part by part, on one thread and on two."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import torch

from arithtf.certify import (
    certify,
    check_task,
    forward_decisions,
    run_tour,
    verify_certificate,
)
from arithtf.certify.rounding import context_bounds
from arithtf.model import Transformer, context_logits
from arithtf.recipes import get_recipe
from arithtf.runs import save_weights, write_json
from bench.registry import Row, benchmark
from bench.timing import best_seconds

REPEATS = 3


@benchmark("certify")
def certificates() -> Iterator[Row]:
    """A row per recipe with a small window, thread count and part; "whole" is all of `certify`.

    Weights do not matter for the time, so they are the initial ones.
    """
    before = torch.get_num_threads()
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            for name in ("addition", "addition task.format=padded"):
                yield from _parts(name, threads)
    finally:
        torch.set_num_threads(before)


def _parts(name: str, threads: int) -> Iterator[Row]:
    recipe = get_recipe(*name.split())
    task, coupling, encoding = recipe.arithmetic, recipe.coupling, recipe.model.encoding
    model = Transformer(recipe.model, seed=recipe.seed).eval()
    contexts = check_task(task, coupling, encoding.windows, sinks=encoding.sinks).contexts
    bos, pad = task.vocabulary.bos, task.vocabulary.pad
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder)
        write_json(run / "config.json", recipe.to_dict())
        save_weights(run / "model.safetensors", model)
        certificate = certify(run)
        # As if certified: the second path stops early at any other verdict.
        replace(certificate, verdict="certified").save(run / "certificate.json")
        parts: dict[str, Callable[[], object]] = {
            "enumerate": lambda: check_task(task, coupling, encoding.windows),
            "reference": lambda: context_logits(
                model, contexts, bos=bos, pad=pad, impl="reference"
            ),
            "cpu": lambda: context_logits(model, contexts, bos=bos, pad=pad, impl="cpu"),
            "rounding": lambda: context_bounds(model, contexts, bos=bos),
            "tour": lambda: run_tour(
                model, check_task(task, coupling, encoding.windows), forward_decisions("cpu")
            ),
            "whole": lambda: certify(model, task, coupling),
            "verify": lambda: verify_certificate(run / "certificate.json", run),
        }
        for part, work in parts.items():
            yield {
                "recipe": name,
                "part": part,
                "contexts": certificate.contexts,
                "on_threads": threads,
                "seconds": round(best_seconds(work, REPEATS), 4),
            }
