"""The profile of a training step adds up."""

import pytest

from bench.step import step


def test_shares_add_up_and_calls_too(monkeypatch):
    # All operators: which of them take most time is up to the machine.
    monkeypatch.setattr("bench.step.SHOWN", 1000)
    whole, *operators = step(["parity"])
    assert whole["step_ms"] > 0
    assert sum(row["share"] for row in operators) == pytest.approx(1)
    assert sum(row["calls"] for row in operators) == pytest.approx(whole["calls"])
    # One forward and one backward pass: each of seven products comes with two for its gradients.
    assert [row["calls"] for row in operators if row["operator"] == "aten::mm"] == [21]
