"""What the flow baselines alarm on, and what they leave alone."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from flow_world import DAY, HOUR, START, Flow, about, batch, concluded, learned, usual

from andon.detect.livenet.flowbaseline import FlowBaseline
from andon.detect.livenet.flowbaseline.memory import Memory
from andon.records.contact import CONTACT
from andon.records.contract import Context, Site
from andon.records.kinds import CONTACT as CONTACT_KIND
from andon.records.kinds import marked
from andon.run.contract import check_engine
from andon.run.table_checks import SpanParts

VICTIM = "10.1.1.15"


@pytest.fixture(scope="module")
def past() -> Memory:
    """Three weeks of usual days, the last of them a Friday with its weekend."""
    return learned(21)


def with_attack(flows: list[Flow], past: Memory, day: int = 21) -> list[object]:
    return about(concluded(usual(np.random.default_rng(5), day) + flows, day, past), VICTIM)


def test_engine_keeps_the_contract() -> None:
    rng = np.random.default_rng(2)
    flows = usual(rng, 0)
    odd: list[Flow] = [
        (5.0, "198.51.100.7", "10.1.0.10", 22, "ssh", True, 900, 800),  # from outside
        (6.0, "198.51.100.7", "203.0.113.9", 22, "", True, 9, 8),  # neither side is ours
        (7.0, "fd00::5", "2001:db8::1", 443, "", True, 70, 80),
        (8.0, "not an address", "10.1.0.10", -1, "", False, -1, -1),
    ]
    parts = [batch(flows[n::3] + odd[n:], 0) for n in range(3)]
    outcome = check_engine(FlowBaseline(Site()), parts)
    rows = outcome.tables["hours"].to_pydict()
    assert {"out", "in"} <= set(rows["direction"]) and "10.1.0.10" in rows["terminal"]
    assert "fd00::5" in rows["terminal"] and "198.51.100.7" not in rows["terminal"]


def test_engine_keeps_the_contract_above_its_cap() -> None:
    rng = np.random.default_rng(3)
    flows = usual(rng, 0, terminals=60)
    parts = [batch(flows[n::4], 0) for n in range(4)]
    outcome = check_engine(FlowBaseline(Site(settings={"livenet.flowbaseline.rows": 300})), parts)
    assert "Only about one terminal in" in outcome.findings[-1].statement
    assert 0 < outcome.tables["terminals"].num_rows < 60


def test_it_says_that_it_learns_and_says_nothing_else() -> None:
    rng = np.random.default_rng(4)
    scan: list[Flow] = [(9.5 * HOUR + n, VICTIM, f"10.1.3.{n}", 445, "", False, 0, 0) for n in range(200)]
    outcome = concluded(usual(rng, 0) + scan, 0)
    assert [f.subject[0] for f in outcome.findings] == ["state"]
    assert "Learning, 1 of 7 days" in outcome.findings[0].statement
    assert all(outcome.tables["terminals"]["learning"].to_pylist())


def test_usual_days_alarm_within_the_budget(past: Memory) -> None:
    rng, carry, alarms = np.random.default_rng(6), past, 0
    for day in range(21, 35):
        outcome = concluded(usual(rng, day), day, carry)
        carry = outcome.carry or carry
        alarms += sum(f.subject[0] == "ipv4-addr" for f in outcome.findings)
    # 400 days of terminals at 0.2 in thirty days are three.
    assert alarms <= 6


def test_exfiltration_is_found_fast_and_slow(past: Memory) -> None:
    fast: list[Flow] = [(10.5 * HOUR, VICTIM, "198.51.100.9", 443, "ssl", True, 400_000_000, 5000)]
    slow: list[Flow] = [
        ((8.1 + n / 20) * HOUR, VICTIM, "198.51.100.9", 443, "ssl", True, 600_000, 900) for n in range(170)
    ]
    for flows, least in ((fast, 4e8), (slow, 1e8)):
        (finding,) = with_attack(flows, past)
        assert "exfiltration" in finding.attributes["metrics"] and finding.severity == "medium"
        assert (
            finding.attributes["value"] >= min(least, 4e8) * 0.9
            or finding.attributes["metrics"][0] == "volume"
        )
        assert "198[.]51[.]100[.]9" in finding.statement and "198.51.100.9" in [
            e.value for e in finding.entities
        ]


def test_scanning_is_found_across_and_down(past: Memory) -> None:
    across: list[Flow] = [(9.5 * HOUR + n, VICTIM, f"10.1.3.{n}", 445, "", False, 0, 0) for n in range(60)]
    down: list[Flow] = [(9.5 * HOUR + n / 9, VICTIM, "10.1.3.7", n + 1, "", False, 0, 0) for n in range(900)]
    for flows in (across, down):
        (finding,) = with_attack(flows, past)
        assert finding.attributes["metrics"][0] == "scan" and finding.attack[0] == "T1046"


def test_a_service_never_used_before_is_found(past: Memory) -> None:
    flows: list[Flow] = [
        (9.5 * HOUR + n, VICTIM, "198.51.100.9", 4444, "", True, 500, 500) for n in range(20)
    ]
    (finding,) = with_attack(flows, past)
    assert finding.attributes["metrics"] == ["new-service"] and "tcp/4444" in finding.statement


def test_the_check_gives_what_the_statement_says(past: Memory) -> None:
    flows: list[Flow] = [(10.5 * HOUR, VICTIM, "198.51.100.9", 443, "ssl", True, 400_000_000, 5000)]
    outcome = concluded(usual(np.random.default_rng(5), 21) + flows, 21, past)
    start = (START + 21 * DAY) * 10**9
    tables = {f"livenet.flowbaseline:{name}": table for name, table in outcome.tables.items()}
    parts = SpanParts()
    parts.add("1d", start, tables)
    counted = parts.count(
        outcome.findings, [("1d", start)] * len(outcome.findings), {k: [v] for k, v in tables.items()}
    )
    (finding,) = [f for f in counted if f.subject[1] == VICTIM]
    for item in finding.evidence:
        assert item.check is not None and item.check.expected is not None, item.statement
        assert item.check.expected >= 400_000_000 > 3 * item.check.by_chance


def test_absence_and_coming_back_are_no_anomaly(past: Memory) -> None:
    rng, carry = np.random.default_rng(7), past
    for day in (*range(21, 26), *range(28, 31)):
        flows = usual(rng, day) if day >= 28 else usual(rng, day, terminals=4)
        outcome = concluded(flows, day, carry)
        carry = outcome.carry or carry
        assert len([f for f in outcome.findings if f.subject[0] != "state"]) <= 1


def test_a_departments_new_program_is_one_event(past: Memory) -> None:
    rng = np.random.default_rng(8)
    new: list[Flow] = [
        ((9 + n % 7) * HOUR + n, f"10.1.2.{n % 10 + 10}", "198.51.100.3", 8883, "", True, 900, 900)
        for n in range(200)
    ]
    outcome = concluded(usual(rng, 21) + new, 21, past)
    said = [f for f in outcome.findings if "10.1.2." in str(f.subject)]
    assert [f.subject for f in said] == [("peers", "10.1.2.0/24 new-service")]
    assert len(said[0].entities) == 10
    # The next day it goes on, and nobody is told again.
    outcome = concluded(usual(rng, 22) + new, 22, outcome.carry)
    assert not [f for f in outcome.findings if "10.1.2." in str(f.subject)]


def test_a_changed_shift_is_told_in_one_piece_and_learned(past: Memory) -> None:
    rng, carry = np.random.default_rng(9), past
    said: dict[int, list[str]] = {}
    for day in (*range(21, 26), *range(28, 33), *range(35, 40)):
        outcome = concluded(usual(rng, day, shift={3: 8}), day, carry)
        carry = outcome.carry
        said[day] = [
            f.subject[1]
            for f in outcome.findings
            if f.subject[0] == "ipv4-addr" and "10.1.3." in f.subject[1]
        ]
    assert sum(map(len, said.values())) <= 5
    assert not any(said[day] for day in range(36, 40))


def test_an_alert_is_told_once_and_what_stays_becomes_usual(past: Memory) -> None:
    rng, carry, told, drifts = np.random.default_rng(10), past, [], []
    upload: list[Flow] = [(10.5 * HOUR, VICTIM, "198.51.100.9", 443, "ssl", True, 300_000_000, 5000)]
    days = [day for day in range(21, 40) if day % 7 < 5]
    for day in days:
        outcome = concluded(usual(rng, day) + upload, day, carry)
        carry = outcome.carry
        told += [day for f in about(outcome, VICTIM) if "exfiltration" in f.attributes["metrics"]]
        drifts += [day for f in outcome.findings if f.attributes.get("drift")]
    assert told == [21]
    assert drifts and drifts[0] == 25


def test_hostile_names_are_shown_defanged(past: Memory) -> None:
    scan: list[Flow] = [(9.5 * HOUR + n, "10.1.0.10", f"10.1.3.{n}", 445, "", False, 0, 0) for n in range(60)]
    made = batch(usual(np.random.default_rng(5), 21) + scan, 21)
    bad = pa.array(["evil\x1b[2J'; --"] * made.num_rows).dictionary_encode()
    renamed = made.set_column(made.schema.get_field_index("terminal"), made.schema.field("terminal"), bad)
    engine = FlowBaseline(Site(settings={"livenet.flowbaseline.learning": 1}))
    carry = past
    for day in (21, 22):
        start = (START + day * DAY) * 10**9
        summary = engine.summarise(marked(renamed, "flow"), engine.empty())
        outcome = engine.conclude(summary, carry, Context("1d", start, start + DAY * 10**9))
        carry = outcome.carry
    for finding in outcome.findings:
        assert "\x1b" not in finding.title + finding.statement


def contacts(address: str, server: str = "") -> pa.RecordBatch:
    """Fifty of one client."""
    words = lambda text: pa.array([text] * 50).dictionary_encode()  # noqa: E731
    given = {
        "ts": pa.array([(START + 9 * HOUR + n) * 10**9 for n in range(50)]).cast(pa.timestamp("ns", tz="UTC")),
        "terminal": words("alice"), "address": words(address), "host": words("a.example"), "via": words("http"),
        "server": words(server), "refused": pa.array([False] * 50), "bytes_in": pa.array([10] * 50),
        "bytes_out": pa.array([1000] * 50),
    }  # fmt: skip
    columns = []
    for field in CONTACT:
        if field.name in given:
            columns.append(given[field.name].cast(field.type))
        elif pa.types.is_dictionary(field.type):
            columns.append(words("").cast(field.type))
        else:
            empty = "" if pa.types.is_string(field.type) else -1
            columns.append(pa.array([empty] * 50, field.type))
    return marked(pa.RecordBatch.from_arrays(columns, schema=CONTACT), CONTACT_KIND)


def test_contacts_of_outsiders_with_our_servers_are_nobodys_usual() -> None:
    outsider = contacts("203.0.113.9", "10.1.0.9")
    assert check_engine(FlowBaseline(Site()), [outsider]).tables == {}
    for batch_of, inside in (
        (contacts("203.0.113.9"), ()),
        (outsider, ("203.0.113.0/24",)),
        (contacts("addr-1"), ()),
    ):
        assert check_engine(FlowBaseline(Site(inside=inside)), [batch_of]).tables["hours"].num_rows == 1


def test_contacts_stand_in_where_there_are_no_flows() -> None:
    engine = FlowBaseline(Site())
    outcome = check_engine(engine, [contacts("10.1.0.10")])
    (row,) = outcome.tables["hours"].drop_columns(["hour"]).to_pylist()
    assert (row["terminal"], row["service"], row["bytes_out"], row["direction"]) == (
        "alice",
        "log http",
        50_000,
        "out",
    )
    flows = batch(usual(np.random.default_rng(1), 0), 0)
    outcome = check_engine(engine, [contacts("10.1.0.10"), flows])
    assert "alice" not in outcome.tables["terminals"]["terminal"].to_pylist()


def test_settings_are_checked() -> None:
    for name, value in (("budget", 0), ("rate", 2), ("learning", 0), ("drift", 99)):
        with pytest.raises(ValueError, match=f"livenet.flowbaseline.{name}"):
            FlowBaseline(Site(settings={f"livenet.flowbaseline.{name}": value}))
    with pytest.raises(ValueError):
        FlowBaseline(Site(inside=("10.0.0.0/33",)))
