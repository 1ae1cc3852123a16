"""docs/studies.md: its study runs, by two shards at once, as printed."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from arithtf.cli import parser
from arithtf.studies import STUDIES, board_of, get_study

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "studies.md").read_text()
BLOCKS = re.findall(r"```bash\n(.*?)```", PAGE, re.S)


def test_its_study_runs_by_two_shards_at_once(tmp_path):
    (code,) = re.findall(r"```python\n# widths.py\n(.*?)```", PAGE, re.S)
    assert code.count("\n") <= 20
    (tmp_path / "widths.py").write_text(code.replace("steps: int = 40", "steps: int = 6"))
    (commands,) = [block for block in BLOCKS if "study predict" in block]
    arithtf = f"{sys.executable} -m arithtf"
    script = re.sub(r"\barithtf (?=study)", f"{arithtf} ", commands)
    done = subprocess.run(
        ["bash", "-ec", script],
        cwd=tmp_path,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("2 finished, 0 failed") == 2
    assert len(list((tmp_path / "studies" / "widths").glob("*/cell.json"))) == 4
    board = (tmp_path / "widths.md").read_text()
    assert "- 4 of 4 cells finished." in board
    assert "before the work began in 4 of 4 cells" in board
    assert re.search(r"made by .*, widths\.py [0-9a-f]{8}: 4 cells", board)
    lines = board_of(get_study(str(tmp_path / "widths.py")), tmp_path / "studies/widths").lines
    assert {line.recipe for line in lines} == {"parity, width 8", "parity, width 32"}
    assert {line.predicted for line in lines if line.measure == "certified"} == {True, False}


@pytest.mark.parametrize("command", re.findall(r"arithtf (study [^\n`|&#\"]*)", PAGE))
def test_its_commands_are_understood(command, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert parser().parse_known_args(command.split())[0].command == "study"


def test_it_names_every_study():
    assert re.findall(r"^\| `([a-z-]+)` \|", PAGE, re.M) == list(STUDIES)
