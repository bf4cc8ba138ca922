"""The scorer gives a perfect answer full marks, an empty one none, and a shuffled one what it deserves."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from andon.records import joint
from andon.simulate.joint import Scenario, simulate
from andon.simulate.joint.evidence import Evidence, lines
from andon.simulate.score_joint import CVE, DEVICE, RELATIONS, REPORT, TOKEN, Calibration, score
from andon.simulate.score_joint_assets import KIND

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def evidence(tmp_path_factory: pytest.TempPathFactory) -> Evidence:
    scenario = Scenario(seed=8, days=14.0, devices=1500, families=12, honeypots=4, nat=0.1)
    return Evidence(simulate(scenario, tmp_path_factory.mktemp("score")).folder)


def when(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def mark_of(f: dict[str, Any]) -> tuple[str, str]:
    if f["fingerprint"]:
        return joint.MARK_FINGERPRINT, f["fingerprint"]
    return joint.MARK_PORT_SET, ",".join(str(p) for p in sorted(f["ports"]))


def links(
    evidence: Evidence, values: list[tuple[str, str]] | None = None, probability: float = 0.99
) -> pa.Table:
    """A link for everything that is linkable; ``values`` are (kind, value) to say instead, in order."""
    rows = []
    for n, (number, kind, value) in enumerate(sorted(evidence.linkable)):
        mark_kind, mark = mark_of(evidence.families[number])
        kind, value = values[n] if values else (kind, value)
        rows.append({
            "mark_kind": mark_kind, "mark": mark, "kind": kind, "value": value, "sources": 9, "networks_24": 9,
            "decoys": 0.1, "p_value": 1e-9, "fdr": 0.004, "effect": 5.0, "probability": probability, "first": EPOCH,
            "last": EPOCH, "lag_median": 0, "series": str(n),
        })  # fmt: skip
    return pa.Table.from_pylist(rows, schema=joint.LINKS)


def pages(evidence: Evidence, late: float = 0.0) -> pa.Table:
    rows = []
    for number, f in enumerate(evidence.families):
        first = evidence.first(number)
        rows.append({
            **{field.name: [] for field in joint.PROFILES if pa.types.is_list(field.type)},
            "family": f["family"], "fingerprints": [f["fingerprint"]] if f["fingerprint"] else [],
            "port_sets": [",".join(str(p) for p in sorted(f["ports"]))], "tokens": [f["token"]], "cves": f["cve"],
            "targets": [f"{v}|{p}|{d}" for d, v, p in f["device"]], "reports": f["reports"], "state": "epidemic",
            "first_darknet": when(first + late), "first_honeypot": EPOCH, "first_report": EPOCH, "probability": 0.99,
            "series": str(number),
        })  # fmt: skip
    return pa.Table.from_pylist(rows, schema=joint.PROFILES)


def said_sessions(evidence: Evidence, swap: bool = False) -> pa.Table:
    import pyarrow.parquet as pq

    truth = pq.read_table(evidence.folder / "truth" / "sessions.parquet")
    other = {"bot": "loader", "loader": "bot"}
    rows = [
        {
            "session": f"hp-01/{s}",
            "role": (other.get(r, "unknown") if swap else r if r in other else "unknown"),
        }
        for s, r in zip(truth["session"].to_pylist(), truth["role"].to_pylist(), strict=True)
    ]
    return pa.Table.from_pylist(rows)


def suspected(asset: str, address: str, begin: str, end: str, confidence: float = 0.98) -> dict[str, Any]:
    return {
        "kind": KIND, "title": f"{asset} may be infected", "confidence": confidence, "first_seen": begin,
        "last_seen": end, "entities": [{"type": "ipv4-addr", "value": address}],
        "attributes": {"level": "device" if asset else "address", "asset": asset, "address": address},
    }  # fmt: skip


def rightly(evidence: Evidence) -> list[dict[str, Any]]:
    """A finding for every asset whose device was infected, at the address that it had then."""
    import csv

    import pyarrow.parquet as pq

    cases = pq.read_table(evidence.folder / "truth" / "infections.parquet").to_pylist()
    ill: dict[int, list[dict[str, Any]]] = {}
    for row in cases:
        ill.setdefault(row["device"], []).append(row)
    device = {
        r["asset_id"]: r["device"]
        for r in pq.read_table(evidence.folder / "truth/assets.parquet").to_pylist()
    }
    found = []
    with (evidence.folder / "assets.csv").open(encoding="utf-8") as file:
        for lease in csv.DictReader(file):
            for case in ill.get(device[lease["asset_id"]] or -1, ()):
                begin = max(case["infected_from"], lease["lease_start"])
                end = min(case["infected_to"], lease["lease_end"])
                if begin < end:
                    found.append(suspected(lease["asset_id"], lease["ip"], begin, end))
    return found


def test_a_perfect_answer_gets_full_marks(evidence: Evidence) -> None:
    found = rightly(evidence)
    tables = {
        "darknet.link:links": [links(evidence)],
        "intel.profile:profiles": [pages(evidence)],
        "intel.session:sessions": [said_sessions(evidence)],
    }
    result = score(evidence, found, tables)
    for name in RELATIONS:
        assert result.pairs[name].linkable >= 3, name
        assert result.pairs[name].precision == 1.0, result.pairs[name].wrong
        assert result.pairs[name].recall == 1.0, result.pairs[name].missed
    assert (
        result.links.precision == 1.0 and result.fdr_true == 0.0 and result.fdr_said == pytest.approx(0.004)
    )
    assert result.roles["bot"].precision == result.roles["bot"].recall == 1.0
    assert result.roles["loader"].precision == result.roles["loader"].recall == 1.0
    assert result.births == (len(evidence.families),) * 2
    assert result.assets.devices_linkable >= 10
    assert result.assets.devices_right == result.assets.devices_said
    assert result.assets.devices_found == result.assets.devices_linkable, result.assets.missed
    assert result.assets.addresses_found == result.assets.addresses_linkable
    assert result.asset_calibration.brier == pytest.approx(0.02**2)


def test_an_empty_answer_is_neither_right_nor_wrong(evidence: Evidence) -> None:
    result = score(evidence, [], {})
    for name in RELATIONS:
        assert result.pairs[name].precision is None and result.pairs[name].recall == 0.0
    assert result.calibration.brier is None and result.births == (0, 0)
    assert result.assets.devices_found == 0 and len(result.assets.missed) == result.assets.devices_linkable


def test_shuffled_links_lose_precision_and_the_true_fdr_shows_it(evidence: Evidence) -> None:
    values = [(kind, value) for _, kind, value in sorted(evidence.linkable)]
    values = values[1:] + values[:1]  # nobody keeps its own
    result = score(evidence, [], {"darknet.link:links": [links(evidence, values)]})
    assert (result.links.precision or 0.0) < 0.5
    assert result.fdr_true > 0.5 > result.fdr_said
    assert result.calibration.brier is not None and result.calibration.brier > 0.4
    for name in (TOKEN, CVE):
        assert (result.pairs[name].recall or 0.0) <= 0.5  # some share a token or an exploit with the next
        assert len(result.pairs[name].wrong) == result.pairs[name].said - result.pairs[name].right
    for name in (DEVICE, REPORT):
        assert result.pairs[name].said == 0


def test_a_link_of_ports_is_right_for_a_part_of_the_familys_ports_and_wrong_with_a_foreign_one(
    evidence: Evidence,
) -> None:
    number, kind, value = next(key for key in sorted(evidence.linkable) if key[1] == "token")
    port = str(evidence.families[number]["ports"][0])
    row = links(evidence).slice(0, 1).to_pylist()[0] | {
        "mark_kind": joint.MARK_PORT_SET,
        "kind": kind,
        "value": value,
    }
    for mark, right in ((port, 1), (f"{port},61999", 0), ("no ports", 0)):
        table = pa.Table.from_pylist([row | {"mark": mark}], schema=joint.LINKS)
        assert score(evidence, [], {"darknet.link:links": [table]}).links.right == right


def test_births_off_by_two_days_and_roles_exchanged_are_counted_as_wrong(evidence: Evidence) -> None:
    tables = {
        "intel.profile:profiles": [pages(evidence, late=2.2 * 86400)],
        "intel.session:sessions": [said_sessions(evidence, swap=True)],
    }
    result = score(evidence, [], tables)
    assert result.births == (0, len(evidence.families))
    assert result.roles["bot"].precision == 0.0 and result.roles["loader"].recall == 0.0


def test_suspicion_of_a_clean_device_or_at_the_wrong_time_is_wrong(evidence: Evidence) -> None:
    found = rightly(evidence)
    clean = next(
        a for a in (f"A{i:05d}" for i in range(10_000)) if a not in {f["attributes"]["asset"] for f in found}
    )
    one = found[0]
    wrong = [
        suspected(clean, "100.64.0.1", one["first_seen"], one["last_seen"]),
        suspected(one["attributes"]["asset"], one["attributes"]["address"], "2025-01-01T00:00:00Z",
                  "2025-01-02T00:00:00Z"),
        suspected("", "100.127.255.254", one["first_seen"], one["last_seen"]),
    ]  # fmt: skip
    result = score(evidence, wrong, {})
    assert (result.assets.devices_said, result.assets.devices_right) == (2, 0)
    assert (result.assets.addresses_said, result.assets.addresses_right) == (1, 0)
    assert result.asset_calibration.brier == pytest.approx(0.98**2)
    right = score(
        evidence, [suspected("", one["attributes"]["address"], one["first_seen"], one["last_seen"])], {}
    )
    assert (right.assets.addresses_said, right.assets.addresses_right) == (1, 1)


def test_calibration_tells_honest_from_boastful_probabilities() -> None:
    honest = Calibration.of([0.75] * 4, [True, True, True, False])
    boastful = Calibration.of([1.0] * 4, [True, True, True, False])
    assert honest.brier == pytest.approx(0.1875) and boastful.brier == pytest.approx(0.25)
    assert honest.bins == ((0.75, 0.75, 4),)


def test_linkable_is_bounded_by_what_the_files_hold(evidence: Evidence) -> None:
    """No link of a behaviour that nobody showed, none of a family nobody saw; adding nothing changes nothing."""
    typed = {event.get("input", "") for event in lines(evidence.folder, "cowrie.json")}
    for _, kind, value in evidence.linkable:
        if kind == "token":
            assert any(value in text for text in typed) or (evidence.folder / "adbhoney.json").exists()
    shown = {
        f["family"] for i, f in enumerate(evidence.families) if any(k[0] == i for k in evidence.linkable)
    }
    assert shown <= {f["family"] for f in evidence.families if f["services"]}


@pytest.mark.real_data
def test_the_shared_scenario_has_the_links_that_its_readme_promises(andon_data: Path) -> None:
    evidence = Evidence(andon_data / "joint" / "scenario")
    said = {(evidence.families[i]["family"], value) for i, kind, value in evidence.linkable}
    # The four families on Telnet and SSH by their tokens, the four with an exploit in the HTTP log by their CVE.
    assert {v for _, v in said if not v.startswith("CVE")} == {"BANOWIZ", "WUJME", "SHZXS", "VFYNH"}
    assert {v for _, v in said if v.startswith("CVE")} == {
        "CVE-2020-8515", "CVE-2023-1389", "CVE-2018-10561", "CVE-2021-36260",
    }  # fmt: skip
    assert {f"R0{n}" for n in (0, 1, 3, 4, 7, 8, 9)} == {report for _, report in evidence.linkable_reports()}
