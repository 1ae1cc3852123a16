"""Studies whose cells take a fraction of a second."""

from dataclasses import replace

import pytest

from arithtf.recipes import get_recipe
from arithtf.studies import Study, measured


@pytest.fixture(scope="session")
def tiny():
    """A recipe of seven steps, with a checkpoint in the middle."""
    settings = ("model.width=16", "model.heads=2", "model.hidden=16", "lengths=1-2", "warmup=2")
    recipe = get_recipe("parity", *settings)
    return replace(recipe, name="tiny", batch=4, steps=7, log_every=1, checkpoint_every=4)


@pytest.fixture
def study(tiny):
    """Makes a study of recipes with other widths: two of three seeds each."""

    def make(*evaluations, seeds=range(3), widths=(8, 16), **settings):
        def recipes():
            for width in widths:
                model = replace(tiny.model, width=width)
                yield replace(tiny, name=f"width {width}", model=model)

        return Study(name="t", recipes=recipes, seeds=seeds, evaluations=evaluations, **settings)

    return make


def size(run):
    """An evaluation: bytes of the weights, and whether the seed is even."""
    seed = int(run.name.split("-s")[-1].split("-")[0])
    yield measured("bytes", (run / "model.safetensors").stat().st_size, grade="computed")
    yield measured("even", seed % 2 == 0, grade="computed")


@pytest.fixture
def sizes():
    return size


@pytest.fixture
def contents():
    """The bytes of all files of a study's runs that any workers leave the same."""
    files = ("config.json", "metrics.jsonl", "model.safetensors", "state.pt", "eval.jsonl")

    def read(folder, study):
        runs = [folder / cell.name for cell in study.cells()]
        return {(run.name, file): (run / file).read_bytes() for run in runs for file in files}

    return read
