"""The Python face: small, typed, and imported only when used."""

import subprocess
import sys

import numpy as np
import pytest
import torch

import arithtf
from arithtf.recipes import get_recipe
from arithtf.runs import RunError
from arithtf.tasks import Batch, Operands


def test_importing_is_light():
    code = (
        "import sys, arithtf; early = set(sys.modules); arithtf.load; "
        "print([m for m in ('torch', 'numpy') if m in early], "
        "[m for m in ('triton', 'matplotlib', 'jinja2', 'rich') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[] []", done.stderr


def test_load_solve_logits(trained_run):
    run = arithtf.load(trained_run)
    assert run.solve(["1+2", "999+1", "1-2"]) == ["3", "1000", "error"]
    assert run.recipe == get_recipe("addition")
    batch = Batch.of(run.recipe.task.instances(Operands.from_ints([(57, 68)])), run.recipe.coupling)
    logits = run.logits(batch.tokens, batch.query_ids, batch.key_ids)
    answer = logits[0, batch.start : -1].argmax(-1)
    assert answer[:3].tolist() == [5, 2, 1]
    arrays = (batch.tokens[0].tolist(), batch.query_ids[0], batch.key_ids[0])
    torch.testing.assert_close(run.logits(*arrays), logits[0])
    same = run.logits(batch.tokens, batch.key_ids)
    torch.testing.assert_close(same, run.logits(batch.tokens, batch.key_ids, batch.key_ids))


def test_a_folder_that_is_no_run_is_named(tmp_path):
    with pytest.raises(RunError, match="not a run directory"):
        arithtf.load(tmp_path)


def test_rooms_are_there_and_three_can_be_called():
    query = torch.randn(1, 2, 3, 4)
    assert arithtf.attention(query, query, query).shape == query.shape
    assert arithtf.attention.attention is not arithtf.attention
    assert callable(arithtf.train)
    assert callable(arithtf.certify)
    assert arithtf.tasks.Addition().name == "addition"
    assert arithtf.encodings.Encoding().mechanism.name == "none"
    assert set(arithtf.__all__) <= set(dir(arithtf))
    with pytest.raises(AttributeError, match="nonsense"):
        _ = arithtf.nonsense


def test_training_by_the_face():
    from dataclasses import replace

    model = arithtf.train(replace(get_recipe("addition"), steps=2, batch=4))
    assert np.isfinite(model.embedding.weight.detach().numpy()).all()
