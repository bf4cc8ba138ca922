"""Our detector of synchrony on less than a million packets: what is above the limit is found, decoys are not."""

from __future__ import annotations

import pyarrow as pa
import pytest

from andon.detect.darknet import backscatter, census, purpose, synchrony, tools
from andon.records.contract import Site
from andon.records.coordination import ALERTS
from andon.run.conclusions import Concluded, Conclusions
from andon.run.engines import in_order
from andon.simulate.coordination import Scenario, events, packets
from andon.simulate.coordination.scenario import DAY, HOUR
from andon.simulate.score_alerts import AlertScore, Run, score

# A third of the usual rate, so that two days at a /24 stay below a million packets.
SCENARIO = Scenario(2, ("198.18.7.0/24",), days=2, rate=0.018)


@pytest.fixture(scope="module")
def result() -> AlertScore:
    site = Site(telescope=SCENARIO.telescope)
    engines = in_order([module.engine(site) for module in (census, tools, backscatter, purpose, synchrony)])
    alerts: list[pa.Table] = []

    def told(concluded: Concluded) -> None:
        if concluded.engine.name == "darknet.synchrony":
            alerts.append(concluded.outcome.tables["alerts"])

    conclusions = Conclusions(engines, told)
    count = 0
    for batch in packets(SCENARIO):
        ts = batch["ts"].cast(pa.int64()).to_numpy()
        count += len(ts)
        for windows in conclusions.windows:
            windows.add(batch, ts)
        conclusions.until(int(ts[-1]))
    conclusions.until(None)
    assert 500_000 < count < 1_000_000
    table = pa.concat_tables([ALERTS.empty_table(), *alerts])
    return score([Run(table, events(SCENARIO), SCENARIO.calm_ns, SCENARIO.end_ns)])


def test_what_is_above_the_limit_is_found(result: AlertScore) -> None:
    """All of it once a whole day is known, on the busiest ports too. Before, and in the last two hours, one botnet
    inside such a port may be missed: there is no day to hold its port against, or too little of what is gone."""
    above = [f for f in result.events if f.event.above]
    known = SCENARIO.start_ns + DAY, SCENARIO.end_ns - 2 * HOUR
    assert len(above) >= 8
    assert sum(known[0] <= f.event.begins < known[1] for f in above) >= 6
    missed = [f.event for f in above if f.delay is None]
    assert [e.name for e in missed if known[0] <= e.begins < known[1]] == []
    assert {port for e in missed for port, _ in e.ports} <= {23, 80, 445} and len(missed) <= 2


def test_at_most_one_false_alert_a_day(result: AlertScore) -> None:
    assert result.false_a_day <= 1.0, result.on_decoys


def test_sudden_events_are_told_soon(result: AlertScore) -> None:
    assert len(result.delays("wake-up")) >= 3
    assert result.delays("wake-up").max() <= 1200
    assert result.delays("fast-worm").max() <= 2 * 3600
