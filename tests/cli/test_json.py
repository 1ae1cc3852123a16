"""`--json`: figures alone on stdout, as a list of objects with the names of eval.jsonl."""

import json
import shutil

import pytest

from arithtf.commands import COMMANDS

NONE = {"solve", "data", "report"}
"""Commands that print no figures."""


@pytest.fixture(scope="module")
def runs(raw_run, trained_run, tmp_path_factory):
    folder = tmp_path_factory.mktemp("json")
    for name, run in (("raw", raw_run), ("good", trained_run)):
        shutil.copytree(run, folder / name)
    return folder


def listed(ended):
    found = json.loads(ended.out)
    assert isinstance(found, list)
    assert all(isinstance(one, dict) for one in found)
    return found


def test_every_command_with_figures_takes_it():
    taking = {n for n, c in COMMANDS.items() if "--json" in [name for name, _ in c.arguments]}
    assert taking == set(COMMANDS) - NONE


@pytest.mark.parametrize(
    ("command", "code"),
    [
        (("evaluate", "good", "--lengths", "1,9", "--count", 30), 0),
        (("stress", "raw", "--suite", "ladder", "--max-digits", 10), 1),
        (("stress", "good", "--suite", "carry", "--max-digits", 10), 0),
    ],
)
def test_evaluations_are_the_rows_that_are_recorded(arithtf, runs, command, code):
    name, run, *options = command
    ended = arithtf(name, runs / run, *options, "--json")
    rows = listed(ended)
    assert ended.code == code
    recorded = (runs / run / "eval.jsonl").read_text().splitlines()[-len(rows) :]
    assert rows == [json.loads(line) for line in recorded]
    assert "digits" in ended.err
    for row in rows:
        assert row["whole_work"] <= row["exact"] <= row["count"] <= row["drawn"]
        assert row["wrong_digits"] <= row["digits"]


def test_certificates_tables_and_the_doctor(arithtf, runs):
    good = runs / "good"
    (certificate,) = listed(arithtf("certify", good, "--json"))
    assert certificate == json.loads((good / "certificate.json").read_text())
    (verified,) = listed(arithtf("verify-certificate", good / "certificate.json", good, "--json"))
    assert (verified["valid"], verified["problems"]) == (True, [])
    assert verified["contexts"] == certificate["contexts"]
    ended = arithtf("verify-certificate", good / "certificate.json", runs / "raw", "--json")
    assert ended.code == 1
    assert not listed(ended)[0]["valid"]
    arithtf("evaluate", good, "--lengths", "1", "--count", 30)
    table = listed(arithtf("table", good, runs / "raw", "--json"))
    by_run = {row["run"]: row for row in table}
    told = by_run[str(good)]
    assert (told["certified"], told["weights"]) == (True, certificate["weights"])
    assert {row["grade"] for row in told["rows"]} >= {"exhaustive"}
    assert not by_run[str(runs / "raw")]["certified"]
    assert {"python", "torch"} <= {one["what"] for one in listed(arithtf("doctor", "--json"))}


def test_training_and_export(arithtf, runs):
    options = ("--steps", 2, "--anyway", "--json")
    (row,) = listed(arithtf("train", "parity", "--out", runs / "parity", *options))
    assert (row["step"], row["recipe"]) == (2, "parity")
    assert row["seconds"] > 0
    ended = arithtf("export", runs / "parity", "--out", runs / "integers", "--json")
    (made,) = listed(ended)
    assert made["certified"] is (ended.code == 0) is (made["wrong"] == 0)


@pytest.mark.parametrize(
    ("option", "most"), [(("--count", 10**18), 10**7), (("--lengths", 10**17), 10**8)]
)
def test_more_than_can_be_counted_is_refused_in_words(arithtf, runs, option, most):
    ended = arithtf("evaluate", runs / "raw", *option)
    assert ended.code == 2
    assert f"<= {most}, got" in ended.err
