"""Files of a run: JSON lines after a kill, damage, and paths that are no files."""

import json
import os
import stat
import threading

import pytest

from arithtf.runs import RunError, append_line, read_json, read_lines, write_atomic


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
