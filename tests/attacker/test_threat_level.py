"""The level of threat: what raises it, what must not lower it, what it is worth."""

from __future__ import annotations

import itertools

import pytest

from andon.records.case import CLASSES, LEVELS, Attacker, Observation
from andon.triage.stages import STAGES, VALUE, Stage, stage_of
from andon.triage.threat import AssetValue, asset_value, threat


def of(*classes: str) -> Attacker:
    return Attacker(classes, {}, (), "")


def level(attacker: Attacker | None, asset: float, certainty: float, stage: str) -> int:
    found = threat(
        attacker, asset=AssetValue(asset, "a"), certainty=certainty, stage=Stage(stage, VALUE[stage], stage)
    )
    return LEVELS.index(found.level)


def test_no_class_ever_lowers_the_level_below_that_of_an_unknown_attacker() -> None:
    sets = [each for n in range(4) for each in itertools.combinations(CLASSES, n)]
    for classes, asset, certainty, stage in itertools.product(
        sets, (0.25, 0.5, 1.0), (0.3, 0.7, 0.95), STAGES
    ):
        assert level(of(*classes), asset, certainty, stage) >= level(None, asset, certainty, stage)


def test_the_level_rises_with_every_part() -> None:
    for stage in STAGES:
        rows = [level(None, asset, 0.9, stage) for asset in (0.1, 0.5, 1.0)]
        assert rows == sorted(rows)
        rows = [level(None, 0.7, certainty, stage) for certainty in (0.0, 0.3, 0.6, 0.95)]
        assert rows == sorted(rows) and rows[0] == 0
    rows = [
        level(None, 0.7, 0.9, stage)
        for stage in ("reconnaissance", "entry", "foothold", "spread", "objective")
    ]
    assert rows == sorted(rows) and rows[0] < rows[-1]


@pytest.mark.parametrize(
    ("classes", "asset", "certainty", "stage", "expected"),
    [
        (("targeted",), 1.0, 0.95, "objective", "critical"),
        (("financial",), 0.9, 0.95, "objective", "critical"),
        ((), 0.5, 0.9, "objective", "high"),
        ((), 0.25, 0.85, "objective", "high"),
        (("targeted",), 0.5, 0.9, "foothold", "high"),
        ((), 0.5, 0.9, "entry", "medium"),
        ((), 0.7, 0.9, "reconnaissance", "medium"),
        ((), 0.35, 0.9, "reconnaissance", "low"),
        ((), 0.7, 0.1, "spread", "informational"),
        (("hacktivist",), 0.7, 0.9, "objective", "high"),
    ],
)
def test_levels_of_cases(
    classes: tuple[str, ...], asset: float, certainty: float, stage: str, expected: str
) -> None:
    assert LEVELS[level(of(*classes), asset, certainty, stage)] == expected


def test_each_part_is_explained() -> None:
    found = threat(
        of("financial"),
        asset=AssetValue(0.9, "data, by 'db1'"),
        certainty=0.8,
        stage=Stage("spread", 0.8, "stage spread, by T1021"),
    )
    for word in ("financial", "data, by 'db1'", "T1021", "certainty 0.80"):
        assert word in found.statement
    assert set(found.parts) == {"class", "asset", "certainty", "stage", "product"}
    with pytest.raises(ValueError, match="probability"):
        threat(None, asset=AssetValue(0.5, ""), certainty=1.2, stage=Stage("spread", 0.8, ""))


@pytest.mark.parametrize(
    ("row", "value"),
    [
        ({"hostname": "dc01.corp.example"}, 1.0),
        ({"hostname": "SQL-PROD-3"}, 0.9),
        ({"device": "IP Camera"}, 0.35),
        ({"hostname": "ws0412.lab.example"}, 0.5),
        ({"hostname": "test-web1"}, 0.25),
        ({"hostname": "dc-test"}, 1.0),
        ({"hostname": "x1", "criticality": "High"}, 0.85),
        ({"hostname": "dc01", "criticality": "low"}, 0.25),
        ({"criticality": 4}, 0.8),
        ({"criticality": "0.3"}, 0.3),
        ({"criticality": "?", "hostname": "mail1"}, 0.85),
        ({"hostname": "adelheid"}, 0.5),
        ({"hostname": "10.0.0.7"}, 0.5),
        ({"criticality": float("nan")}, 0.5),
    ],
)
def test_value_of_assets(row: dict[str, object], value: float) -> None:
    assert asset_value([row]).value == value
    assert asset_value([]).value == 0.5 and "not in the asset list" in asset_value([]).statement


def test_stages_come_from_the_surest_and_furthest_technique() -> None:
    def name(*pairs: tuple[str, float]) -> str:
        return stage_of([Observation("technique", number, sure) for number, sure in pairs], None).name

    assert name(("T1059.001", 0.9)) == "foothold" and name(("T1059.001", 0.9), ("T1490", 0.9)) == "objective"
    assert name(("T1490", 0.3)) == "unknown"  # hardly sure
    assert name(("T1053.005", 0.9)) == "foothold" and name(("T1110", 0.9)) == "reconnaissance"
    assert stage_of([Observation("technique", "T1595.002")], None, reached="entry").name == "entry"
    assert stage_of([], None).name == "unknown"
