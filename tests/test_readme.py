"""What README.md and the pages beside it say one can type."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from arithtf.cli import parser
from arithtf.recipes import get_recipe
from arithtf.runs import load_model, write_json

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
PAGES = README + "".join(
    (ROOT / "docs" / f"{page}.md").read_text() for page in ("install", "results", "usage")
)
VERBS = (
    "demo|train|evaluate|stress|certify|verify-certificate|solve|discover|data|report|study|table|"
    "doctor|predict"
)
# A verb alone in a sentence, like `arithtf certify`, is a name and no line to type.
LINES = re.sub(r"`arithtf \w+`", "", PAGES)
COMMANDS = sorted(
    {found.strip() for found in re.findall(rf"arithtf ((?:{VERBS})\b[^\n`|#]*)", LINES)}
)


def test_the_lines_of_use_run(trained_run, tmp_path, monkeypatch, capsys):
    """The Python of the README, as printed, in a folder that holds the demo's run."""
    (block,) = re.findall(r"```python\n(.*?)```", README, re.S)
    assert block.count("\n") <= 10
    shutil.copytree(trained_run, tmp_path / "runs" / "demo")
    monkeypatch.chdir(tmp_path)
    # The same training again would only cost time.
    monkeypatch.setattr("arithtf.train.train", lambda recipe: load_model(trained_run)[0])
    exec(compile(block, "README.md", "exec"), {})
    first, last = capsys.readouterr().out.splitlines()
    assert first.startswith("certified ")
    assert last == "['3', '100000000000000000000']"


@pytest.mark.parametrize("command", COMMANDS)
def test_commands_are_understood(command, tmp_path, monkeypatch):
    for run in ("demo", "addition"):
        (tmp_path / "runs" / run).mkdir(parents=True)
        write_json(tmp_path / "runs" / run / "config.json", get_recipe("addition").to_dict())
    monkeypatch.chdir(tmp_path)
    parsed = parser().parse_args(command.split())
    assert parsed.command == command.split()[0]


def test_benchmarks_exist():
    result = subprocess.run(
        [sys.executable, "-m", "bench"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    named = set(re.findall(r"python -m bench ([a-z-]+)", PAGES))
    assert named
    assert named <= set(result.stdout.split())


def test_targets_of_make_exist():
    makefile = (ROOT / "Makefile").read_text()
    targets = set(re.search(r"^\.PHONY: (.*)$", makefile, re.M).group(1).split())
    pages = PAGES + (ROOT / "CONTRIBUTING.md").read_text() + (ROOT / "bench/README.md").read_text()
    named = set(re.findall(r"^(?:\.venv/bin/)?make ([a-z]+)", pages, re.M))
    named |= set(re.findall(r"`make ([a-z]+)`", pages))
    assert named
    assert named <= targets
