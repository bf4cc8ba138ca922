"""The table in a terminal: the numbers that matter, at rest and in trouble."""

from __future__ import annotations

import io

from rich.console import Console

from andon.run.live.board import Board
from andon.run.live.status import Status

SECOND = 10**9


def status(at: int, **changes: object) -> Status:
    values: dict[str, object] = {
        "pid": 1, "started": 0, "clock": at * SECOND, "received": 1000 * at, "journaled": 1000 * at, "backlog": 0,
        "shed": 0, "lost": 0, "segment": at, "findings": 3, "lag": 0.25, "state": "running",
        "severities": {"high": 1, "low": 2}, "engines": {"darknet.census": (0.1 * at, 0.0)},
        "sources": {"tap": 1000 * at}, "journal_bytes": 2_500_000,
    }  # fmt: skip
    return Status(**{**values, **changes})  # type: ignore[arg-type]


def shown(board: Board, now: Status, width: int = 100) -> str:
    out = io.StringIO()
    Console(file=out, width=width).print(board.view(now))
    return out.getvalue()


def test_rates_are_those_of_the_last_seconds() -> None:
    board = Board()
    assert "- packets" not in shown(board, status(1))
    for at in range(2, 30):
        text = shown(board, status(at))
    assert "1,000/s, 29,000 in all" in text
    assert "0.2 s and 0 packets behind" in text
    assert "10.0 %" in text
    assert "1 high, 2 low" in text
    assert "0:00:29" in text


def test_trouble_and_what_was_left_out_are_shown_and_control_characters_are_not() -> None:
    text = shown(
        Board(), status(5, trouble=("no room\x1b[2J left",), shed=7, outbox={"soc": {"queued": 2, "dead": 1}})
    )
    assert "trouble   no room\N{REPLACEMENT CHARACTER}[2J left" in text
    assert "7 shed" in text
    assert "soc" in text
    assert "\x1b" not in text


def test_a_narrow_terminal_holds_it_too() -> None:
    assert all(len(line) <= 60 for line in shown(Board(), status(5), width=60).splitlines())


def test_before_anything_came_there_is_nothing_odd() -> None:
    text = shown(Board(), status(0, lag=None, severities={}, engines={}, sources={"tap": 0}))
    assert "none so far" in text
