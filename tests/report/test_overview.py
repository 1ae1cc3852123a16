"""The page of all runs: what the files say, and what others published."""

import json
import re
import shutil

import pytest

from arithtf.certify import certify
from arithtf.certify.certificate import digest
from arithtf.certify.verify import Verification
from arithtf.evaluate import record, stress
from arithtf.recipes import get_recipe
from arithtf.report import build_page
from arithtf.report.overview import COLUMNS, markdown, ordered, overview, reach
from arithtf.report.published import PUBLISHED
from arithtf.runs import load_model, read_json, weights_hash, write_json
from arithtf.tasks import TASKS


@pytest.fixture(scope="module")
def proved(trained_run, tmp_path_factory):
    """A certified and stressed copy of the trained adder; to be read only."""
    run = tmp_path_factory.mktemp("runs") / "proved"
    shutil.copytree(trained_run, run)
    certify(run).save(run / "certificate.json")
    model, recipe = load_model(run)
    record(run, stress(model, recipe, "ladder", max_digits=300))
    return run


def test_a_certified_run(proved):
    row = overview(proved, verify=True)
    certificate = read_json(proved / "certificate.json")
    task, trained, parameters, _, proof, largest = row.cells
    assert (task, trained) == ("addition", "1 to 10 digits")
    assert int(parameters.replace(",", "")) == load_model(proved)[0].num_parameters()
    assert proof.startswith(f"certified, verified: {certificate['contexts']:,} contexts")
    assert f"margin {certificate['margin']:.3g}" in proof
    rows = [json.loads(line) for line in (proved / "eval.jsonl").read_text().splitlines()]
    longest = [r for r in rows if (r["left"], r["right"]) == (300, 300)]
    assert largest == "300 x 300 digits, {0} of {0} stressed".format(
        sum(r["count"] for r in longest)
    )
    assert "2405.20671" in row.published_text
    assert "verified" not in overview(proved).cells[4]


def test_failures_are_not_left_out(evaluated_run):
    *_, proof, largest = overview(evaluated_run).cells
    assert re.match(r"wrong in [\d,]+ of [\d,]+ contexts", proof)
    assert "58 problems wrong" in largest


def test_sums_of_as_long_but_more_operands_are_other_problems(short_run, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(short_run, run)
    row = {
        "suite": "ladder",
        "distribution": "nines",
        "grade": "stressed",
        "length": 50,
        "left": None,
        "right": None,
        "chain": None,
        "place": None,
        "tokens": 100,
        "weights": weights_hash(load_model(run)[0]),
    }
    for kind in ("nines", "random"):
        for operands, count in ((1000, 2), (100, 9)):
            rows = [
                {**row, "distribution": kind, "operands": operands, "count": count, "exact": count}
            ]
            record(run, rows)
    assert overview(run).cells[5] == "1,000 numbers of 50 digits, 4 of 4 stressed"


@pytest.mark.parametrize(
    ("more", "less"),
    [
        ((100, 100, 10_000), (1, 100_000, 900_000)),  # a quotient of 0
        ((100, 100, 10_000), (100_000, 10, 900_000)),
        ((1000, 1000, 10_000), (1000, 100, 900_000)),
        ((100, 1000, 10_000), (100, 100, 9_000)),
        ((100, 100, 10_000), (None, None, 900_000)),
    ],
)
def test_the_shorter_operand_decides_what_is_largest(more, less):
    def row(left, right, tokens):
        longest = max(left or 10**6, right or 10**6)
        return {
            "operands": 2,
            "left": left,
            "right": right,
            "length": longest,
            "tokens": tokens,
            "count": 2,
        }

    assert reach(row(*more)) > reach(row(*less))


def test_many_operands_and_one_are_as_large_as_the_longest():
    row = {"left": None, "right": None, "tokens": 100, "count": 1}
    for operands in (1, 3):
        assert reach(row | {"length": 20, "operands": operands}) > reach(
            row | {"length": 10, "operands": operands, "tokens": 900}
        )


def test_how_many_operands_were_trained_on_is_said(tmp_path):
    for name, text in {
        "running-sum": "3 operands of 1 to 4 digits",
        "multiplication": "7 digits",
    }.items():
        (tmp_path / name).mkdir()
        write_json(tmp_path / name / "config.json", get_recipe(name).to_dict())
        assert overview(tmp_path / name).cells[1] == text


def test_a_run_without_anything(short_run):
    cells = overview(short_run).cells
    assert cells[4:] == ("none", "none")


def test_a_certificate_that_the_second_path_refuses(proved, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(proved, run)
    claim = read_json(run / "certificate.json")
    claim["margin"] += 1
    claim["digest"] = digest(claim)
    (run / "certificate.json").write_text(json.dumps(claim))
    assert overview(run).cells[4].startswith("certified:")
    assert "does not hold by the second path" in overview(run, verify=True).cells[4]
    page = build_page(run)
    assert "NOT CERTIFIED YET" in page
    assert "does not hold by the second path" in page
    assert "checked for this page by the second path" in build_page(proved)


def test_markdown_has_a_cell_for_every_column(proved, short_run):
    rows = ordered([overview(proved), overview(short_run)])
    lines = markdown(rows, ["a note"]).splitlines()
    assert [line.count("|") for line in lines[:4]] == [len(COLUMNS) + 1] * 4
    assert "[arXiv 2405.20671](https://arxiv.org/abs/2405.20671)" in lines[2]
    assert lines[-1] == "a note"


def test_runs_of_one_recipe_are_told_apart(proved, short_run):
    alone = ordered([overview(proved)])
    assert [row.cells[0] for row in alone] == ["addition"]
    both = ordered([overview(proved), overview(short_run)])
    assert {row.cells[0] for row in both} == {f"addition, {run}" for run in (proved, short_run)}


def test_a_certificate_that_the_second_path_cannot_check(proved, monkeypatch):
    found = Verification(("there is no derivation for it",), able=False)
    monkeypatch.setattr("arithtf.report.evidence.verify_certificate", lambda *_: found)
    proof = overview(proved, verify=True).cells[4]
    assert proof.startswith("certified, second path not able to check: ")
    page = build_page(proved)
    assert "CERTIFIED" in page
    assert "NOT CERTIFIED" not in page
    assert "rests on the first path alone" in page
    assert "Not asked: there is no derivation for it." in page
    assert "checked for this page by the second path" not in page


def test_published_results_have_sources():
    known = {*TASKS, "running-sum", "division", "calculator"}
    for task, results in PUBLISHED.items():
        assert task in known
        assert results
        for published in results:
            assert re.fullmatch(r"\d{4}\.\d{5}", published.arxiv)
            assert published.check in ("confirmed", "single source", "secondary")
            assert published.arxiv in published.text


def test_every_published_result_of_a_task_is_linked(proved):
    page = markdown([overview(proved)], [])
    for published in PUBLISHED["addition"]:
        assert f"[arXiv {published.arxiv}](https://arxiv.org/abs/{published.arxiv})" in page
        assert published.what in page
