"""Profiles as JSON, Markdown and STIX 2.1: valid, stable, and safe to show whatever attackers call themselves."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import stix2
from profile_tables import DECOYS, FIRST, Days, batch, report
from test_profile_families import linked

from andon.detect.intel.profile import engine
from andon.records.contract import Site
from andon.share.profile import bundle, markdown, profiles, write_profiles

Tables = dict[str, list[pa.Table]]


def analysed(name: str = "Romi", extra: str = "") -> tuple[Tables, list[dict[str, Any]]]:
    """Tables and findings of four days of a family with a report that gives it this name."""
    days = Days()
    for day in range(4):
        linked(days, day)
        if extra:
            shown = [
                ("token", "DLALXLA"),
                ("url-base", extra),
                ("url", f"http://198.51.100.7{extra}arm"),
                ("credential", extra),
            ]
            days.session(day, 3405803776, shown)
            days.session(day, 3405803777, shown)
    told = report("R1", 3, malware=[name], token=["DLALXLA"], port=["37215", "52869"], port_set=["37215,52869"],
                  cve=["CVE-2020-8515"], device=["DrayTek Vigor2960"], vendor=["DrayTek"], hash=["a" * 63 + "b"],
                  domain=["c2.example.org"], ipv4_addr=["198.51.100.99"])  # fmt: skip
    made, carry = engine(Site()), None
    tables: Tables = {}
    findings = []
    for day in range(4):
        summary = made.summarise(batch(told, *DECOYS), made.empty()) if day == 3 else made.empty()
        outcome = made.conclude(summary, carry, days.context(day))
        carry = outcome.carry
        findings += [finding.to_dict() for finding in outcome.findings]
        for table, rows in outcome.tables.items():
            tables.setdefault(f"intel.profile:{table}", []).append(rows)
    return tables, findings


def test_stix_parses_with_the_library_and_says_what_the_page_says() -> None:
    tables, findings = analysed()
    body = bundle(profiles(tables, findings))
    parsed = stix2.parse(json.dumps(body), allow_custom=False)
    types = Counter(item["type"] for item in parsed.objects)
    assert types["malware"] == types["report"] == types["vulnerability"] == 1
    assert types["indicator"] == types["sighting"] >= 5
    by_id = {item["id"]: item for item in body["objects"]}
    verbs = Counter(item["relationship_type"] for item in body["objects"] if item["type"] == "relationship")
    assert verbs["indicates"] == types["indicator"]
    assert verbs["exploits"] == verbs["targets"] == 1
    assert verbs["beacons-to"] == 2
    assert verbs["hosts"] == 1
    for item in body["objects"]:
        for field in ("source_ref", "target_ref", "sighting_of_ref", "created_by_ref"):
            assert item.get(field, item["id"]) in by_id
    (filters,) = [item for item in body["objects"] if item.get("pattern_type") == "x-bpf"]
    assert "tcp[14:2]" in filters["pattern"]
    sighted = next(
        s for s in body["objects"] if s["type"] == "sighting" and s["sighting_of_ref"] == filters["id"]
    )
    assert sighted["count"] == 40  # ten sources on each of four days


def test_the_same_profile_is_the_same_bundle_and_another_day_the_same_objects() -> None:
    tables, findings = analysed()
    assert bundle(profiles(tables, findings)) == bundle(profiles(*analysed()))
    earlier = {name: rows[:3] for name, rows in tables.items()}
    first = {
        item["id"] for item in bundle(profiles(earlier, findings))["objects"] if item["type"] == "malware"
    }
    assert first == {
        item["id"] for item in bundle(profiles(tables, findings))["objects"] if item["type"] == "malware"
    }


HOSTILE = "A](http://evil.example)<script>x</script>\n# B|`c`\x1b[2J"


def test_names_from_outside_cannot_act_on_a_page() -> None:
    (one,) = profiles(*analysed(HOSTILE, extra="/x`|<img src=http://evil.example/>/"))
    page = markdown(one)
    assert "<script>" not in page.replace("\\<script\\>", "")
    assert "](" not in page.replace("\\]\\(", "")
    assert "\x1b" not in page
    assert "http://" not in page
    assert "evil.example" not in page
    assert page.count("\n# ") == 0
    for line in page.splitlines():
        if line.startswith("| URL"):
            assert line.replace("\\|", "").count("|") == 3
            assert line.count("`") % 2 == 0
    stix2.parse(json.dumps(bundle([one])), allow_custom=False)


def test_everything_is_written_and_nothing_where_there_is_nothing(tmp_path: Path) -> None:
    assert write_profiles({}, tmp_path) == 0
    assert list(tmp_path.iterdir()) == []
    tables, findings = analysed()
    assert write_profiles(tables, tmp_path, findings) == 1
    names = sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file())
    assert [name.rsplit(".", 1)[1] for name in names] == ["json", "json", "md"] or len(names) == 3
    body = json.loads(next((tmp_path / "profiles").glob("romi-*.json")).read_text())
    assert body["schema"] == "andon.profile/1"
    assert body["family"] == "Romi"
    assert [day["darknet"] for day in body["curve"]] == [10, 10, 10, 10]
    assert body["delays"]["darknet_to_report"] == 3
    assert body["first_report"].startswith("2026-02-19")
    page = next((tmp_path / "profiles").glob("romi-*.md")).read_text()
    for text in (
        "tcp.window == 0x3908",
        "37215,52869",
        "CVE-2020-8515",
        "`198[.]51[.]100[.]7`",
        "not that one person",
        "R1",
    ):
        assert text in page
    assert FIRST == 20_500


@pytest.mark.parametrize("name", ["", "///", "ラピッド", "a" * 300])
def test_a_file_name_is_plain_and_never_empty(name: str) -> None:
    tables, findings = analysed(name or "Romi")
    (one,) = profiles(tables, findings)
    assert one.slug.isascii()
    assert 7 < len(one.slug) <= 47
    assert "/" not in one.slug


def test_a_masked_page_gives_no_constant_away_that_shows_the_telescope() -> None:
    from ipaddress import IPv4Network

    from andon.run.mask import Mask

    tables, _ = analysed()
    cover = Mask([IPv4Network("0.0.57.0/24")])  # the constant 0x3908 is an address of it
    masked = [cover.table("intel.profile:profiles", table) for table in tables["intel.profile:profiles"]]
    assert masked[-1] is not None
    assert "0x3908" not in str(masked[-1].to_pylist())
    assert "0x3908" in str(tables["intel.profile:profiles"][-1].to_pylist())
    assert masked[-1].schema.equals(tables["intel.profile:profiles"][-1].schema)
