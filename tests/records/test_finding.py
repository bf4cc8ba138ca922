"""Findings: the JSON is what the schema says, identities are stable."""

from __future__ import annotations

import json
from dataclasses import replace
from importlib.resources import files

import jsonschema
import pytest

from andon.records.contract import Window, duration_ns
from andon.records.finding import KINDS, Check, Entity, Evidence, Finding, timestamp

SCHEMA = json.loads(files("andon.records").joinpath("finding.schema.json").read_text())
FINDING = Finding(
    engine="darknet.tools",
    engine_version=1,
    kind="known-tool",
    title="ZMap",
    statement="one source",
    confidence=0.99,
    calibration="by hand",
    window=(1_767_225_600_000_000_000, 1_767_312_000_000_000_000),
    subject=("tool", "zmap"),
    first_seen=1_767_225_600_000_000_001,
    last_seen=1_767_225_700_000_000_000,
    count=3,
    entities=tuple(Entity("ipv4-addr", f"198.51.100.{n}", 1) for n in range(200)),
    evidence=(Evidence("relation holds", Check("ip.id == 54321", 0.1)), Evidence("plain words")),
    attack=("T1595.001",),
)


def test_json_follows_the_published_schema() -> None:
    body = json.loads(FINDING.to_json())
    jsonschema.validate(body, SCHEMA)
    assert len(body["entities"]) == 100
    assert body["entities_total"] == 200
    assert body["first_seen"] == "2026-01-01T00:00:00.000000001Z"


def test_schema_lists_exactly_the_kinds_of_the_table() -> None:
    assert set(SCHEMA["properties"]["kind"]["enum"]) == set(KINDS)


def test_the_same_thing_on_another_day_keeps_its_series_and_gets_another_id() -> None:
    later = replace(FINDING, window=(FINDING.window[1], FINDING.window[1] + 1))
    assert later.series == FINDING.series
    assert later.id != FINDING.id


@pytest.mark.parametrize(
    ("change", "message"),
    [({"kind": "guess"}, "guess"), ({"severity": "awful"}, "awful"), ({"confidence": 1.2}, "1.2")],
)
def test_a_finding_outside_the_tables_is_refused(change: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        replace(FINDING, **change)


def test_timestamps_keep_nanoseconds_and_negative_years_do_not_occur() -> None:
    assert timestamp(1) == "1970-01-01T00:00:00.000000001Z"
    assert timestamp(1_000_000_000) == "1970-01-01T00:00:01Z"


def test_windows_are_whole_tiles() -> None:
    assert duration_ns("1d") == 86_400_000_000_000
    with pytest.raises(ValueError, match="not a whole number"):
        Window("7min", ("1h",))
    with pytest.raises(ValueError, match="not a duration"):
        duration_ns("soon")
