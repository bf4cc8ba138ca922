"""What ``andon analyze`` shows of several days: each subject once, in the order in which its engine ranked it."""

from __future__ import annotations

import pytest

from andon.cli.report import show
from andon.records.finding import Check, Evidence, Finding
from andon.run.batch import Analysis
from andon.run.feed import FileReport

DAY = 86_400 * 10**9


def _finding(kind: str, who: str, day: int, rank: int, severity: str = "", check: str = "") -> Finding:
    return Finding(
        engine="livenet.proxygraph", engine_version=1, kind=kind, title=f"{who} on day {day}", statement="s.",
        confidence=1.0, calibration="", window=(day * DAY, (day + 1) * DAY), subject=("user-account", who),
        first_seen=day * DAY, last_seen=day * DAY + 1, count=100 - rank, severity=severity,
        attributes={"rank": rank},
        evidence=(Evidence("e", Check("", 0.0, tool="sql", expression=check, expected=2)),) if check else (),
    )  # fmt: skip


def _shown(capsys: pytest.CaptureFixture[str], *findings: Finding, top: int = 5) -> list[str]:
    ordered = sorted(findings, key=lambda one: one.window)
    show(Analysis(findings=ordered), ordered, masked=False, given=(), top=top)
    return capsys.readouterr().out.splitlines()


def test_what_a_later_day_tells_again_is_shown_there(capsys: pytest.CaptureFixture[str]) -> None:
    days = [_finding("infected-terminal", "ann", day, 1) for day in range(3)]
    lines = _shown(capsys, *days, _finding("infected-terminal", "bob", 0, 2))
    text = "\n".join(lines)
    assert "ann on day 2" in text and "ann on day 0" not in text and "ann on day 1" not in text
    assert "bob on day 0" not in text  # judged again on day 2, and not told
    assert "and 2 findings that a later window tells or judges again" in text
    assert "and 1 finding that a later window tells or judges again" in text


def test_what_the_newest_day_no_longer_remembers_stays(capsys: pytest.CaptureFixture[str]) -> None:
    text = "\n".join(
        _shown(
            capsys, _finding("infected-terminal", "ann", 0, 1), _finding("infected-terminal", "bob", 20, 1)
        )
    )
    assert "ann on day 0" in text and "bob on day 20" in text


def test_a_terminal_that_is_infected_later_is_not_shown_as_suspected_before(
    capsys: pytest.CaptureFixture[str],
) -> None:
    first, later = _finding("suspected-terminal", "ann", 0, 1), _finding("infected-terminal", "ann", 1, 1)
    text = "\n".join(_shown(capsys, first, later))
    assert "ann on day 1" in text and "ann on day 0" not in text


def test_an_alert_of_one_day_is_not_folded(capsys: pytest.CaptureFixture[str]) -> None:
    text = "\n".join(_shown(capsys, *(_finding("redirect-chain", "host", day, 1) for day in range(2))))
    assert "host on day 0" in text and "host on day 1" in text


def test_the_first_of_a_kind_are_those_that_the_engine_ranked_first(
    capsys: pytest.CaptureFixture[str],
) -> None:
    many = [_finding("suspected-terminal", f"t{rank}", 0, rank) for rank in (3, 1, 2)]
    lines = _shown(capsys, *many, _finding("suspected-destination", "d", 0, 1), top=1)
    text = "\n".join(lines)
    assert "t1 on day 0" in text and "t2 on day 0" not in text and "... and 2 more of kind" in text
    assert text.index("t1 on day") < text.index("d on day 0")


def test_severity_goes_before_rank(capsys: pytest.CaptureFixture[str]) -> None:
    text = "\n".join(
        _shown(capsys, _finding("beacon", "low", 0, 1), _finding("beacon", "mid", 0, 2, "medium"))
    )
    assert text.index("mid on day") < text.index("low on day")


def test_a_query_that_is_shown_whole_is_not_called_cut(capsys: pytest.CaptureFixture[str]) -> None:
    text = "\n".join(_shown(capsys, _finding("beacon", "x", 0, 1, check="SELECT 2")))
    assert "SELECT 2 -> 2" in text and "whole with" not in text
    text = "\n".join(_shown(capsys, _finding("beacon", "x", 0, 1, check="SELECT " + "1 + " * 100 + "1")))
    assert "whole with --format json" in text


def test_logs_are_counted_as_records_of_logs(capsys: pytest.CaptureFixture[str]) -> None:
    report = FileReport("access.log", kind="contact", records=1_200, skipped={"PTR query": 7, "no host": 2})
    show(Analysis(files=[report]), (), masked=False, given=())
    told = _one_line(capsys)
    assert (
        "1,200 log records (contacts, flows, alerts of EVE) in 1 file; 9 left aside: PTR query 7, no host 2"
        in told
    )


def _one_line(capsys: pytest.CaptureFixture[str]) -> str:
    return " ".join(capsys.readouterr().out.split())
