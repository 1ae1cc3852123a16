"""Tier B: what the compiler makes for three architectures, against recorded budgets; no GPU."""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from arithtf.kernels.configs import KERNELS, table_of
from bench.static import ARCHITECTURES, BUDGETS, HEADS, Case, cases, key

ROOT = Path(__file__).resolve().parents[2]
HAVE_TRITON = importlib.util.find_spec("triton") is not None
# Shared memory that one program may have.
SHARED = {"sm_80": 166912, "sm_90": 232448, "gfx942": 65536}
COMPILE = (
    "import json, sys; from bench.checkout import ensure_kernels; ensure_kernels();"
    "from bench.static import Case, measure;"
    "print(json.dumps(measure([Case(*c) for c in json.load(sys.stdin)], 1)))"
)


def budgets():
    return json.loads(BUDGETS.read_text(encoding="utf-8"))


def test_every_configuration_has_a_budget():
    assert {key(case._asdict()) for case in cases()} == set(budgets())


@pytest.mark.parametrize("architecture", [*ARCHITECTURES, "interpreter"])
def test_configurations_are_complete(architecture):
    table = table_of(architecture)
    assert set(table) == set(KERNELS)
    for entries in table.values():
        wanted = {f"{size},{head}" for size in (2, 4) for head in HEADS}
        assert set(entries) == wanted - (set() if architecture == "interpreter" else {"4,256"})
        for bm, bn, warps, stages in entries.values():
            assert bm >= 16
            assert bn >= 16
            assert warps in (4, 8)
            assert stages >= 1


def test_budgets_fit_the_chips():
    for name, budget in budgets().items():
        assert budget["shared"] <= SHARED[name.split()[0]], name
        assert budget["matrix"] > 0, name


def test_nothing_spills():
    assert [name for name, budget in budgets().items() if budget["spilled"]] == []


@pytest.mark.skipif(not HAVE_TRITON, reason="triton is not installed")
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_compiled_code_keeps_its_budget(architecture):
    """The commonest size of each kernel; registers and code may drift a little with versions."""
    chosen = [Case(architecture, kernel, "table", 2, 64) for kernel in KERNELS]
    environment = {**os.environ, "TRITON_DEFAULT_FP_FUSION": "1", "PYTHONPATH": str(ROOT)}
    environment.pop("TRITON_INTERPRET", None)
    done = subprocess.run(
        [sys.executable, "-c", COMPILE],
        input=json.dumps(chosen), capture_output=True, text=True, check=True, cwd=ROOT,
        env=environment,
    )  # fmt: skip
    recorded = budgets()
    for row in json.loads(done.stdout.splitlines()[-1]):
        assert "error" not in row, row
        budget = recorded[key(row)]
        assert row["spilled"] == 0
        assert row["shared"] <= 1.1 * budget["shared"] + 1024
        assert row["matrix"] > 0
        assert row["per_score"] <= 1.15 * budget["per_score"] + 1
