"""Files of a run: JSON lines after a kill, damage, and paths that are no files."""

import json
import os
import re
import stat
import subprocess
import sys
import tempfile
import threading

import pytest

from arithtf.runs import RunError, append_line, read_json, read_lines, write_atomic
from arithtf.runs.shapes import COUNT, NUMBER, TEXT


@pytest.mark.parametrize("rest", ["{", '{"a": 1', '{"a": 1}', "x" * 100_000])
@pytest.mark.parametrize("whole", ["", '{"a": 0}\n', '{"a": 0}\n{"a": 7}\n'])
def test_a_line_cut_off_by_a_kill_is_left_out_and_written_over(tmp_path, whole, rest):
    path = tmp_path / "rows.jsonl"
    path.write_text(whole + rest)
    before = [json.loads(line) for line in whole.splitlines()]
    assert read_lines(path) == before
    append_line(path, {"a": 2})
    append_line(path, {"b": "\u2028"})
    assert read_lines(path) == [*before, {"a": 2}, {"b": "\u2028"}]
    assert path.read_text().startswith(whole + '{"a": 2}\n')


@pytest.mark.parametrize("line", [b"x", b"[]", b"7", b"", b"\xff", b"[" * 100_000])
def test_a_damaged_line_is_named(tmp_path, line):
    path = tmp_path / "rows.jsonl"
    path.write_bytes(b'{"a": 1}\n' + line + b'\n{"a": 2}\n')
    with pytest.raises(RunError, match=r"line 2 of .*rows\.jsonl is not"):
        read_lines(path)


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="there is no /dev/full")
def test_a_full_disk_is_told_with_the_file_that_does_not_fit(tmp_path):
    for act in (lambda p: append_line(p, {"a": 1}), lambda p: write_atomic(p, write_a_line)):
        (tmp_path / "rows.jsonl").unlink(missing_ok=True)
        os.symlink("/dev/full", tmp_path / "rows.jsonl")
        with pytest.raises(OSError, match="No space left") as raised:
            act(tmp_path / "rows.jsonl")
        assert raised.value.filename in (str(tmp_path / "rows.jsonl"), "/dev/full")


def write_a_line(file):
    file.write(b"a line\n")


@pytest.mark.parametrize("text", [b"", b"{", b"\xff", b"[" * 100_000])
def test_damaged_json_is_named(tmp_path, text):
    path = tmp_path / "config.json"
    path.write_bytes(text)
    with pytest.raises(RunError, match=r"config\.json is not valid JSON"):
        read_json(path)


def test_a_pipe_is_written_to_and_not_replaced(tmp_path):
    path = tmp_path / "pipe"
    os.mkfifo(path)
    got = []
    reader = threading.Thread(target=lambda: got.append(path.read_bytes()))
    reader.start()
    write_atomic(path, lambda file: file.write(b"text"))
    reader.join(timeout=60)
    assert got == [b"text"]
    assert stat.S_ISFIFO(path.stat().st_mode)
    with pytest.raises(IsADirectoryError):
        write_atomic(tmp_path, lambda file: file.write(b"text"))
    assert [entry.name for entry in tmp_path.iterdir()] == ["pipe"]


@pytest.mark.parametrize("exists", [True, False])
def test_a_symbolic_link_is_written_through(tmp_path, exists):
    (tmp_path / "there").mkdir()
    target, link = tmp_path / "there" / "file", tmp_path / "link"
    if exists:
        target.write_text("old")
    link.symlink_to("there/file")
    write_atomic(link, lambda file: file.write(b"new"))
    assert link.is_symlink()
    assert target.read_text() == link.read_text() == "new"
    assert [path.name for path in target.parent.iterdir()] == ["file"]


KILLED = """
import os, signal, sys
from pathlib import Path
from arithtf.runs import write_atomic

def write(file):
    file.write(b"half")
    file.flush()
    print("writing", flush=True)
    sys.stdin.read()

write_atomic(Path(sys.argv[1]), write)
"""


@pytest.mark.parametrize("name", ["certificate.json", "n" * 255, "\u00e9" * 127])
def test_what_a_kill_leaves_is_removed_by_the_next_write_and_not_while_it_is_written(
    tmp_path, name
):
    path, other = tmp_path / name, tmp_path / ".certificate.json.swp"
    other.write_text("an editor's own")
    command = [sys.executable, "-c", KILLED, path]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as first:
        assert first.stdout.readline() == b"writing\n"
        (left,) = {*tmp_path.iterdir()} - {other}
        write_atomic(path, write_a_line)
        assert {*tmp_path.iterdir()} == {other, left, path}  # its writer lives
        first.kill()
    write_atomic(path, write_a_line)
    assert {*tmp_path.iterdir()} == {other, path}
    assert path.read_text() == "a line\n"


def test_a_temporary_file_taken_for_a_leftover_is_made_anew(tmp_path, monkeypatch):
    """Another writer may look between the moments in which a file is made and locked."""
    make, names = tempfile.mkstemp, []

    def unlucky(**where):
        handle, name = make(**where)
        names.append(name)
        if len(names) == 1:
            os.unlink(name)
        return handle, name

    monkeypatch.setattr(tempfile, "mkstemp", unlucky)
    write_atomic(tmp_path / "file", write_a_line)
    assert len(names) == 2
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


SHAPE = {"step": COUNT, "loss": NUMBER, "name": TEXT.or_null(), "parts": COUNT.listed()}
GOOD = {"step": 1, "loss": 0.5, "name": None, "parts": [1, 2], "more": "is free"}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"step": -1}, "expected a whole number from 0 to 10^18 as 'step', got -1"),
        ({"step": True}, "as 'step', got true"),
        ({"step": 1.0}, "as 'step', got 1.0"),
        ({"step": 10**400}, "as 'step', got 1000"),
        ({"loss": float("nan")}, "expected a finite number as 'loss', got NaN"),
        ({"loss": float("inf")}, "as 'loss', got Infinity"),
        ({"loss": 10**400}, "as 'loss', got 1000"),
        ({"loss": "1"}, "as 'loss', got \"1\""),
        ({"name": 5}, "expected a text or null as 'name', got 5"),
        ({"name": {"a": 1}}, "as 'name', got an object"),
        ({"parts": [1, "2"]}, "expected a list, each item a whole number"),
        ({"parts": {}}, "as 'parts', got {}"),
    ],
)
def test_a_field_of_another_kind_is_named_with_its_file(tmp_path, change, message):
    path, lines = tmp_path / "one.json", tmp_path / "many.jsonl"
    path.write_text(json.dumps(GOOD))
    assert read_json(path, SHAPE) == GOOD
    path.write_text(json.dumps(GOOD | change))
    with pytest.raises(RunError, match=re.escape(f"{path} is damaged: ") + ".*") as raised:
        read_json(path, SHAPE)
    assert message in str(raised.value)
    lines.write_text(f"{json.dumps(GOOD)}\n{json.dumps(GOOD | change)}\n")
    with pytest.raises(RunError, match=re.escape(f"line 2 of {lines} is damaged: ")) as raised:
        read_lines(lines, SHAPE)
    assert message in str(raised.value)


def test_a_missing_field_and_what_is_no_object_are_named(tmp_path):
    path = tmp_path / "one.json"
    for text, message in (("{}", "as 'step', got none"), ("null", "expected an object, got null")):
        path.write_text(text)
        with pytest.raises(RunError, match=message):
            read_json(path, SHAPE)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[" * 200 + "]" * 200, "more than 100 lists"),
        ('{"a":' * 101 + "1" + "}" * 101, "more than 100 lists"),
        ('"\\ud800"', "surrogates not allowed"),
        ("1" * 5000, "Exceeds the limit"),
    ],
)
def test_json_that_nobody_can_walk_through_or_write_is_none(tmp_path, text, message):
    path = tmp_path / "one.json"
    path.write_text(text)
    with pytest.raises(RunError, match=f"one.json is not valid JSON: .*{message}"):
        read_json(path)


def test_brackets_in_texts_and_side_by_side_are_no_depth(tmp_path):
    path = tmp_path / "one.json"
    data = ["[" * 500, '\\"[[', [[], {}] * 500, "\U0001f600"]
    path.write_text(json.dumps(data))
    assert read_json(path) == data


def test_what_is_no_file_is_named(tmp_path):
    (tmp_path / "config.json").mkdir()
    with pytest.raises(RunError, match=r"config\.json cannot be read: Is a directory"):
        read_json(tmp_path / "config.json")
    with pytest.raises(RunError, match=r"expected the file .*none\.json, but it does not exist"):
        read_json(tmp_path / "none.json")
