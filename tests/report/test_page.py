"""The page: complete, offline, the same every time, and drawn by a real browser."""

import re
import shutil
import subprocess
from html.parser import HTMLParser
from xml.etree import ElementTree

import pytest

from arithtf.certify import Certificate
from arithtf.report import build_page, write_report
from arithtf.runs import RunChanged, RunError, append_line, read_json, write_json

FIGURES = ("accuracy", "carry", "grid", "margins", "attention", "training")
SVG = "{http://www.w3.org/2000/svg}"
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")


class Page(HTMLParser):
    """Ids, addresses, text, and which figure holds how many drawn paths."""

    def __init__(self, text):
        super().__init__()
        self.ids, self.addresses, self.paths, self.inside = [], [], {}, None
        self.words = []
        self.feed(text)
        self.text = " ".join(" ".join(self.words).split())

    def handle_starttag(self, tag, attrs):
        values = dict(attrs)
        if "id" in values:
            self.ids.append(values["id"])
        self.addresses += [values[n] for n in ("src", "href", "xlink:href") if n in values]
        if tag == "figure":
            self.inside = values["id"]
            self.paths[self.inside] = 0
        if tag == "path" and self.inside:
            self.paths[self.inside] += 1

    def handle_endtag(self, tag):
        if tag == "figure":
            self.inside = None

    def handle_data(self, data):
        self.words.append(data)


def svg_of(page, figure):
    """The figure's SVG as XML."""
    part = page[page.index(f'<figure id="{figure}"') :]
    return ElementTree.fromstring(part[part.index("<svg") : part.index("</svg>") + 6])


def test_every_figure_is_drawn(page):
    parsed = Page(page)
    assert tuple(parsed.paths) == FIGURES
    for figure in FIGURES:
        assert parsed.paths[figure] > 5, figure
        assert svg_of(page, figure).get("aria-label")


def test_nothing_comes_from_outside(page):
    assert all(address.startswith("#") for address in Page(page).addresses)
    assert not re.search(r"<(script|link|img|iframe|object|embed)\b|@import|url\((?!#)", page)


def test_ids_are_unique_and_references_resolve(page):
    ids = Page(page).ids
    assert len(ids) == len(set(ids))
    used = re.findall(r"url\(#([^)]*)\)", page) + re.findall(r'href="#([^"]*)"', page)
    assert used
    assert set(used) <= set(ids)


def test_the_same_run_gives_the_same_bytes(evaluated_run, page):
    assert write_report(evaluated_run).read_text() == page


def test_numbers_are_those_of_the_files(page):
    text = Page(page).text
    # Sums over the rows that the fixture wrote, counted by hand.
    for expected in (
        "99 right of 150 random problems",
        "3 right of 6 adversarial problems, up to 100,000 digits",
        "28 problems of up to 200 digits; 2 of 6 cells are not all right",
        "all right in all 6 cells",
        "random problems, 20 digits",
        "49 of 50",
    ):
        assert expected in text
    # Wilson's interval of 49 of 50 at 95 %: 0.8950 to 0.9965.
    assert "98.0 % sampled 49 of 50, 95 % interval 89.5 % to 99.6 %" in text


def test_heat_map_has_a_cell_for_every_row(page):
    texts = [t.text for t in svg_of(page, "carry").iter(f"{SVG}text")]
    # Four cells and the bin from 100 on.
    assert texts.count("100") == 5
    assert texts.count("50") == 2


def test_training_range_and_lengths_stand_on_the_axis(page):
    texts = {t.text for t in svg_of(page, "accuracy").iter(f"{SVG}text")}
    assert {"trained here", "10", "1,000", "10⁵", "sampled", "stressed"} <= texts
    assert "certified at every length" not in texts


def test_failures_are_the_headline(page):
    text = Page(page).text
    # 51 + 3 + 4 of the fixture's problems are wrong.
    assert "not exact" in text
    assert "58 of the problems" in text


def test_a_bare_run_says_what_makes_the_rest(short_run):
    text = Page(build_page(short_run)).text
    assert "NOT CERTIFIED YET" in text
    for command in ("evaluate", "stress", "certify"):
        assert f"arithtf {command} {short_run}" in text


def test_a_certificate_of_other_weights_counts_for_nothing(own_run):
    path = own_run / "certificate.json"
    data = read_json(path)
    data.pop("digest")
    data.pop("format")
    data["weights"] = "0" * 64
    worst = data["worst"]
    assert worst
    mistakes = tuple(data.pop("mistakes"))
    write_json(path, Certificate(**{**data, "mistakes": (), "worst": None}).to_dict())
    assert mistakes
    with pytest.warns(RunChanged, match=r"certificate\.json is about other weights"):
        assert "about other weights" in page_without_failures(own_run)


def test_a_certificate_of_another_task_counts_for_nothing(own_run):
    config = read_json(own_run / "config.json")
    config["task"]["format"] = "padded"
    write_json(own_run / "config.json", config)
    with pytest.warns(RunChanged, match=r"config\.json is not as it was when training began"):
        text = page_without_failures(own_run)
    assert "about another task" in text
    assert "config.json is not as it was when training began" in text


def test_other_weights_than_were_trained_are_told_on_the_page(own_run):
    path = own_run / "hashes.json"
    write_json(path, read_json(path) | {"weights": "0" * 64})
    with pytest.warns(RunChanged, match=r"not what training wrote"):
        assert "model.safetensors is not what training wrote" in page_without_failures(own_run)


def test_a_changed_certificate_counts_for_nothing(own_run):
    path = own_run / "certificate.json"
    write_json(path, {**read_json(path), "verdict": "certified"})
    assert "cannot be used" in page_without_failures(own_run)


def page_without_failures(run):
    (run / "eval.jsonl").unlink()
    return Page(build_page(run)).text


def test_results_of_other_weights_count_for_nothing(short_run, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(short_run, run)
    row = {"suite": "sampled", "grade": "sampled", "length": 7, "count": 9, "exact": 9}
    append_line(run / "eval.jsonl", {**row, "weights": "1" * 64})
    assert "random problems, 7 digits" not in Page(build_page(run)).text


def test_text_is_escaped(short_run, tmp_path):
    run = tmp_path / "<b>&amp;"
    shutil.copytree(short_run, run)
    page = build_page(run)
    assert "<b>&amp;" not in page
    assert "&lt;b&gt;&amp;amp;" in page


def test_not_a_run(tmp_path):
    with pytest.raises(RunError, match="not a run directory"):
        build_page(tmp_path)


def test_a_browser_draws_it(evaluated_run, tmp_path):
    browser = next((path for name in BROWSERS if (path := shutil.which(name))), None)
    if browser is None:
        pytest.skip(f"no browser is installed (looked for {', '.join(BROWSERS)})")
    flags = (
        "headless",
        "no-sandbox",
        "disable-gpu",
        "disable-quic",
        "no-first-run",
        "disable-background-networking",
        "disable-component-update",
        "disable-sync",
        "disable-dev-shm-usage",
        f"user-data-dir={tmp_path / 'profile'}",
        "dump-dom",
    )
    page = write_report(evaluated_run)
    shown = subprocess.run(
        [browser, *(f"--{flag}" for flag in flags), page.as_uri()],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    parsed = Page(shown.stdout)
    assert tuple(parsed.paths) == FIGURES
    assert all(count > 5 for count in parsed.paths.values())
    assert "Accuracy against length" in parsed.text
