"""Every command meets every file of a run in every kind of damage, and says which file it is.

ARITHTF_THOROUGH=1 pytest tests/runs/test_damage.py    # all variants instead of a sample
"""

import os
import shutil

import pytest
from damage import call, fault, put, rng_of, variants

from arithtf.recipes import get_recipe
from arithtf.runs import files
from arithtf.train import train

THOROUGH = os.environ.get("ARITHTF_THOROUGH") == "1"
COUNT = 150 if THOROUGH else 14
"""Damaged variants of each file."""

STUDIES = ("summary.json", "cell.json", "failure.json")  # of runs of discoveries and studies
FILES = [name for name in files.FILES if "report" not in name and name not in STUDIES]
COMMANDS = {
    "evaluate": ("evaluate", "RUN", "--lengths", "20", "--count", "4"),
    "stress": ("stress", "RUN", "--suite", "ladder", "--max-digits", "10"),
    "solve": ("solve", "RUN"),
    "law": ("law", "RUN", "--lengths", "10"),
    "table": ("table", "RUN", "--out", "OUT"),
    "table --verify": ("table", "RUN", "--verify"),
    "verify-certificate": ("verify-certificate", "RUN/certificate.json", "RUN"),
    "certify": ("certify", "RUN"),
    "report": ("report", "RUN"),
    "train": ("train", "parity", "steps=150", "--resume", "--anyway", "--out", "RUN"),
}
DEAR = ("report", "train", "law")
"""Commands that take long: they meet a part of the variants."""


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A certified and evaluated run that takes milliseconds to read."""
    run = tmp_path_factory.mktemp("whole") / "run"
    train(get_recipe("parity", "steps=150"), run, device="cpu")
    for name in ("certify", "evaluate", "stress"):
        assert call(*asked(name, run, run)).code == 0
    return run


def asked(name, run, folder):
    places = {"RUN": str(run), "OUT": str(folder / "table.md")}
    return [places.get(word, word.replace("RUN", str(run))) for word in COMMANDS[name]]


@pytest.mark.parametrize("file", FILES)
def test_every_command_names_what_is_damaged(whole, tmp_path, file):
    rng, faults, met = rng_of(file), [], 0
    kept = {path.name: path.read_bytes() for path in whole.iterdir() if path.is_file()}
    run = tmp_path / "run"
    for number, damaged in enumerate(variants(whole, file, rng, COUNT)):
        cheap = [name for name in COMMANDS if name not in DEAR]
        chosen = cheap if THOROUGH else rng.sample(cheap, 1)
        if number % 10 == 0:
            chosen = [*chosen, *(DEAR if THOROUGH else rng.sample(DEAR, 1))]
        if (file, damaged.what) == ("certificate.json", "a pipe"):
            # What a person names may be a pipe: a certificate is read from one, and written to one.
            chosen = [n for n in chosen if n not in ("verify-certificate", "certify")]
        for name in chosen:
            shutil.rmtree(run, ignore_errors=True)
            run.mkdir()
            for other, data in kept.items():
                (run / other).write_bytes(data)
            put(run / file, damaged.data)
            met += 1
            if wrong := fault(damaged, call(*asked(name, run, tmp_path)), 0):
                faults.append(f"{name}, {file}: {damaged.what}: {wrong}")
    print(f"{file}: {met} calls")
    assert not faults, "\n\n".join([f"{len(faults)} faults", *faults])
