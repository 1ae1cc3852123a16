"""Plant faults in a certified run's weights, one context at a time, and ask each path by itself.

    python tools/planted_faults.py runs/addition --count 1000

For a context drawn at random all weights move against the derivative of its margin, just as far as
makes it wrong in float64. The first path must then say "wrong" or "refused"; the second must find a
margin that is not surely positive. Prints how many of both were caught, and exits 1 if any was not.
"""

from __future__ import annotations

import argparse
import copy
import sys
from pathlib import Path

import numpy as np
import torch

from arithtf.certify import check_contexts, check_task, require_provable
from arithtf.certify.radius import break_context
from arithtf.certify.verify import derive
from arithtf.certify.verify.network import margins
from arithtf.plain import to_plain
from arithtf.runs import load_model


def main(arguments: list[str] | None = None) -> int:
    """Plant the faults; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path)
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args(arguments)
    loaded, recipe = load_model(given.run)
    task, encoding = recipe.arithmetic, recipe.model.encoding
    model = require_provable(loaded, task, recipe.coupling)
    found = check_task(task, recipe.coupling, encoding.windows, sinks=encoding.sinks).contexts
    contexts, _ = derive(task, recipe.coupling, encoding.pairs(), encoding.sinks)
    config, words = to_plain(recipe.model), task.vocabulary
    draw = np.random.default_rng(given.seed)
    first = second = planted = 0
    for i in draw.integers(0, len(found.target), given.count).tolist():
        broken = copy.deepcopy(model)
        if not break_context(broken, found, i, bos=words.bos, pad=words.pad):
            continue
        planted += 1
        checked = check_contexts(broken, found, words, ("reference",))
        first += bool(checked.wrong.any() or (checked.margin <= checked.bound).any())
        weights = {name: w.numpy().astype(np.float64) for name, w in _weights(broken).items()}
        second += bool((~(margins(config, weights, contexts, words.bos).lower > 0)).any())
    print(f"{planted} planted, {first} caught by the first path, {second} by the second")
    return 0 if first == second == planted else 1


def _weights(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    return {name: weight.detach() for name, weight in model.state_dict().items()}


if __name__ == "__main__":
    sys.exit(main())
