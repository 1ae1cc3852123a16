"""`python -m bench`: rows outlive a benchmark that is killed; the table comes at the end."""

import pytest

from arithtf.runs import read_lines
from bench import registry, run

FIRST = {"digits": 10, "seconds": 0.123456}
SECOND = {"digits": 20, "seconds": 2.0, "note": "slow"}


@pytest.fixture
def bench(monkeypatch, tmp_path):
    """Registers rows as the benchmark "fake"; an exception among them is raised."""
    monkeypatch.setattr(run, "RESULTS", tmp_path / "results")

    def register(*parts):
        def fake():
            for part in parts:
                if isinstance(part, BaseException):
                    raise part
                yield part

        monkeypatch.setitem(registry._BENCHMARKS, "fake", fake)
        return tmp_path / "results" / "fake.jsonl"

    return register


def measured(path):
    rows = read_lines(path)
    assert all(row["benchmark"] == "fake" and "commit" in row for row in rows)
    return [{k: row[k] for k in ("digits", "seconds", "note") if k in row} for row in rows]


def test_rows_before_a_kill_are_written_and_printed(bench, capsys):
    path = bench(FIRST, KeyboardInterrupt(), SECOND)
    with pytest.raises(KeyboardInterrupt):
        run.main(["fake", "--write"])
    assert measured(path) == [FIRST]
    assert "digits=10  seconds=0.1235" in capsys.readouterr().out
    bench(SECOND)
    assert run.main(["fake", "--write"]) == 0
    assert measured(path) == [FIRST, SECOND]


def test_the_table_comes_at_the_end_and_nothing_is_written_unasked(bench, capsys):
    path = bench(FIRST, SECOND)
    assert run.main(["fake"]) == 0
    assert capsys.readouterr().out.splitlines()[-3:] == [
        "benchmark  digits  seconds  note",
        "fake           10   0.1235",
        "fake           20        2  slow",
    ]
    assert not path.exists()


def test_misuse(bench, capsys):
    bench(FIRST)
    assert run.main(["no-such"]) == 2
    assert "expected some of" in capsys.readouterr().err
    assert run.main(["fake", "--recipe", "copy"]) == 2
    assert "takes the settings [], got ['recipes']" in capsys.readouterr().err
