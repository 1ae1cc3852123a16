"""Weights and recipes that are not those that were trained: what is said of them."""

import json
import shutil
import subprocess
import sys
import warnings
from dataclasses import replace

import pytest
import safetensors.torch
import torch

from arithtf.certify.verify.fields import hash_weights, read_weights
from arithtf.recipes import get_recipe
from arithtf.runs import (
    RunChanged,
    RunError,
    config_hash,
    load_model,
    load_recipe,
    read_json,
    write_json,
)
from arithtf.train import train


@pytest.fixture(scope="module")
def small():
    recipe = get_recipe("addition")
    model = replace(recipe.model, width=16, heads=2, hidden=16)
    return replace(recipe, model=model, batch=4, steps=2, warmup=1, log_every=1)


@pytest.fixture(scope="module")
def kept(small, tmp_path_factory):
    run = tmp_path_factory.mktemp("runs") / "small"
    train(small, run, device="cpu")
    return run


@pytest.fixture
def run(kept, tmp_path):
    """A trained run that a test may damage."""
    shutil.copytree(kept, tmp_path / "run")
    return tmp_path / "run"


def test_training_leaves_the_hashes_of_recipe_and_weights(run, small):
    found = read_json(run / "hashes.json")
    assert found["weights"] == hash_weights(read_weights(run / "model.safetensors"))
    assert found["recipe"] == config_hash(json.loads(json.dumps(small.to_dict())))
    load_model(run)  # warnings are errors in this suite


WRONG_BYTES = {
    "empty": lambda data: b"",
    "cut in its header": lambda data: data[:20],
    "cut": lambda data: data[:-1],
    "half": lambda data: data[: len(data) // 2],
    "lengthened": lambda data: data + b"\0",
    "twice": lambda data: data + data,
    "something else": lambda data: b"<html>" + data[6:],
    "zeros": lambda data: bytes(len(data)),
}


@pytest.mark.parametrize("change", WRONG_BYTES.values(), ids=WRONG_BYTES)
def test_damaged_weights_are_called_damaged_and_resuming_mends_them(run, small, change):
    path = run / "model.safetensors"
    whole = path.read_bytes()
    path.write_bytes(change(whole))
    with pytest.raises(
        RunError, match=r"safetensors is damaged or incomplete: .*; where state\.pt is there,"
    ):
        load_model(run)
    train(small, run, resume=True, device="cpu")
    assert path.read_bytes() == whole


def test_weights_that_are_no_file_are_named(run):
    (run / "model.safetensors").unlink()
    (run / "model.safetensors").mkdir()
    with pytest.raises(RunError, match=r"model\.safetensors cannot be read: Is a directory"):
        load_model(run)


def changed(run, change):
    path = run / "model.safetensors"
    weights = safetensors.torch.load_file(path)
    change(weights)
    safetensors.torch.save_file(weights, path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda w: w.pop("norm.weight"), r"expected float32 \[16\] as norm\.weight, got none"),
        (lambda w: w.update(more=torch.ones(2)), r"expected none as more, got float32 \[2\]"),
        (
            lambda w: w.update({"norm.weight": torch.ones(15)}),
            r"expected float32 \[16\] as norm\.weight, got float32 \[15\]",
        ),
        (
            lambda w: w.update({"norm.weight": torch.ones(16, dtype=torch.float64)}),
            r"expected float32 \[16\] as norm\.weight, got float64 \[16\]",
        ),
    ],
)
def test_weights_of_another_model_do_not_fit(run, change, message):
    changed(run, change)
    with pytest.raises(RunError, match=rf"does not fit the run's config\.json: {message}; one of"):
        load_model(run)


@pytest.mark.parametrize("width", [10**6, 10**12])
def test_a_model_beyond_all_memory_is_refused_before_it_is_made(run, width):
    config = read_json(run / "config.json")
    config["model"] |= {"width": width, "hidden": 10**9}
    write_json(run / "config.json", config)
    (run / "hashes.json").unlink()
    with pytest.raises(RunError, match=r"does not fit the run's config\.json"):
        load_model(run)


def one_bit(weights):
    weights["norm.weight"].view(torch.int32)[0] ^= 1


def test_other_weights_than_were_trained_are_told(run):
    changed(run, one_bit)
    with pytest.warns(RunChanged, match=r"safetensors is not what training wrote: .*--resume"):
        load_model(run)


@pytest.mark.parametrize("field", ["learning_rate", "steps", "lengths", "schedule", "seed"])
def test_a_training_field_that_was_edited_is_told(run, field):
    config = read_json(run / "config.json")
    values = {"learning_rate": 0.5, "steps": 99, "lengths": [1, 3], "schedule": "cosine"}
    write_json(run / "config.json", config | {field: values.get(field, 7)})
    with pytest.warns(RunChanged, match=r"config\.json is not as it was when training began"):
        load_recipe(run)


def test_order_and_spaces_of_a_config_are_no_change(run):
    config = read_json(run / "config.json")
    (run / "config.json").write_text(json.dumps(dict(sorted(config.items()))))
    load_model(run)


def test_a_run_goes_on_by_the_recipe_it_was_begun_with_alone(run, small):
    other = replace(small, learning_rate=0.5)
    with pytest.raises(RunError, match="holds a run of another recipe"):
        train(other, run, resume=True, device="cpu")
    write_json(run / "config.json", other.to_dict())
    for recipe, message in ((small, "of another recipe"), (other, "the run would be of two")):
        with pytest.raises(RunError, match=message):
            train(recipe, run, resume=True, device="cpu")


def test_a_certificate_of_other_weights_is_told_and_a_damaged_one(run):
    path = run / "certificate.json"
    write_json(path, {"weights": read_json(run / "hashes.json")["weights"]})
    load_model(run)
    write_json(path, {"weights": "0" * 64})
    with pytest.warns(RunChanged, match=r"certificate\.json is about other weights.*certify it"):
        load_model(run)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        load_model(run, certifying=True)
    path.write_text("{")
    with pytest.warns(RunChanged, match=r"certificate\.json is not valid JSON"):
        load_model(run)


@pytest.mark.parametrize("text", ["{", "null", '{"recipe": 5, "weights": null}'])
def test_damaged_hashes_stop_nothing(run, text):
    (run / "hashes.json").write_text(text)
    with pytest.warns(RunChanged, match=r"hashes\.json is .*nobody can tell"):
        load_model(run)


def test_a_run_without_hashes_is_taken_as_it_is_and_gets_them_by_resuming(run, small):
    before = (run / "hashes.json").read_bytes()
    (run / "hashes.json").unlink()
    load_model(run)
    train(small, run, resume=True, device="cpu")
    assert (run / "hashes.json").read_bytes() == before


def test_loading_a_run_imports_no_compiler(trained_run):
    """PyTorch's takes a second, which every command would pay."""
    code = (
        "import sys; from pathlib import Path; from arithtf.runs import load_model; "
        f"load_model(Path({str(trained_run)!r})); sys.exit('torch._dynamo' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
