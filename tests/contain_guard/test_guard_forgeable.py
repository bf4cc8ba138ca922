"""What anybody can send is one kind of evidence, however many products it names; and what of a case that is."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "casebook"))

import guard_site as site
import pytest
from casebook_samples import finding
from hypothesis import given
from hypothesis import strategies as st
from triage_samples import SECOND, alert_row, alerts, case, episode_row, episodes

from andon.contain.guard import ALLOWED, CHECK, FLOWS, FORGEABLE, NEEDS_APPROVAL, Terrain, fields_of, guard
from andon.contain.propose import Material, grounds_of
from andon.records.case import TRUE, Verdict
from andon.records.finding import Finding
from andon.records.intent import HOST, QUARANTINE, Ground, Intent, Party
from andon.run.containment.material import material_of
from andon.run.containment.precision import precision_of
from andon.store.casebook import Casebook
from andon.store.casebook.origins import UNKNOWN, Origin
from spent import spent

BASE = 1_775_606_400 * SECOND
OPEN, RELAY, KNOWN = Origin("syslog-in", True), Origin("relay", True), Origin("papers", False)
FIELDS = (
    "darknet",
    "livenet",
    "intel",
    "malware",
    "alerts:suricata",
    "alerts:wazuh",
    "alerts:zeek",
    "",
    "stars",
)
WAYS = ("", "", "syslog-in", "relay", "relay, syslog-in")
GROUNDS = st.lists(
    st.builds(
        lambda n, field, way: Ground("episode", f"g{n}", field, "", way),
        st.integers(0, 99), st.sampled_from(FIELDS), st.sampled_from(WAYS),
    ),
    max_size=8,
)  # fmt: skip
SEEN = st.sampled_from(
    ((), (Ground(CHECK, "behaviour", FLOWS),), (Ground(CHECK, "behaviour", FLOWS, "", "netflow"),))
)
NETFLOW = frozenset({"netflow"})


@pytest.fixture(scope="module")
def terrain(tmp_path_factory: pytest.TempPathFactory) -> Terrain:
    return site.site(tmp_path_factory.mktemp("site"))[1]


def cut(*grounds: Ground, level: str = "high", who: str = "andon") -> Intent:
    host = Party(HOST, "pc20.corp.example", ("10.0.1.20",), basis="list", resolved=site.NOW)
    return Intent(1, QUARANTINE, host, None, site.HOUR, "", who, site.NOW, grounds, "c1", level)


def known(grounds: tuple[Ground, ...]) -> tuple[Ground, ...]:
    return tuple(replace(one, forgeable="") for one in grounds)


@given(GROUNDS, SEEN)
def test_all_that_anybody_can_send_is_one_kind_at_most(
    grounds: list[Ground], seen: tuple[Ground, ...]
) -> None:
    every = (*grounds, *seen)
    count = len(fields_of(cut(*every), NETFLOW))
    said_by_known = {one.field for one in every if one.field not in ("", "stars") and not one.forgeable}
    said = {one.field for one in every if one.field not in ("", "stars")}
    if FLOWS in said and "livenet" in said:  # may have read the same flows
        said, said_by_known = said - {FLOWS}, said_by_known - {FLOWS}
    assert count == len(said_by_known) + bool(said - said_by_known)
    assert count <= len(fields_of(cut(*known(every)), NETFLOW))
    assert fields_of(cut(*reversed(every)), NETFLOW) == fields_of(cut(*every), NETFLOW)


@given(GROUNDS, SEEN, GROUNDS)
def test_more_of_what_anybody_can_send_never_makes_it_two(
    grounds: list[Ground], seen: tuple[Ground, ...], more: list[Ground]
) -> None:
    before = (*grounds, *seen, Ground("episode", "f", "alerts:forged", "", "syslog-in"))
    sent = tuple(replace(one, forgeable=one.forgeable or "syslog-in") for one in more)
    assert len(fields_of(cut(*before, *sent), NETFLOW)) <= len(fields_of(cut(*before), NETFLOW))


@given(GROUNDS, SEEN, st.sampled_from([1, 2]))
def test_nobody_is_cut_without_a_human_on_what_anybody_can_send(
    terrain: Terrain, grounds: list[Ground], seen: tuple[Ground, ...], evidence: int
) -> None:
    # Also where the policy lets one field act alone, and verdicts say that each is always right.
    precision = {(field, "high"): (500, 500) for field in (*FIELDS, FORGEABLE)}
    bold = replace(
        terrain, limits=replace(terrain.limits, evidence=evidence), precision=precision, flows=NETFLOW
    )
    sent = tuple(replace(one, forgeable=one.forgeable or "syslog-in") for one in (*grounds, *seen))
    ruling = guard(cut(*sent), bold, (), site.NOW)
    assert ruling.decision == NEEDS_APPROVAL and {"evidence", "precision"} & set(ruling.rules)


def test_the_guard_says_why_in_words(terrain: Terrain) -> None:
    two = (
        Ground("episode", "a", "alerts:suricata", "", "syslog-in"),
        Ground("episode", "b", "alerts:wazuh", "", "relay"),
    )
    (why,) = guard(cut(*two), terrain, (), site.NOW).reasons
    assert why == (
        "2 independent kinds of evidence are needed, there is 1 (alerts:suricata, alerts:wazuh): both kinds came "
        "through sources that anyone can send to: relay, syslog-in"
    )
    beside = guard(cut(*two, Ground("finding", "d", "darknet")), terrain, (), site.NOW)
    assert beside.decision == ALLOWED
    assert beside.reasons[0].endswith(
        "on evidence of darknet, alerts:suricata and alerts:wazuh (anyone can send to relay, syslog-in: one kind)"
    )
    bold = replace(terrain, limits=replace(terrain.limits, evidence=1))
    (why,) = guard(cut(two[0]), bold, (), site.NOW).reasons
    assert (
        why == "alerts:suricata would act alone: it came through sources that anyone can send to: syslog-in"
    )


def test_a_ground_keeps_how_it_came_and_older_logs_are_read() -> None:
    made = cut(Ground("episode", "a", "alerts:suricata", "x", "syslog-in"), Ground("episode", "b", "darknet"))
    written = made.to_dict()
    assert Intent.from_dict(written) == made
    assert "forgeable" not in written["grounds"][1], "as before where there is nothing to say"


def test_a_flood_of_forged_episodes_does_not_crowd_out_what_is_known() -> None:
    rows = [
        {
            "id": f"{n:024x}",
            "product": f"a{n % 60}",
            "title": "x",
            "tier": "inspect",
            "targets": [],
            "sources": [],
        }
        for n in range(400)
    ]
    sure = {"id": "z", "product": "zeek", "title": "x", "tier": "inspect", "targets": [], "sources": []}
    grounds = grounds_of(case(1), Material((), [*rows, sure], {row["id"]: ("syslog-in",) for row in rows}))
    assert len(grounds) == 32
    assert [one.field for one in grounds if not one.forgeable and one.field] == ["alerts:zeek"]


# ---------------------------------------------------------------------- what of a case anybody could have made up


@pytest.fixture
def book(tmp_path: Path) -> Iterator[Casebook]:
    with Casebook(tmp_path) as opened:
        opened.migrate()
        yield opened


def told(
    book: Casebook, number: int, product: str, origin: Origin | None, at: int = BASE
) -> dict[str, object]:
    """An episode of one alert about pc7, which came through a source (None: nobody wrote down which)."""
    row = episode_row(
        number,
        id=f"{number:024x}",
        host="pc7",
        address="10.0.0.7",
        product=product,
        rule="r",
        site="",
        first=at,
        last=at,
    )
    if origin is not None:
        same = {"product": product, "rule": "r", "host": "pc7", "address": "10.0.0.7", "ts": at}
        batch = alerts([alert_row(number, **same)])
        book.alerts.add(batch, origin)
    book.episodes.put(episodes(row))
    return row


def counted(book: Casebook, *rows: dict[str, object], findings: tuple[Finding, ...] = ()) -> int:
    if findings:
        book.record(findings)
    items = (*(("episode", str(row["id"])) for row in rows), *(("finding", one.id) for one in findings))
    made = replace(case(1), items=items, first_seen=BASE, last_seen=BASE)
    return len(fields_of(cut(*grounds_of(made, material_of(book, made)))))


@pytest.mark.parametrize(
    ("first", "second", "kinds"),
    [
        (OPEN, OPEN, 1), (OPEN, RELAY, 1), (OPEN, KNOWN, 2), (KNOWN, KNOWN, 2), (OPEN, Origin(), 2),
        (Origin(), Origin(), 2), (None, None, 2), (OPEN, None, 1),
    ],
)  # fmt: skip
def test_two_products_are_two_kinds_if_two_can_have_said_so(
    book: Casebook, first: Origin | None, second: Origin | None, kinds: int
) -> None:
    assert counted(book, told(book, 1, "suricata", first), told(book, 2, "wazuh", second)) == kinds


def test_an_alert_that_came_both_ways_is_nobodys_invention(book: Casebook) -> None:
    rows = told(book, 1, "suricata", OPEN), told(book, 2, "wazuh", OPEN)
    assert counted(book, *rows) == 1
    told(book, 2, "wazuh", KNOWN)  # the very same alert, by the sensor itself
    assert counted(book, *rows) == 2


def test_what_is_not_written_down_counts_as_before_unless_it_can_have_come_through_an_open_port(
    book: Casebook,
) -> None:
    rows = told(book, 1, "suricata", None), told(book, 2, "wazuh", None)
    assert counted(book, *rows) == 2
    told(book, 3, "zeek", OPEN)
    assert counted(book, *rows) == 1
    assert book.alerts.origins.of_episodes(rows) == {str(row["id"]): (UNKNOWN,) for row in rows}


def test_findings_over_contacts_are_as_good_as_their_sources(book: Casebook) -> None:
    found = finding(1, engine="livenet.proxygraph")
    row = told(book, 1, "suricata", OPEN)
    assert counted(book, row, findings=(found,)) == 2
    book.alerts.origins.heard("contact", KNOWN)
    book.alerts.origins.heard("packet", OPEN)
    assert counted(book, row, findings=(found,)) == 2
    book.alerts.origins.heard("contact", OPEN)
    assert counted(book, row, findings=(found,)) == 1, "one sender can have sent both"
    dark = finding(1, engine="darknet.daedalus", subject=("ipv4-addr", "10.0.0.8"))
    assert counted(book, row, findings=(found, dark)) == 2


def test_a_finding_of_screening_is_as_good_as_its_episode(book: Casebook) -> None:
    rows = [told(book, 1, "suricata", OPEN), told(book, 2, "wazuh", KNOWN)]
    for row, forged in zip(rows, (True, False), strict=True):
        attributes = {"product": row["product"], "episode": row["id"]}
        said = finding(1, engine="triage.screening", attributes=attributes, subject=("x", str(row["id"])))
        book.record((said,))
        made = replace(case(1), items=(("finding", said.id),), first_seen=BASE)
        assert bool(material_of(book, made).forgeable) is forged


def test_what_anybody_can_send_is_not_measured_for_acting_alone(book: Casebook) -> None:
    for number, origin in ((1, OPEN), (2, KNOWN)):
        row = told(book, number, f"p{number}", origin)
        made = replace(
            case(number), level="high", items=(("episode", str(row["id"])),), first_seen=BASE, last_seen=BASE
        )
        held = book.cases.create(made, actor="test")
        book.verdicts.add(Verdict(("case", held.id), TRUE, "ito"))
    assert precision_of(book) == {("alerts:p2", "high"): (1, 1)}


def test_a_flood_through_an_open_port_is_asked_quickly(book: Casebook) -> None:
    same = {"product": "suricata", "rule": "r", "host": "pc7"}
    many = alerts([alert_row(n, **same, ts=BASE + n * SECOND // 10) for n in range(20_000)])
    book.alerts.add(many, OPEN)
    row = episode_row(
        1, host="pc7", product="suricata", rule="r", site="", first=BASE, last=BASE + 2000 * SECOND
    )
    with spent() as cost:
        assert book.alerts.origins.of_episodes([row]) == {row["id"]: ("syslog-in",)}
    assert cost.seconds < 0.2  # the rows of seven slots
