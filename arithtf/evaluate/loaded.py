"""A trained run in a user's hands."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

import numpy.typing as npt
import torch
from torch import Tensor

from arithtf.evaluate.solve import Solver
from arithtf.model import Model
from arithtf.recipes import Recipe
from arithtf.runs import load_model

Ids = Tensor | npt.ArrayLike


class LoadedRun:
    """A trained model with the recipe it was trained by.

    Args:
        model: the model.
        recipe: the recipe.
    """

    def __init__(self, model: Model, recipe: Recipe) -> None:
        self.model, self.recipe = model, recipe
        self.solver = Solver(model, recipe)

    def solve(self, problems: Iterable[str]) -> list[str]:
        """The model's answers, by its own greedy decoding.

        Args:
            problems: such as "123+45".

        Returns:
            Ordinary numbers as text; "error" where a problem is malformed or the model's answer is
            not a number (`solver.solve` says why).
        """
        return [str(answer) for answer in self.solver.solve(problems)]

    @torch.inference_mode()
    def logits(
        self, tokens: Ids, query_ids: Ids, key_ids: Ids | None = None, *, impl: str = "auto"
    ) -> Tensor:
        """Next-token logits of every column.

        Args:
            tokens: integers [B, T] or [T].
            query_ids: int32 [B or 1, L, T] (or [L, T]), what the next token needs.
            key_ids: the same, what each token is; None: the query's ids.
            impl: implementation of attention, see `arithtf.attention`.

        Returns:
            [B, T, V], or [T, V] for tokens [T].
        """
        device = self.model.device
        one = torch.as_tensor(tokens, device=device)
        query = torch.as_tensor(query_ids, device=device).to(torch.int32)
        key = query if key_ids is None else torch.as_tensor(key_ids, device=device).to(torch.int32)
        query, key = (ids[None] if ids.dim() == 2 else ids for ids in (query, key))
        logits: Tensor = self.model(one[None] if one.dim() == 1 else one, query, key, impl=impl)
        return logits[0] if one.dim() == 1 else logits


def load(run: str | os.PathLike[str], device: str | torch.device = "cpu") -> LoadedRun:
    """Load a run directory.

    Args:
        run: the directory that `arithtf train` wrote.
        device: where the model goes.

    Raises:
        arithtf.runs.RunError: it is not a run, or has no weights.
    """
    return LoadedRun(*load_model(Path(run), device))
