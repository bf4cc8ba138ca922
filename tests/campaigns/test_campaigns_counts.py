"""What the fit says of a group is told only if plain counts of sources by header and port say it too."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
from campaigns_traffic import addresses, bots, events, rows, run, tools_table


def cookie(src: np.ndarray, port: int, day: int, seed: int = 1) -> pa.RecordBatch:
    """Bots whose sequence number is the destination, always of the same addresses."""
    rng = np.random.default_rng((seed, day, port))
    dst = 0x0A000000 + rng.integers(0, 1 << 16, len(src) * 12)
    return bots(len(src), {port: 1.0}, day, seed, src=src, dst=dst, tcp_seq=dst)


def test_a_wave_on_the_port_of_a_standing_crowd_is_its_growth_and_the_crowd_goes_on_after_it() -> None:
    def of(day: int) -> list[pa.RecordBatch]:
        wave = [bots(200, {9999: 1.0}, day, seed=2)] if day in (6, 7) else []
        return [bots(20, {9999: 1.0}, day), *wave]

    outcomes = run(15, of)
    told = events(outcomes)
    assert [row["standing"] for row in rows(outcomes[0])] == [True]
    standing = rows(outcomes[0])[0]["campaign"]
    # The wave is twice the crowd's size: growth of the one thing that asks for this port, and over in two days.
    assert [(day, event) for day, name, event in told if name == standing] == [
        (0, "first-day"),
        (6, "growth"),
    ]
    assert [row["sources"] for row in rows(outcomes[8]) if row["campaign"] == standing] == [20]


def test_a_wave_on_a_port_that_few_asked_for_is_born_and_dies_with_its_last_day() -> None:
    def of(day: int) -> list[pa.RecordBatch]:
        wave = [bots(200, {9999: 1.0}, day, seed=2)] if day in (6, 7) else []
        return [bots(5, {9999: 1.0}, day), *wave]

    outcomes = run(15, of)
    told = [(day, event) for day, _, event in events(outcomes)]
    assert told == [(6, "birth"), (8, "pause"), (14, "death")]
    dead = next(row for row in rows(outcomes[14]) if row["events"] == "death")
    assert dead["last"] == next(row for row in rows(outcomes[7]) if row["state"] == "active")["day"]
    assert not dead["standing"]


def test_a_second_botnet_of_the_same_kind_is_growth_and_the_words_say_that_it_may_be_one() -> None:
    outcomes = run(8, lambda day: [bots(300 if day < 7 else 520, {23: 0.9, 2323: 0.1}, day)])
    (finding,) = outcomes[7].findings
    assert finding.attributes["events"] == ["growth"] and "a second one of the same kind" in finding.statement
    # A crowd that sways as much by itself has not grown.
    sizes = (300, 420, 250, 470, 300, 380, 260, 520)
    swaying = run(8, lambda day: [bots(sizes[day], {23: 0.9, 2323: 0.1}, day)])
    assert [event for _, _, event in events(swaying)] == ["first-day"]


def test_bots_that_change_their_header_one_after_the_other_stay_one_campaign() -> None:
    src = addresses(120, 5)

    def of(day: int) -> list[pa.RecordBatch]:
        turned = {0: 0, 1: 0, 2: 0, 3: 60}.get(day, 120)
        old = [bots(0, {4321: 1.0}, day, src=src[turned:])] if turned < 120 else []
        return old + ([cookie(src[:turned], 4321, day)] if turned else [])

    outcomes = run(6, of)
    told = [(day, event) for day, _, event in events(outcomes)]
    assert told == [(0, "first-day"), (4, "fingerprint")]
    assert {row["campaign"] for outcome in outcomes for row in rows(outcome)} == {
        rows(outcomes[0])[0]["campaign"]
    }
    halfway = rows(outcomes[3])[0]
    assert halfway["sources"] == 120 and halfway["standing"] and not rows(outcomes[4])[0]["standing"]


def test_ten_bots_beside_a_wave_of_their_malware_are_no_birth_for_having_its_name() -> None:
    few, many = addresses(12, 6), addresses(700, 7)

    def sent(day: int) -> list[pa.RecordBatch]:
        # From the second day on the fit may or may not tell the twelve apart; they were there all the time.
        return [cookie(few, 49152, day), cookie(many[: 300 if day < 6 else 700], 23, day)]

    def tables(day: int) -> dict[str, Any]:
        sources = [*few.tolist(), *many[: 300 if day < 6 else 700].tolist()]
        return {"darknet.tools:sources": tools_table(dict.fromkeys(sources, "mirai"))}

    outcomes = run(8, sent, tables=tables)
    assert "birth" not in {event for _, _, event in events(outcomes)}
