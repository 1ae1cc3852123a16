"""Boards against figures worked out by hand, and what they say of what is not there."""

import json
import re
import shutil
import statistics

import pytest

from arithtf.evaluate import wilson
from arithtf.runs import RunError, read_json
from arithtf.studies import board_of, measured, predict, run_study, status_of
from arithtf.studies.claims import Claims
from arithtf.studies.pages import _value, cells, headings, html, markdown, notes

HITS = {(8, 0): 10, (8, 1): 7, (8, 2): 9, (16, 0): 10, (16, 1): 10, (16, 2): 10}


def figures(run):
    """Made-up figures: an exact match, whether it is perfect, an error, and one with no figure."""
    width = read_json(run / "config.json")["model"]["width"]
    seed = read_json(run / "config.json")["seed"]
    if (width, seed) == (16, 2):
        raise ArithmeticError("out of figures")
    hits = HITS[width, seed]
    share = hits / 10
    yield measured("exact", share, grade="sampled", unit="share", hits=hits, count=10)
    yield measured("perfect", hits == 10, grade="certified")
    yield measured("error", 1 - share, grade="computed", worst="greatest")
    yield measured("far", None, grade="sampled", unit="share", note="no place for 100 digits")
    yield {"suite": "sampled", "exact": 3}  # not for boards


def expected(recipe):
    yield measured("exact", recipe.model.width / 20, unit="share")
    yield measured("perfect", recipe.model.width > 8)
    yield measured("never", 0.5)


@pytest.fixture
def run(study, tmp_path):
    """A study that was predicted and run, but for one cell that failed."""
    made = study(figures, predictions=expected)
    folder = tmp_path / "folder"
    predict(made, folder)
    run_study(made, folder)
    return made, folder


def lines_of(board, recipe):
    return {line.measure: line for line in board.lines if line.recipe == recipe}


def test_all_seeds_median_worst_and_intervals(run):
    lines = lines_of(board_of(*run), "width 8")
    exact = lines["exact"]
    assert [(s["seed"], s["value"]) for s in exact.seeds] == [(0, 1.0), (1, 0.7), (2, 0.9)]
    assert (exact.median, exact.worst) == (0.9, 0.7)
    assert (exact.low, exact.high) == wilson(7, 10)
    assert (exact.seeds[2]["low"], exact.seeds[2]["high"]) == wilson(9, 10)
    assert (exact.grade, exact.unit, exact.missing) == ("sampled", "share", ())
    assert lines["error"].worst == pytest.approx(0.3)
    assert lines["error"].median == pytest.approx(0.1)
    assert lines["error"].low is None
    perfect = lines["perfect"]
    assert (perfect.hits, perfect.count) == (1, 3)
    assert (perfect.low, perfect.high) == wilson(1, 3)
    assert perfect.median is None
    spent = [s["value"] for s in lines["training"].seeds]
    assert lines["training"].median == statistics.median(spent)
    assert lines["training"].worst == max(spent)
    assert lines["training, processor"].unit == "s"


def test_what_is_not_there_is_named(run):
    board = board_of(*run)
    lines = lines_of(board, "width 16")
    assert lines["exact"].missing == (2,)
    assert (lines["perfect"].hits, lines["perfect"].count) == (2, 2)
    far = lines["far"]
    assert (far.seeds, far.missing, far.note) == ((), (0, 1, 2), "no place for 100 digits")
    assert (far.median, far.worst, far.low) == (None, None, None)
    (left,) = board.open
    assert (left.recipe, left.seed, left.state) == ("width 16", 2, "failed")
    assert left.note == "ArithmeticError: out of figures"
    assert notes(board)[0] == "5 of 6 cells finished."
    assert "failed: width 16, seed 2: ArithmeticError: out of figures" in notes(board)


def test_predictions_stand_beside_what_was_measured(run):
    board = board_of(*run)
    assert lines_of(board, "width 8")["exact"].predicted == 0.4
    assert lines_of(board, "width 16")["perfect"].predicted is True
    never = lines_of(board, "width 8")["never"]
    assert (never.predicted, never.seeds, never.missing) == (0.5, (), (0, 1, 2))
    assert board.predicted_before == (6, 6)
    assert "before the work began in 6 of 6 cells" in notes(board)[-1]


def test_predictions_after_the_fact_are_called_so(study, tmp_path):
    made = study(figures, predictions=expected, seeds=(0,))
    run_study(made, tmp_path)
    assert board_of(made, tmp_path).predicted_by is None
    assert "predicted" not in headings(board_of(made, tmp_path))
    predict(made, tmp_path)
    board = board_of(made, tmp_path)
    assert board.predicted_before == (0, 2)
    assert board.predicted_by.keys() == {"version", "commit", "dirty", "sources"}


def test_predictions_are_a_function_of_the_study_and_stay(study, tmp_path):
    made = study(figures, predictions=expected)
    assert predict(made, tmp_path / "a") == predict(made, tmp_path / "b") == 6
    written = (tmp_path / "a" / "predictions.json").read_bytes()
    assert (tmp_path / "b" / "predictions.json").read_bytes() == written
    predict(made, tmp_path / "a")
    assert (tmp_path / "a" / "predictions.json").read_bytes() == written

    def otherwise(recipe):
        yield measured("exact", 0.1)

    with pytest.raises(RunError, match="holds other predictions, and those came first"):
        predict(study(figures, predictions=otherwise), tmp_path / "a")
    with pytest.raises(ValueError, match="predicts nothing; give it predictions="):
        predict(study(figures), tmp_path / "a")
    (tmp_path / "a" / "predictions.json").write_text("[]")
    with pytest.raises(RunError, match="does not hold predictions of format 1"):
        board_of(made, tmp_path / "a")


def test_a_board_is_a_function_of_the_run_directories(run, tmp_path):
    made, folder = run
    board = board_of(made, folder).to_dict()
    shutil.copytree(folder, tmp_path / "copy")
    shutil.rmtree(tmp_path / "copy" / ".claims")
    assert board_of(made, tmp_path / "copy").to_dict() == board
    # Who is at work now is no result.
    with Claims(folder / ".claims").take(made.cells()[5].name):
        assert board_of(made, folder).to_dict() == board
        assert status_of(made, folder)[5].state == "running"
    assert json.loads(json.dumps(board)) == json.loads(json.dumps(board))
    assert board["format"] == 1
    assert sum(code["cells"] for code in board["code"]) == 6


def test_an_unfinished_evaluation_is_not_shown(run):
    """Its rows are there, but nothing says that they are all."""
    made, folder = run
    place = folder / made.cells()[0].name / "cell.json"
    place.write_text(json.dumps(read_json(place) | {"evaluations": {}}))
    lines = lines_of(board_of(made, folder), "width 8")
    assert [s["seed"] for s in lines["exact"].seeds] == [1, 2]
    assert [s["seed"] for s in lines["training"].seeds] == [0, 1, 2]


def test_a_study_that_was_not_run_has_an_empty_board(study, tmp_path):
    made = study(figures)
    board = board_of(made, tmp_path)
    assert (board.lines, len(board.open)) == ((), 6)
    assert {status.state for status in status_of(made, tmp_path)} == {"waiting"}
    assert "0 of 6 cells finished." in markdown(board)
    assert "<table>" in html(board)


def test_status_says_where_each_cell_stands(run):
    made, folder = run
    assert [status.state for status in status_of(made, folder)] == [*["finished"] * 5, "failed"]
    shutil.rmtree(folder / made.cells()[1].name)
    with Claims(folder / ".claims").take(made.cells()[1].name):
        running = status_of(made, folder)[1]
    assert running.state == "running"
    assert re.fullmatch(r"on .+, process \d+, sign of life \d+ s ago", running.note)
    assert status_of(made, folder)[1].state == "waiting"


def test_pages_say_the_same_as_the_board(run):
    board = board_of(*run)
    named, rows = headings(board), cells(board)
    assert named == [
        "recipe",
        "measure",
        "grade",
        "median",
        "worst [95 %]",
        "each seed",
        "predicted",
    ]
    found = {row[:2]: row[2:] for row in rows}
    assert found["width 8", "exact"] == (
        "sampled",
        "90.0 %",
        "70.0 % [39.7 %, 89.2 %]",
        "100 %, 70.0 %, 90.0 %",
        "40.0 %",
    )
    assert found["width 16", "perfect"] == (
        "certified",
        "2 of 2",
        "[34.2 %, 100 %]",
        "yes, yes, -",
        "yes",
    )
    assert found["width 16", "far"] == ("sampled", "-", "-", "-, -, -", "-")
    text = markdown(board)
    for row in rows:
        assert f"| {' | '.join(row)} |" in text
    page = html(board)
    assert page.count("<tr>") == len(rows) + 1
    assert page.count("<circle") == 3 + 2
    assert page.count("<path") == 2
    assert "http" not in page


def test_names_cannot_break_a_page(study, tmp_path):
    def odd(run):
        yield measured("<b>|x", 0.5, unit="share")

    made = study(odd, seeds=(0,), widths=(8,), what="<script>")
    run_study(made, tmp_path)
    board = board_of(made, tmp_path)
    assert "<b>" not in html(board)
    assert "<script>" not in html(board)
    assert "&lt;b>\\|x" in markdown(board)
    assert "<script>" not in markdown(board)


def test_factors_are_the_first_columns(study, tmp_path):
    made = study(
        figures,
        seeds=(0,),
        factors=lambda r: {"width": r.model.width, "even": r.model.width % 2 == 0},
    )
    run_study(made, tmp_path)
    board = board_of(made, tmp_path)
    assert headings(board)[:3] == ["width", "even", "measure"]
    assert cells(board)[0][:3] == ("8", "True", "exact")


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (None, "s", "-"),
        (True, "", "yes"),
        (0.125, "share", "12.5 %"),
        (11455.5, "", "11,456"),
        (7514, "", "7,514"),
        (4.85123, "s", "4.851 s"),
        (-0.0005483, "", "-0.0005483"),
        (1e20, "", "1e+20"),
        (float("inf"), "", "inf"),
    ],
)
def test_figures_as_people_read_them(value, unit, text):
    assert _value(value, unit) == text
