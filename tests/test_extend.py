"""docs/extend.md as it stands: its files written and its commands typed, in an empty folder."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import arithtf
from arithtf.certify import Clash, check_task, verify_certificate
from arithtf.origin import SourceChanged
from arithtf.recipes import get_recipe
from arithtf.runs import RunError, load_model, load_recipe, read_json

PAGE = (Path(__file__).parents[1] / "docs" / "extend.md").read_text()
BLOCKS = re.findall(r"```(python|bash)\n(.*?)```", PAGE, re.S)
LONGEST = 40
"""Lines of a thing of one's own, at most."""

MAIN = "import sys; from arithtf.cli import main; sys.exit(main(sys.argv[1:]))"


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """The folder after all that the page says was typed, and what every line printed."""
    folder = tmp_path_factory.mktemp("extend")
    printed = {}
    for kind, text in BLOCKS:
        if kind == "python":
            with open(folder / re.match(r"# (\w+\.py)\n", text)[1], "a") as file:
                file.write(text)
            continue
        for line in text.splitlines():
            given, _, command = line.rpartition(" | ")
            words = command.split()
            assert words[0] == "arithtf"
            ended = subprocess.run(
                [sys.executable, "-c", MAIN, *words[1:]],
                input=given.removeprefix("echo ") + "\n",
                capture_output=True,
                text=True,
                cwd=folder,
                env={**os.environ, "OMP_NUM_THREADS": "1"},
            )
            assert ended.returncode == 0, f"{line}\n{ended.stdout}{ended.stderr}"
            printed[line] = ended.stdout
    return folder, printed


def test_things_are_short():
    lines = {}
    for kind, text in BLOCKS:
        if kind == "python":
            name = text.splitlines()[0]
            lines[name] = lines.get(name, 0) + sum(bool(line.strip()) for line in text.splitlines())
    assert len(lines) == 4
    assert lines["# larger.py"] <= LONGEST + 5  # a task, a coupling and a recipe
    assert lines["# retrieval.py"] <= LONGEST + 5
    more = ("# larger.py", "# retrieval.py")
    assert all(count <= LONGEST for name, count in lines.items() if name not in more)


def test_what_is_printed(page):
    _, printed = page
    first, *_ = printed
    assert first.startswith("arithtf discover")
    promised = re.search(r"ends in `(certified: .*?)`", PAGE.replace("\n", " "))[1]
    assert promised in printed[first]
    for line, text in printed.items():
        if line.startswith("echo"):
            left, right = (int(n) for n in re.search(r"echo (\d+),(\d+)", line).groups())
            assert text.split()[-1] == str(max(left, right))
        if "certify" in line:
            assert text.startswith("certified: exact at every operand length")
        if "evaluate" in line and "retrieval" not in line:
            assert text.count("100 of 100") >= 4
    shown = printed["echo 129,64 | arithtf solve runs/larger --show-work"].split()
    assert shown[1:7] == ["signs", "><>", "sign", ">", "answer", "129"]


def test_runs_are_loaded_again(page, tmp_path, monkeypatch):
    folder, _ = page
    monkeypatch.chdir(tmp_path)
    with pytest.warns(SourceChanged, match=r"larger.py:Larger came, has changed since"):
        runs = [arithtf.load(folder / "runs" / "discover-larger")]  # made before the recipe
    runs += [arithtf.load(folder / "runs" / name) for name in ("larger", "lookup")]
    for run in runs:
        assert run.solve(["9,10", "707,77"]) == ["10", "707"]
        assert type(run.recipe.task) is type(runs[0].recipe.task)
    encoding = load_model(folder / "runs" / "decay")[1].model.encoding
    assert encoding.mechanism.name == f"{folder / 'decay.py'}:Decay"
    assert encoding.mechanism.reach == 1
    certificate = arithtf.certify(folder / "runs" / "lookup")
    assert certificate.verdict == "refused"
    assert "Lookup is a model of somebody's own" in certificate.reason


def test_the_second_path_holds_or_says_what_it_does_not_know(page):
    folder, _ = page
    with pytest.warns(SourceChanged):
        assert verify_certificate(*paths(folder, "discover-larger")).problems == ()
    found = verify_certificate(*paths(folder, "decay"))
    assert not found.able
    assert "mechanism 'decay.py:Decay' has no independent evaluation" in found.problems[0]


def paths(folder, name):
    return folder / "runs" / name / "certificate.json", folder / "runs" / name


def test_the_sign_is_needed(page):
    """What the page says of the coupling without that level."""
    folder, _ = page
    text = (folder / "larger.py").read_text()
    for what, instead in (("(*digits, sign)", "tuple(digits)"), ("* 3", "* 2"), ('": 3', '": 2')):
        assert what in text
        text = text.replace(what, instead)
    (folder / "blind.py").write_text(text)
    recipe = get_recipe(str(folder / "blind.py"))
    with pytest.raises(Clash, match=r"0,0=0 \(token 0 .*: '='\) and 0,0=0 .*show the same"):
        check_task(recipe.task, recipe.coupling, recipe.model.encoding.windows, sinks=0)


def test_a_file_that_is_gone_or_changed_is_named(page, tmp_path):
    folder, _ = page
    run = tmp_path / "run"
    shutil.copytree(folder / "runs" / "larger", run)
    config = read_json(run / "config.json")
    source = config["sources"]["larger.py"]
    assert source["path"] == str(folder / "larger.py")
    text = (run / "config.json").read_text()
    moved = tmp_path / "moved.py"
    (run / "config.json").write_text(text.replace(source["path"], str(moved)))
    with pytest.raises(RunError, match=r"expected .*moved.py, from which larger.py:Larger came"):
        load_recipe(run)
    moved.write_text((folder / "larger.py").read_text() + "# a line more\n")
    with pytest.warns(SourceChanged, match=r"moved.py, .* has changed since"):
        load_recipe(run)
