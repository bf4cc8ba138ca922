"""New, continued, closed: exactly when the schema says, whatever wakes the engine, and nothing twice."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from daedalus_traffic import DAY, HOUR, SECOND, SITE, SPAN, START, Live, dark, mirai, packets, told, v4

from andon.detect.darknet.daedalus import Daedalus
from andon.detect.darknet.daedalus.state import OPEN, Remembered
from andon.detect.darknet.daedalus.summary import Summary
from andon.records.finding import Finding
from andon.run.contract import check_engine

HOST = v4("198.18.3.7")
T = START + 5 * SECOND


def hours(findings: list[Finding]) -> list[tuple[str, float]]:
    """(state, hours after the first packet) of each; the end of a span is when it is told."""
    return [
        (f.attributes["state"], round((f.window[0] // SPAN * SPAN - T // SPAN * SPAN) / HOUR, 6))
        for f in findings
    ]


def every(apart: int, until: int, start: int = T) -> pa.RecordBatch:
    ts = np.arange(start, until, apart)
    return mirai(ts, HOST, dark(4096)[np.arange(len(ts)) % 4096])


@pytest.mark.parametrize("wake", [True, False])
def test_digests_after_one_hour_six_hours_and_daily_then_closed(wake: bool) -> None:
    live = Live(wake=wake)
    found = live.run(every(600 * SECOND, T + 50 * HOUR), until=T + 10 * DAY)
    if not wake:  # somebody else's packets come much later
        found += live.run(packets(T + 20 * DAY, v4("192.0.2.1"), dark(1)[0]))[:-1]
    last = 49 + 50 / 60
    assert hours(found) == [
        ("new", 0),
        ("continued", 1),
        ("continued", 6),
        ("continued", 24),
        ("continued", 48),
        ("continued", 72),
        ("closed", round(last + 72, 6)),
    ]
    assert [f.attributes["packets_since"] for f in found] == [1, 6, 30, 108, 144, 11, 0]
    assert sum(f.attributes["packets_since"] for f in found) == 300 == found[-1].count


def test_a_digest_without_packets_is_not_told() -> None:
    live = Live()
    found = live.run(mirai(T, HOST, dark(1)[0]), mirai(T + 10 * HOUR, HOST, dark(2)[1]), until=T + 10 * DAY)
    assert hours(found) == [("new", 0), ("continued", 24), ("closed", 82)]


@pytest.mark.parametrize(
    ("silence", "states"),
    [
        (24 * HOUR - SPAN, ["new", "continued", "closed"]),
        (24 * HOUR, ["new", "new", "closed"]),
        (72 * HOUR - SPAN, ["new", "new", "closed"]),
        (72 * HOUR, ["new", "new", "closed"]),  # heard in the span that would have closed it
        (72 * HOUR + SPAN, ["new", "closed", "new", "closed"]),
    ],
)
def test_unseen_for_a_day_is_new_again_and_silent_for_three_is_closed(
    silence: int, states: list[str]
) -> None:
    live = Live()
    found = live.run(mirai(T, HOST, dark(1)[0]), mirai(T + silence, HOST, dark(2)[1]), until=T + 20 * DAY)
    assert [f.attributes["state"] for f in found] == states
    assert len({f.series for f in found}) == 1
    assert len({f.id for f in found}) == len(found)


def weeks(seed: int) -> list[pa.RecordBatch]:
    """Three weeks: hosts that come and go, with gaps of hours and days, among packets of nobody's."""
    rng = np.random.default_rng(seed)
    batches = []
    for n in range(16):
        source = v4("198.18.0.0") + int(rng.integers(0, 1 << 16)) if n % 3 else v4("192.0.2.0") + n
        at = T
        while at < T + 21 * DAY:
            length = int(rng.exponential(8 * HOUR))
            ts = np.sort(at + rng.integers(0, length + 1, 1 + int(rng.integers(0, 12))))
            port = int(rng.choice([23, 445, 53]))
            batches.append(packets(ts, source, rng.choice(dark(200), len(ts)), dst_port=port))
            at += length + int(rng.choice([2 * HOUR, 23 * HOUR, 30 * HOUR, 71 * HOUR, 80 * HOUR, 200 * HOUR]))
    batches.append(packets(np.sort(rng.integers(T, T + 21 * DAY, 300)), v4("8.8.8.8"), dark(1)[0]))
    return batches


def test_weeks_with_gaps_give_the_same_alerts_woken_or_not_in_any_order_and_replayed() -> None:
    batches = weeks(1)
    reference = Live().run(*batches, until=T + 40 * DAY)
    texts = [f.to_json() for f in reference]
    assert len(texts) > 150
    lazy = Live(wake=False)
    asleep = lazy.run(*batches, packets(T + 41 * DAY, v4("203.0.113.200"), dark(1)[0]))
    # An unwoken engine may tell later, never something else: only what is still open is missing.
    assert {f.to_json() for f in asleep} <= set(texts)
    shuffled = [batches[n] for n in np.random.default_rng(2).permutation(len(batches))]
    assert [f.to_json() for f in Live().run(*shuffled, until=T + 40 * DAY)] == texts
    assert max(Counter(f.id for f in reference).values()) == 1
    check_course(reference)


def check_course(found: list[Finding]) -> None:
    """Of every deduplication key: new first, never two messages too close, closed 72 hours after the last packet."""
    by_key: dict[str, list[Finding]] = {}
    for finding in found:
        by_key.setdefault(finding.attributes["dedup_key"], []).append(finding)
    for course in by_key.values():
        open_since: int | None = None
        for before, now in zip([None, *course], course, strict=False):
            state = now.attributes["state"]
            if state == "new":
                assert (
                    before is None
                    or before.attributes["state"] == "closed"
                    or (now.first_seen - before.last_seen >= DAY)
                )
                open_since = now.window[0]
            else:
                assert open_since is not None
            if state == "continued":
                since = (now.window[0] - open_since) / HOUR
                assert min(abs(since - at) for at in (1, 6, *range(24, 24 * 40, 24))) < 2 * SPAN / HOUR
                assert now.attributes["packets_since"] > 0
            if state == "closed":
                assert now.window[0] <= now.last_seen + 3 * DAY < now.window[1]
        assert course[-1].attributes["state"] == "closed"


def test_an_unwoken_engine_tells_what_was_due_once_packets_of_members_come() -> None:
    batches = weeks(3)
    late = packets(T + 41 * DAY, v4("192.0.2.250"), dark(1)[0])
    woken = Live().run(*batches, late)
    asleep = Live(wake=False).run(*batches, late)
    assert sorted(f.to_json() for f in asleep) == sorted(f.to_json() for f in woken)


def test_the_engine_keeps_the_contract() -> None:
    rng = np.random.default_rng(5)
    noise = packets(
        T + rng.integers(0, SPAN, 5000), rng.integers(1 << 24, 0xDF000000, 5000), rng.choice(dark(999), 5000)
    )
    sources = v4("198.18.0.0") + rng.integers(0, 300, 3000)
    members = packets(T + rng.integers(0, SECOND, 3000), sources, rng.choice(dark(999), 3000))
    outcome = check_engine(Daedalus(SITE), [noise, members])
    assert outcome.findings
    assert outcome.wake_at is not None


def test_conclude_leaves_the_carry_it_was_given_alone() -> None:
    live = Live()
    live.run(every(600 * SECOND, T + 2 * HOUR))
    carry = live.carry
    assert carry is not None
    before = Remembered.from_bytes(carry.to_bytes()).to_bytes()
    Live.run(live, every(600 * SECOND, T + 5 * HOUR, T + 2 * HOUR))
    assert Remembered.from_bytes(carry.to_bytes()).to_bytes() == before
    assert (carry.entries["state"] == OPEN).all()


def test_a_quiet_span_costs_nothing_and_keeps_the_carry() -> None:
    live = Live()
    live.run(mirai(T, HOST, dark(1)[0]))
    before = live.carry
    outcome = live.engine.conclude(live.engine.empty(), before, _context(T // SPAN * SPAN + SPAN))
    assert outcome.carry is before
    assert outcome.wake_at == T + 72 * HOUR


def _context(start: int):  # type: ignore[no-untyped-def]
    from andon.records.contract import Context

    return Context("2s", start, start + SPAN)


def test_a_changed_configuration_keeps_the_state_of_who_is_still_registered() -> None:
    live = Live()
    live.run(mirai(T, HOST, dark(1)[0]), packets(T, v4("192.0.2.1"), dark(1)[0]))
    other = Daedalus(
        replace(SITE, organisations=SITE.organisations[:1], relations={"a": "ip.id == 1", **SITE.relations})
    )
    outcome = other.conclude(other.empty(), live.carry, _context(T // SPAN * SPAN + SPAN))
    (entry,) = outcome.carry.entries
    assert entry["hits"][list(other.relations.names).index("mirai")] == 1
    closed = other.conclude(other.empty(), outcome.carry, _context((T + 72 * HOUR) // SPAN * SPAN))
    assert told(closed.findings) == [("198.18.3.7", "outbound-scan", "closed")]


def test_summaries_survive_bytes_with_many_organisations() -> None:
    live = Live()
    summary = live.engine.summarise(every(SECOND // 50, T + SECOND), live.engine.empty())
    again = Summary.from_bytes(summary.to_bytes())
    assert again.to_bytes() == summary.to_bytes()
    assert again.nbytes < 1 << 20
