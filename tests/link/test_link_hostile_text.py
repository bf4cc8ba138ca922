"""Marks and values that would drive a terminal: linked as what they are, told as what they are not."""

from __future__ import annotations

from link_world import World, concluded, families

NAMES = ("A", "B\x1b[31m\u202e", "C\x9b2J\x7f")


def test_sentences_hold_no_control_characters_and_tables_the_value() -> None:
    world = World()
    families(world, names=NAMES)
    outcome = concluded(world)[-1]
    assert set(outcome.tables["links"]["mark"].to_pylist()) == {f"F-{name}" for name in NAMES}
    assert len(outcome.findings) == len(NAMES)
    for finding in outcome.findings:
        told = [finding.title, finding.statement, *(item.statement for item in finding.evidence)]
        assert all(text.isprintable() for text in told)
        for item in finding.evidence:
            assert item.check is None or item.check.expression.isprintable()
