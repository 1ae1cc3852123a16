"""`arithtf solve`: one line in, one line out, whatever the lines are."""

import os
import stat
import threading

import pytest


def test_answers_are_sums(arithtf, trained_run):
    problems = [(958, 67), (0, 0), (5, 10**40), (10**60 - 1, 1), (123, 123)]
    text = "".join(f"{a}+{b}\n" for a, b in problems)
    ended = arithtf("solve", trained_run, stdin=text.encode())
    assert ended.code == 0
    assert ended.out == "".join(f"{a + b}\n" for a, b in problems)
    assert ended.err == ""


@pytest.mark.parametrize(
    "line",
    [
        "12a+3",
        "",
        "+5",
        "5+",
        "-3+4",
        "3+-4",
        "1*2",
        "1-2",
        "1+2+3",
        "12",
        "é+1",
        "\u0661+1",
        "1\x00+1",
        "1 2+3",
        "nan+1",
        "1e5+1",
    ],
)
def test_a_malformed_line_is_an_error_on_its_own_line(arithtf, trained_run, line):
    ended = arithtf("solve", trained_run, stdin=f"1+1\n{line}\n2+2\n".encode())
    assert ended.code == 1
    assert ended.out == "2\nerror\n4\n"
    assert ended.err.startswith("line 2: ")
    assert len(ended.err.splitlines()) == 1


def test_spaces_line_ends_and_bytes(arithtf, trained_run):
    ended = arithtf("solve", trained_run, stdin=b"\xef\xbb\xbf 1 + 2 \r\n\xff+1\r\n007+1")
    assert ended.code == 1
    assert ended.out == "3\nerror\n8\n"
    assert ended.err.startswith("line 2: ")


def test_no_lines(arithtf, trained_run):
    assert arithtf("solve", trained_run, stdin=b"") == (0, "", "")


def test_the_models_own_mistakes_are_not_corrected(arithtf, raw_run):
    ended = arithtf("solve", raw_run, stdin=b"12345+67890\n" * 3)
    assert "80235" not in ended.out
    assert len(ended.out.splitlines()) == 3


def test_files(arithtf, trained_run, tmp_path):
    source, target = tmp_path / "in", tmp_path / "out"
    source.write_text("1+2\n30+40\n")
    target.write_text("old\n")
    ended = arithtf("solve", trained_run, "--input", source, "--output", target)
    assert (ended.code, ended.out) == (0, "")
    assert target.read_text() == "3\n70\n"
    assert [path.name for path in sorted(tmp_path.iterdir())] == ["in", "out"]


def test_output_may_be_the_input(arithtf, trained_run, tmp_path):
    file = tmp_path / "file"
    file.write_text("1+2\n30+40\n")
    assert arithtf("solve", trained_run, "--input", file, "--output", file).code == 0
    assert file.read_text() == "3\n70\n"


def test_output_to_a_device_does_not_replace_it(arithtf, trained_run, tmp_path):
    os.mkfifo(tmp_path / "pipe")
    got = []
    reader = threading.Thread(target=lambda: got.append((tmp_path / "pipe").read_text()))
    reader.start()
    ended = arithtf("solve", trained_run, "--output", tmp_path / "pipe", stdin=b"1+2\n")
    reader.join()
    assert ended.code == 0
    assert got == ["3\n"]
    assert stat.S_ISFIFO((tmp_path / "pipe").stat().st_mode)


def test_output_that_cannot_be_written(arithtf, trained_run, tmp_path):
    ended = arithtf("solve", trained_run, "--output", tmp_path / "no" / "file", stdin=b"1+2\n")
    assert ended.code == 2
    assert f"there is no folder {tmp_path / 'no'}" in ended.err
    assert list(tmp_path.iterdir()) == []


def test_show_work(arithtf, trained_run):
    ended = arithtf("solve", trained_run, "--show-work", stdin=b"958+67\n")
    assert (ended.code, ended.out) == (0, "958+67\n  written  5201\n= 1025\n")
