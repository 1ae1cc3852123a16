"""The benchmark of attention, dry: every contender that a CPU can run runs on tiny inputs."""

import pytest

from bench.attention import measure


@pytest.mark.usefixtures("interpreted")
@pytest.mark.filterwarnings(
    "ignore::UserWarning", "ignore::FutureWarning", "ignore::DeprecationWarning"
)
def test_dry_run():
    rows = list(measure(["training", "windowed"], "cpu"))
    assert rows[0]["who"] == "limits"
    ran = {row["who"] for row in rows[1:] if row.get("forward_ms", 0) > 0}
    assert ran == {"ours", "ours, no bias", "sdpa, no bias", "sdpa, dense bias"}
    refused = [row for row in rows[1:] if "error" in row]
    assert {row["who"] for row in refused} == {"flex", "flex, fixed table"}
    assert all("backward on CPU" in row["error"] for row in refused)
    assert all("of_limit" in row for row in rows[1:] if "error" not in row)
