"""Pages and lines made to keep a reader busy take time that grows with their length."""

from __future__ import annotations

import pytest

from andon.observe.reports import recognise
from andon.observe.reports.html import read_html
from spent import spent

_MANY = 40_000
_BEGIN = "<html><body><p>The Mirai botnet.</p>"


@pytest.mark.parametrize(
    "junk",
    [
        "<!--" * _MANY,
        "<![CDATA[" * _MANY,
        '<a b="' * _MANY,
        "<?" * _MANY,
        "<header>" * _MANY + "</nav>" * _MANY,
    ],
    ids=["comments", "sections", "quotes", "instructions", "parts"],
)
def test_what_is_never_closed_takes_no_time(junk: str) -> None:
    with spent() as cost:
        assert read_html(_BEGIN + junk).text == "The Mirai botnet."
    assert cost.seconds < 5.0  # 0.2 s; the parser alone takes a minute and more


def test_text_after_the_last_tag_stays() -> None:
    assert read_html("<p>A</p><!-- c --> B > C").text == "A\nB > C"
    assert read_html("<p>A < B and the rest").text == "A < B and the rest"
    assert read_html("A <b>b</b> and the rest").text == "A b and the rest"


def test_one_long_word_takes_no_time() -> None:
    with spent() as cost:
        assert recognise(b"a" * 65_536, "a.txt") is None
        assert recognise(b"a" * 65_000 + b" it scans port 23 of routers", "a.txt") == "text"
    assert cost.seconds < 2.0  # milliseconds; it was some ten seconds
