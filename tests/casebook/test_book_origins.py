"""Through which source alerts came: as if each alert said it, whatever came twice, late, or in floods."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import text
from triage_samples import SECOND, alert_row, alerts, episode_row

from andon.store.casebook import Casebook
from andon.store.casebook.origins import GIVEN, SLOT, Origin
from andon.triage.screening.episodes import GAP

START = 1_775_606_400 * SECOND
ORIGINS = (Origin("udp", True), Origin("tcp", True), Origin("tls"), GIVEN)


@pytest.fixture
def book(place: str) -> Iterator[Casebook]:
    with Casebook(place) as opened:
        opened.migrate()
        yield opened


def test_a_slot_is_no_longer_than_the_gap_that_ends_an_episode() -> None:
    assert SLOT <= GAP


def runs(times: list[int]) -> list[tuple[int, int]]:
    """First and last of episodes."""
    made: list[tuple[int, int]] = []
    for at in sorted(times):
        if made and at - made[-1][1] <= GAP:
            made[-1] = made[-1][0], at
        else:
            made.append((at, at))
    return made


@pytest.mark.parametrize("seed", range(3))
def test_episodes_are_forgeable_as_if_each_alert_said_how_it_came(book: Casebook, seed: int) -> None:
    draw = random.Random(seed)
    sent: list[tuple[str, str, int, int, Origin]] = []
    for number in range(60):
        origin = draw.choices(ORIGINS, (4, 3, 1, 1))[0]
        at = START + draw.randrange(6 * 3600) * SECOND
        for _ in range(draw.randrange(1, 6)):  # within a minute or two, at any severity and address
            at += draw.randrange(90) * SECOND
            sent.append((draw.choice("ab"), draw.choice(("suricata", "wazuh")), at, number, origin))
    draw.shuffle(sent)
    at = 0
    while at < len(sent):
        end = at + draw.randrange(1, 40)
        _store(book, draw, sent[at:end])
        at = end
    rows, wanted = [], {}
    for host, product in sorted({one[:2] for one in sent}):
        mine = [one for one in sent if one[:2] == (host, product)]
        for first, last in runs([one[2] for one in mine]):
            row = episode_row(
                1, host=host, product=product, rule="r", first=first, last=last, id=f"{len(rows):024x}"
            )
            rows.append(row)
            ways = [origin for _, _, at, _, origin in mine if first <= at <= last]
            if all(origin.forgeable for origin in ways):
                wanted[row["id"]] = tuple(sorted({origin.name for origin in ways}))
    assert book.alerts.origins.of_episodes(rows) == wanted
    assert 0 < len(wanted) < len(rows)


def _store(book: Casebook, draw: random.Random, some: list[tuple[str, str, int, int, Origin]]) -> None:
    for origin in ORIGINS:
        mine = [one for one in some if one[4] == origin]
        made = [
            alert_row(
                number, host=host, product=product, rule="r", ts=at, severity=draw.randrange(5),
                address=f"10.0.0.{draw.randrange(3)}",
            )
            for host, product, at, number, _ in mine
        ]  # fmt: skip
        if made:
            book.alerts.add(alerts(made), origin)
        if made and draw.random() < 0.2:
            book.alerts.add(alerts(made), origin)  # delivered twice


def rows_of(book: Casebook, table: str) -> list[Any]:
    with book._engine.connect() as connection:
        return list(connection.execute(text(f"SELECT * FROM {table}")))


def test_a_flood_is_a_few_rows_and_goes_with_its_alerts(book: Casebook) -> None:
    same = {"host": "h", "product": "suricata", "rule": "r", "severity": 3, "address": "10.0.0.1"}
    book.alerts.add(alerts([alert_row(n, **same, ts=START + n * SECOND) for n in range(2_000)]), ORIGINS[0])
    assert len(rows_of(book, "alert_origins")) == 7
    book.expire(alerts_before=START + 1_000 * SECOND)
    assert len(rows_of(book, "alert_origins")) == 4
    book.expire(alerts_before=START + 10_000 * SECOND)
    assert book.alerts.count() == 0 and rows_of(book, "alert_origins") == []


def test_what_changes_its_configuration_stays_what_it_was(book: Casebook) -> None:
    """The same source with certificates from tomorrow on: what came without them came without them."""
    same = {"host": "h", "product": "suricata", "rule": "r"}
    book.alerts.add(alerts([alert_row(1, **same, ts=START)]), Origin("in", True))
    book.alerts.add(alerts([alert_row(2, **same, ts=START + 3600 * SECOND)]), Origin("in", False))
    rows = [
        episode_row(1, **same, first=at, last=at, id=f"{at:024x}") for at in (START, START + 3600 * SECOND)
    ]
    assert book.alerts.origins.of_episodes(rows) == {rows[0]["id"]: ("in",)}


def test_sources_that_gave_records_are_known_since_then(book: Casebook) -> None:
    origins = book.alerts.origins
    for at in (10, 30, 20):
        origins.heard("flow", Origin("netflow", True), at)
    origins.heard("flow", Origin("eve"), 40)
    with book.work("casework", 50) as work:
        work.alerts.origins.heard("contact", Origin("udp", True))
    assert origins.forgeable(("flow",), 30) == ("netflow",) and origins.forgeable(("flow",), 31) == ()
    assert origins.forgeable(("flow", "contact"), 0) == ("netflow", "udp")
