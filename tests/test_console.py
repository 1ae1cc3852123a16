"""Texts from outside in what is printed and in Markdown."""

import pytest

from arithtf.console import markdown_text, printable, say, table


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("<script>alert(1)</script>", "&lt;script>alert(1)&lt;/script>"),
        ("a|b", "a\\|b"),
        ("`a` *b* _c_ ~d~ $e$ \\", "\\`a\\` \\*b\\* \\_c\\_ \\~d\\~ \\$e\\$ \\\\"),
        ("two\nlines\r\n\n# of them", "two lines # of them"),
        ("# a", "\\# a"),
        ("- a", "\\- a"),
        ("> a", "\\> a"),
        ("1. a", "1\\. a"),
        ("[a](javascript:b)", "[a\\](javascript:b)"),
        ("[a]: b", "[a\\]: b"),
        ("&lt;", "&amp;lt;"),
        ("70.0 % [39.7 %, 89.2 %]", "70.0 % [39.7 %, 89.2 %]"),
        ("1,000 x 20 digits, 4 of 4", "1,000 x 20 digits, 4 of 4"),
        ("-", "-"),
        ("\x1b[31m\x00", "\\\\x1b[31m\\\\x00"),
    ],
)
def test_markdown_shows_a_text_as_it_is(text, shown):
    assert markdown_text(text) == shown


def test_what_moves_a_terminal_or_cannot_be_encoded_is_spelled_out(capsys):
    assert printable("a\x1b[2J\u202e\ud800\n\tä²🙂") == "a\\x1b[2J\\u202e\\ud800\n\tä²🙂"
    say("\x1b]0;title\x07")
    table(("name", "x"), [("two\nlines\r", "1")])
    out = capsys.readouterr().out
    assert "\x1b" not in out
    assert "two lines\\r" in out
    assert len(out.splitlines()) == 4
