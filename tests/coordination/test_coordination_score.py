"""Scoring alerts against events: each sentence of the rule is a claim here."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from andon.records.contract import SECOND
from andon.records.coordination import ALERTS, START, STOP
from andon.simulate.coordination import EVENTS
from andon.simulate.score_alerts import Run, lead, read_events, score, threshold_for
from andon.simulate.score_volume import SPAN, Volume

HOUR, DAY = 3600 * SECOND, 86400 * SECOND


def event(name: str, at: int, port: int = 23, **more: Any) -> dict[str, Any]:
    row = {f.name: 0 for f in EVENTS} | {
        "name": name, "kind": "wake-up", "direction": START, "ports": [{"port": port, "protocol": 6}], "begins": at,
        "ends": at + HOUR, "sources": 100, "decoy": False, "above_limit": True, "excess": 20.0,
    }  # fmt: skip
    return row | more


def alert(end: int, port: int = 23, **more: Any) -> dict[str, Any]:
    row = {
        "start": end - 600 * SECOND, "end": end, "begins": end - 600 * SECOND, "direction": START, "port": port,
        "protocol": 6, "sources": 50, "blocks": 40, "score": 10.0, "alerted": True, "series": "",
    }  # fmt: skip
    return row | more


def table(rows: list[dict[str, Any]], schema: pa.Schema) -> pa.Table:
    return pa.table([pa.array([r[f.name] for r in rows], f.type) for f in schema], schema=schema)


def run(alerts: list[dict[str, Any]], events: list[dict[str, Any]], days: int = 10) -> Run:
    return Run(table(alerts, ALERTS), table(events, EVENTS), 0, days * DAY)


def test_an_alert_on_a_port_of_the_event_finds_it_and_its_delay_is_to_the_end_of_the_span() -> None:
    result = score([run([alert(DAY + 2 * HOUR), alert(DAY + 3 * HOUR)], [event("a", DAY)])])
    assert (result.recall(), result.false) == ((1, 1), 0)
    assert result.delays().tolist() == [7200.0]


@pytest.mark.parametrize(
    "wrong",
    [
        {"port": 24},
        {"protocol": 17},
        {"direction": STOP},
        {"end": DAY},  # the span ended before the event began
        {"end": 2 * DAY + HOUR + 1},  # more than a day after the change was over
    ],
)
def test_an_alert_elsewhere_is_false(wrong: dict[str, Any]) -> None:
    result = score([run([alert(DAY + 2 * HOUR) | wrong], [event("a", DAY)])])
    assert (result.recall(), result.false) == ((0, 1), 1)


def test_an_alert_on_a_decoy_is_false_and_said_to_be_on_it() -> None:
    decoy = event("d", DAY, kind="decoy-survey", decoy=True)
    result = score([run([alert(DAY + HOUR)], [decoy])])
    assert (result.false, dict(result.on_decoys), result.recall()) == (1, {"decoy-survey": 1}, (0, 0))


def test_what_is_said_after_a_failing_sensor_is_blamed_on_it() -> None:
    reboot = event("r", DAY, kind="decoy-reboot", decoy=True, ports=[])
    result = score([run([alert(DAY + 2 * HOUR, 99)], [reboot])])
    assert dict(result.on_decoys) == {"decoy-reboot": 1}


def test_repeats_within_a_day_count_once_and_after_a_true_alert_not_at_all() -> None:
    result = score([run([alert(DAY * 2), alert(DAY * 2 + HOUR), alert(DAY * 3 + HOUR)], [])])
    assert result.false == 2
    late = alert(2 * DAY + 2 * HOUR)  # belongs to no event any more, but repeats the true one
    assert score([run([alert(DAY + 6 * HOUR), late], [event("a", DAY)])]).false == 0


def test_rows_below_the_threshold_count_only_when_it_is_moved() -> None:
    rows = [alert(DAY + HOUR, alerted=False, score=3.0), alert(5 * DAY, 99, score=2.0, alerted=False)]
    mine = run(rows, [event("a", DAY)])
    assert score([mine]).recall() == (0, 1)
    assert score([mine], 2.5).recall() == (1, 1)
    assert score([mine], 2.5).false == 0
    assert score([mine], 1.0).false == 1


def test_the_equal_rate_threshold_is_the_lowest_that_keeps_the_budget() -> None:
    rng = np.random.default_rng(1)
    rows = [
        alert(int(t), int(p), score=float(s), alerted=False)
        for t, p, s in zip(
            rng.integers(1, 10 * DAY, 400), rng.permutation(65535)[:400], rng.permutation(400), strict=True
        )
    ]
    mine = run(rows, [])
    at = threshold_for([mine], 1.0)
    assert score([mine], at).false_a_day <= 1.0
    assert score([mine], at - 1).false_a_day > 1.0
    assert threshold_for([run([alert(DAY)], [])], 1.0) == float("-inf")


def test_only_what_is_judged_counts() -> None:
    mine = run([alert(DAY + HOUR), alert(9 * DAY, 99)], [event("a", DAY), event("b", 8 * DAY)])
    result = score([Run(mine.alerts, mine.events, 2 * DAY, 8 * DAY)])
    assert (result.false, result.events, result.days) == (0, [], 6.0)


def test_events_below_the_limit_are_counted_apart() -> None:
    result = score([run([alert(DAY + HOUR)], [event("a", DAY, above_limit=False)])])
    assert (result.recall(), result.recall(above=False), result.false) == ((0, 0), (1, 1), 0)


def test_the_lead_is_over_events_that_both_found() -> None:
    events = [event("a", DAY), event("b", 3 * DAY, 80), event("c", 5 * DAY, 81)]
    ours = score([run([alert(DAY + HOUR), alert(3 * DAY + 2 * HOUR, 80)], events)])
    other = score(
        [run([alert(DAY + 3 * HOUR), alert(3 * DAY + HOUR, 80), alert(5 * DAY + HOUR, 81)], events)]
    )
    assert lead(ours, other) == {"events": 2, "mean": 1800.0, "latest": 3600.0, "only_other": 1}


def test_an_engine_with_a_score_that_is_no_number_is_refused() -> None:
    with pytest.raises(ValueError, match="not a number"):
        score([run([alert(DAY, score=float("nan"))], [])])
    with pytest.raises(ValueError, match="direction"):
        score([run([alert(DAY, direction="up")], [])])


def packets_of(counts: np.ndarray, port: int) -> pa.RecordBatch:
    ts = np.repeat(np.arange(len(counts)) * SPAN + 1, counts)
    return pa.record_batch(
        {
            "ts": pa.array(ts, pa.timestamp("ns", tz="UTC")),
            "proto": pa.array(np.full(len(ts), 6, np.uint8)),
            "dst_port": pa.array(np.full(len(ts), port, np.uint16)),
        }
    )


def test_the_volume_tells_at_the_end_of_the_first_span_over_three_sigma() -> None:
    counts = np.random.default_rng(2).poisson(100, 3 * 144)
    counts[:288] = np.minimum(counts[:288], 125)
    begins = 2 * 144 * SPAN + 60 * SECOND
    counts[288:290] = 100
    counts[290] = 400
    volume = Volume({(23, 6), (80, 6)}, 0, 3 * DAY)
    volume.add(packets_of(counts, 23))
    first = read_events(table([event("a", begins), event("b", begins, 80), event("young", HOUR)], EVENTS))
    assert volume.delay(first[0]) == 3 * SPAN - 60 * SECOND
    assert volume.delay(first[1]) is None  # a port nobody sends to
    assert volume.delay(first[2]) is None  # too little history to have a sigma


def test_the_volume_of_a_stop_falls() -> None:
    counts = np.full(288, 100) + np.tile([-1, 1], 144)
    counts[200:] = 10
    volume = Volume({(23, 6)}, 0, 2 * DAY)
    volume.add(packets_of(counts, 23))
    stop = read_events(table([event("s", 200 * SPAN, direction=STOP)], EVENTS))[0]
    assert volume.delay(stop) == SPAN
