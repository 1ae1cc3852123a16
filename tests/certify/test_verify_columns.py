"""The second path of column tasks: contexts written down by hand are those that problems have."""

import dataclasses
import re
from functools import partial

import numpy as np
import pytest

from arithtf.certify import (
    CannotCertify,
    certify,
    check_task,
    contexts_hash,
    enumerate_contexts,
    verify_certificate,
)
from arithtf.certify.rounding import context_bounds
from arithtf.certify.verify import DERIVATIONS, _evaluate, hash_contexts
from arithtf.certify.verify_addition import NotDerivable
from arithtf.model import Transformer
from arithtf.plain import to_plain
from arithtf.recipes import get_recipe
from arithtf.tasks import (
    Comparison,
    Increment,
    ModularAddition,
    Parity,
    ResidueAddition,
    Subtraction,
    TimesDigit,
    View,
    couplings,
    task_to_dict,
)
from arithtf.train import train

NAMES = (
    "subtraction",
    "comparison",
    "increment",
    "times-digit",
    "modular-addition",
    "modular-addition task.modulus=8",
    "modular-addition task.modulus=250",
    "residue-addition",
    "residue-addition task.modulus=51",
    "residue-addition task.modulus=151",
    "copy",
    "reverse",
    "parity",
)
RECIPES = {name: partial(get_recipe, *name.split()) for name in NAMES}
OTHER = {
    "subtraction": [Subtraction(2), Subtraction(5)],
    "comparison": [Comparison(2), Comparison(16)],
    "increment": [Increment(2), Increment(16)],
    "times-digit": [TimesDigit(2), TimesDigit(3), TimesDigit(16)],
    "parity": [Parity(3)],
}
MODULAR = [
    ModularAddition(2),
    ModularAddition(10),
    ModularAddition(50),
    ModularAddition(8, 2),
    ModularAddition(2000),
    ModularAddition(10000),
    ModularAddition(4),
    ModularAddition(16),
    ModularAddition(25),
    ModularAddition(400),
    ModularAddition(12500),
    ModularAddition(27, 6),
    ModularAddition(8, 12),
    ModularAddition(2304, 12),
]
RESIDUES = [ResidueAddition(p) for p in (2, 10, 51, 101, 151)]
RESIDUES += [ResidueAddition(2, 2), ResidueAddition(7, 3)]


def derive(task, coupling, windows):
    plain = [list(window) for window in windows]
    return DERIVATIONS[task.name](task_to_dict(task), coupling.to_dict(), plain)


def modular(task):
    far = task.form.columns - task.form.digits
    windows = ((0, 0), (0, far)) if task.running else ((1, 0), (0, 1))
    return task, couplings.modular_columns(task), windows


def of_recipe(name, task=None):
    recipe = RECIPES[name]()
    return task or recipe.task, recipe.coupling, recipe.model.encoding.windows


CASES = [
    *(of_recipe(name) for name in RECIPES),
    *(of_recipe(name, task) for name, tasks in OTHER.items() for task in tasks),
    *map(modular, MODULAR),
    *((task, couplings.from_left(task), ((0, 0),)) for task in RESIDUES),
]


@pytest.mark.parametrize(("task", "coupling", "windows"), CASES, ids=lambda case: str(case)[:50])
def test_derived_contexts_are_those_of_the_cover(task, coupling, windows):
    contexts, conflicts = enumerate_contexts(task, coupling, windows)
    derived = derive(task, coupling, windows)
    assert conflicts == []
    assert len(derived.query) == len(contexts.target)
    assert hash_contexts(derived) == contexts_hash(contexts)


@pytest.mark.parametrize("name", RECIPES)
def test_other_windows_are_refused(name):
    recipe = RECIPES[name]()
    windows = [(2, 2) for _ in recipe.coupling.levels]
    with pytest.raises(NotDerivable, match="recipe's coupling only"):
        derive(recipe.task, recipe.coupling, windows)


@pytest.mark.parametrize("name", RECIPES)
def test_margins_of_the_second_path(name):
    """The formulas in NumPy give the margins of the ordinary forward, on every level."""
    recipe = RECIPES[name]()
    task, coupling, windows = of_recipe(name)
    config = dataclasses.replace(recipe.model, hidden=64)  # enough for formulas
    model = Transformer(config, seed=3)
    contexts, _ = enumerate_contexts(task, coupling, windows)
    exact = context_bounds(model, contexts, bos=task.vocabulary.bos)
    weights = {key: value.numpy() for key, value in model.state_dict().items()}
    derived = derive(task, coupling, windows)
    margins, rounded = _evaluate(to_plain(config), weights, derived)
    np.testing.assert_allclose(np.sort(margins), np.sort(exact.margin.numpy()), atol=1e-9)
    np.testing.assert_allclose(rounded, margins, atol=1e-3)


@pytest.mark.parametrize("windows", [((0, 0),), ((0, 5),), ((3, 40),)])
@pytest.mark.parametrize("modulus", [2, 51, 101])
def test_the_plain_form_clashes_whatever_the_window(windows, modulus):
    """Two problems of one digit more than is seen, of which one residue is right for neither."""
    task = View(ResidueAddition(modulus))
    with pytest.raises(CannotCertify, match="same local context but need different") as refused:
        check_task(task, couplings.from_left(task), windows)
    sums = re.findall(r"(\d+)\+(\d+)=(\d+)", str(refused.value))
    if windows[0][1] < 10:  # longer problems are abbreviated
        assert len(sums) == 2
        assert len({result for _, _, result in sums}) == 2
        assert all((int(a) + int(b)) % modulus == int(result) for a, b, result in sums)
        assert all(len(a) == windows[0][1] + 2 for a, _, _ in sums)
    with pytest.raises(CannotCertify, match="infinite window"):
        check_task(task, couplings.from_left(task), (None,))


def test_a_trained_run_is_certified_and_verified(tmp_path):
    recipe = dataclasses.replace(RECIPES["parity"](), steps=100)
    run = tmp_path / "parity"
    train(recipe, run, device="cpu")
    certificate = certify(run)
    assert certificate.certified, certificate.reason
    certificate.save(run / "certificate.json")
    found = verify_certificate(run / "certificate.json", run)
    assert found.problems == ()
    assert found.margin == pytest.approx(certificate.margin, abs=1e-6)
