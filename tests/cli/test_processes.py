"""What only a process of its own shows: start-up, closed pipes, two writers, an unbuilt core."""

import os
import subprocess
import sys

import pytest

from arithtf.runs import lock

PYTHON = (sys.executable, "-m", "arithtf")
HEAVY = ("torch", "numpy", "matplotlib", "jinja2", "rich", "triton")


def test_help_imports_nothing_heavy():
    code = (
        "import sys; from arithtf.cli import main; main(['--help']); "
        f"print([m for m in {HEAVY} if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_module_is_the_command():
    done = subprocess.run([*PYTHON, "stress"], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith("usage: arithtf stress")


def test_closed_pipe_is_quiet():
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        [*PYTHON, "data", "addition"], stdout=writing, stderr=subprocess.PIPE, check=False
    )
    os.close(writing)
    assert done.stderr == b""
    assert done.returncode == 141


def test_two_trainers_in_one_directory(arithtf, tmp_path):
    with lock(tmp_path):
        ended = arithtf("train", "addition", "--steps", 1, "--out", tmp_path)
    assert ended.code == 1
    assert "another process" in ended.err
    assert {path.name for path in tmp_path.iterdir()} == {".lock"}


UNBUILT = "import sys; sys.modules['arithtf._core'] = None; from arithtf.cli import main; "


@pytest.mark.parametrize(
    ("command", "code"), [("['doctor']", 1), ("['data']", 1), ("['--version']", 0)]
)
def test_unbuilt_core(command, code):
    done = subprocess.run(
        [sys.executable, "-c", f"{UNBUILT} sys.exit(main({command}))"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == code
    assert "Traceback" not in done.stderr
    if code:
        assert "`pip install -e .`" in done.stdout + done.stderr
