"""The scripts behind `make`: what they refuse, and that they name the remedy."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

TOOLS = Path(__file__).parents[1] / "tools"


def run(script, *args, **kwargs):
    return subprocess.run(
        [sys.executable, TOOLS / script, *args],
        capture_output=True,
        text=True,
        check=False,
        **kwargs,
    )


def report(*names):
    return json.dumps({"install": [{"metadata": {"name": name}} for name in names]})


def test_a_build_without_cuda_passes():
    result = run("without_cuda.py", "torch", input=report("torch", "numpy", "sympy"))
    assert (result.returncode, result.stderr) == (0, "")


@pytest.mark.parametrize(
    "names", [("nvidia-cublas-cu12",), ("torch", "nvidia-nccl-cu13", "triton")]
)
def test_a_build_with_cuda_is_stopped_with_the_remedy(names):
    result = run("without_cuda.py", "torch==9", input=report(*names))
    assert result.returncode == 1
    assert "'torch==9'" in result.stderr
    assert "nvidia-" in result.stderr
    assert 'make demo TORCH="torch --index-url' in result.stderr


def test_a_failed_dry_run_stays_a_failure():
    assert run("without_cuda.py", "torch", input="").returncode == 1


def test_requirements_are_those_of_pyproject():
    lines = run("requirements.py", "build", "dev", "report").stdout.splitlines()
    assert {line.partition(">")[0].partition("[")[0] for line in lines} >= {
        "scikit-build-core",
        "pybind11",
        "cmake",
        "ninja",
        "pytest",
        "mypy",
        "matplotlib",
        "jinja2",
    }


def test_preflight_is_content_here():
    result = run("preflight.py")
    assert (result.returncode, result.stderr) == (0, "")


def test_preflight_names_a_missing_compiler(tmp_path):
    result = run("preflight.py", env={"PATH": str(tmp_path)})
    assert result.returncode == 1
    assert "no C++ compiler: looked for c++, g++, clang++" in result.stderr
    assert "apt-get install g++" in result.stderr


def test_preflight_names_an_old_compiler(tmp_path):
    compiler = tmp_path / "old++"
    compiler.write_text("#!/bin/sh\necho 'unknown option -std=c++20' >&2\nexit 1\n")
    compiler.chmod(0o755)
    result = run("preflight.py", env=os.environ | {"CXX": str(compiler)})
    assert result.returncode == 1
    assert "old++ does not compile C++20" in result.stderr
    assert "unknown option" in result.stderr
