"""A model in integers: right in every context, alone in a folder, and refused where it errs."""

import json
import random
import subprocess
import sys

import numpy as np
import pytest

from arithtf.certify import check_task
from arithtf.certify.provable import CannotCertify
from arithtf.cli import main
from arithtf.encodings import Encoding
from arithtf.export import export_integers, interpreter
from arithtf.export.integers import _alike, _arrays, _take, check, integers
from arithtf.model import ModelConfig
from arithtf.recipes import get_recipe
from arithtf.runs import load_model


@pytest.fixture(scope="module")
def exported(trained_run, tmp_path_factory):
    folder = tmp_path_factory.mktemp("export") / "int8"
    return folder, export_integers(trained_run, folder)


@pytest.fixture(scope="module")
def found(trained):
    recipe = trained[1]
    encoding = recipe.model.encoding
    return check_task(recipe.task, recipe.coupling, encoding.windows, sinks=encoding.sinks).contexts


def run_alone(folder, *lines, stdin=""):
    """The exported folder in a process that sees no package (-I -S)."""
    return subprocess.run(
        [sys.executable, "-I", "-S", str(folder / "solve.py"), *lines],
        input=stdin,
        capture_output=True,
        text=True,
        check=False,
        cwd="/",
    )


def test_solves_alone_what_python_solves(exported):
    folder, certificate = exported
    assert certificate.certified
    assert certificate.contexts == 7514
    draw = random.Random(0)
    pairs = [(draw.randrange(10**n), draw.randrange(10**m)) for n in (1, 3, 30) for m in (1, 40)]
    done = run_alone(folder, stdin="".join(f"{a}+{b}\n" for a, b in pairs))
    assert done.stdout.split() == [str(a + b) for a, b in pairs]
    assert (done.returncode, done.stderr) == (0, "")


def test_says_what_a_line_lacks(exported):
    done = run_alone(exported[0], "12-3", "1+2")
    assert done.stdout.split() == ["error", "3"]
    assert done.returncode == 2
    assert "expected operands with '+' between them, got '12-3'" in done.stderr


def test_arrays_of_contexts_give_what_single_ones_do(exported, found):
    data = json.loads((exported[0] / "model.json").read_text())
    network = interpreter.Network(data["network"])
    arrays = interpreter.Network(_arrays(data["network"]), take=_take)
    compared = 0
    for members, places, tokens in _alike(found):
        seen = [(*place, token) for place, token in zip(places, tokens, strict=True)]
        together = arrays.logits(found.query_token[members].astype(np.int64), seen)
        for at in range(0, len(members), 150):
            i = int(members[at])
            logits = network.logits(int(found.query_token[i]), found.entries(i))
            assert logits == [int(column[at]) for column in together]
            assert logits.index(max(logits)) == found.target[i]
            assert logits.count(max(logits)) == 1
            compared += 1
    assert compared > 40


def test_each_wrong_context_is_counted(exported, found):
    data = json.loads((exported[0] / "model.json").read_text())
    chosen = np.random.default_rng(0).choice(7514, 1000, replace=False)
    target = found.target.copy()
    target[chosen] = (target[chosen] + 1) % 10
    wrong, margin = check(data, found._replace(target=target))
    assert wrong == 1000
    assert margin < 0


def test_too_few_bits_are_said_to_be_too_few(trained_run, tmp_path, capsys):
    assert main(["export", str(trained_run), "--bits", "2", "--out", str(tmp_path / "two")]) == 1
    assert "with 2 bits; export with more, as in --bits 6" in capsys.readouterr().out
    assert json.loads((tmp_path / "two" / "certificate.json").read_text())["verdict"] == "wrong"


def test_scores_that_depend_on_their_number_are_refused(trained_run, found):
    recipe = load_model(trained_run)[1]
    encoding = Encoding(windows=((1, 0),), sinks=1, logit_scale="log")
    model = ModelConfig(vocabulary=15, encoding=encoding).build()
    with pytest.raises(CannotCertify, match="logit_scale 'constant'"):
        integers(model, recipe.arithmetic, recipe.coupling, found)


def test_weights_that_are_too_large_are_refused(trained, found):
    model, recipe = load_copy(trained)
    model.embedding.weight.data *= 1e6
    with pytest.raises(ValueError, match="stay below 2\\^62"):
        integers(model, recipe.arithmetic, recipe.coupling, found)


def load_copy(trained):
    model = get_recipe("addition").model.build()
    model.load_state_dict(trained[0].state_dict())
    return model, trained[1]


def test_root():
    numbers = [0, 1, 2, 3, 4, 8, 9, 10**6, 2**58 - 1, 2**58]
    assert interpreter.root(np.array(numbers)).tolist() == [int(n**0.5) for n in numbers[:-2]] + [
        2**29 - 1,
        2**29,
    ]
    assert [interpreter.root(n) for n in numbers] == interpreter.root(np.array(numbers)).tolist()
