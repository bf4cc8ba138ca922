"""Wrong entries, scanners and poisoning: what each may do at most."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from proxygraph_worlds import BEGIN, DAY, NANO, concluded, joined, number, plain, small, world

from andon.detect.livenet.proxygraph import engine
from andon.records.contract import Context, Outcome, Site
from andon.records.finding import Finding

MADE = small(seed=6, campaigns=8)
CLEAN = np.flatnonzero(MADE.campaign < 0)


def certain(outcome: Outcome[object]) -> set[int]:
    return {number(row["terminal"]) for row in plain(outcome.tables["terminals"]) if row["certain"]}


def right(outcome: Outcome[object], most: int = 20) -> float:
    kinds = [
        MADE.kind[n] if (n := number(row["destination"])) < len(MADE.kind) else 0
        for row in plain(outcome.tables["gray"])
    ]
    return float(np.mean(np.array(kinds[:most]) >= world.COMPROMISED))


def doubted(outcome: Outcome[object]) -> list[Finding]:
    return [f for f in outcome.findings if "doubted" in f.attributes]


REFERENCE = concluded(MADE)


def test_a_content_network_on_the_black_list_infects_nobody() -> None:
    """400 of 500 terminals go there all day."""
    new = len(MADE.kind)
    rows = [
        (int(u), new, 40, 3600 + 60 * int(u), 2 * DAY)
        for u in np.r_[CLEAN[:380], np.flatnonzero(MADE.campaign >= 0)[:20]]
    ]
    outcome = concluded(joined(MADE, rows, world.BLACK, names=1))
    assert certain(outcome) == certain(REFERENCE)
    (finding,) = doubted(outcome)
    assert finding.subject[1] == f"d{new}.example" and finding.attributes["doubted"] == "crowded"
    assert "proves nothing" in finding.statement and finding.severity == "low"
    assert right(outcome) >= right(REFERENCE) - 0.1


def test_an_outbreak_that_other_contacts_show_is_no_content_network() -> None:
    """60 terminals at one black destination; half of them also at others."""
    new = len(MADE.kind)
    sick = CLEAN[:60].tolist()
    rows = [(u, new, 200, 3600, 2 * DAY) for u in sick]
    rows += [(u, new + 1 + i % 3, 20, 3700, 2 * DAY) for i, u in enumerate(sick[:30])]
    outcome = concluded(joined(MADE, rows, world.BLACK, names=4))
    assert not doubted(outcome)
    assert set(sick) <= certain(outcome)


def test_a_forced_fetch_of_a_black_image_infects_nobody() -> None:
    """An e-mail makes 40 clean terminals fetch a black URL once."""
    new = len(MADE.kind)
    rows = [(u, new, 1, 40_000 + 30 * i, 40_000 + 30 * i) for i, u in enumerate(CLEAN[:40].tolist())]
    outcome = concluded(joined(MADE, rows, world.BLACK, names=1))
    assert certain(outcome) == certain(REFERENCE)
    (finding,) = doubted(outcome)
    assert finding.attributes["doubted"] == "fetched"
    told = {number(f.subject[1]) for f in outcome.findings if f.kind == "suspected-terminal"}
    assert not told & set(CLEAN[:40].tolist())


def test_a_fetch_by_fewer_terminals_is_told_but_the_model_believes_it_little() -> None:
    """Below the number at which an entry is doubted the rule of the fresh entry holds; the probability tells."""
    new = len(MADE.kind)
    victims = CLEAN[:8].tolist()
    rows = [(u, new, 1, 40_000 + 30 * i, 40_000 + 30 * i) for i, u in enumerate(victims)]
    outcome = concluded(joined(MADE, rows, world.BLACK, names=1))
    findings = {number(f.subject[1]): f for f in outcome.findings if f.kind == "infected-terminal"}
    for u in set(victims) & findings.keys():
        assert findings[u].confidence < 0.5 and findings[u].severity == "medium"
        assert "once only" in findings[u].statement
    harmed = {number(f.subject[1]) for f in outcome.findings if f.kind == "suspected-terminal"} & set(
        CLEAN.tolist()
    )
    before = {number(f.subject[1]) for f in REFERENCE.findings if f.kind == "suspected-terminal"} & set(
        CLEAN.tolist()
    )
    assert len(harmed - before) <= 1


@pytest.mark.parametrize("visitors", [12, 60])
def test_infected_terminals_frame_no_site_that_more_others_visit_than_they_are(visitors: int) -> None:
    """All 39 infected terminals go, on command, to a gray site: of 10 clean visitors, and of some 55."""
    count = np.bincount(MADE.destination, minlength=len(MADE.kind))
    kind = world.NICHE if visitors == 12 else world.WEB
    sites = np.flatnonzero(MADE.kind == kind)
    site = int(sites[np.argmin(abs(count[sites] - visitors))])
    colour = MADE.colour.copy()
    colour[site] = world.GRAY
    guests = set(MADE.terminal[MADE.destination == site].tolist())
    sick = set(np.flatnonzero(MADE.campaign >= 0).tolist())
    assert len(sick) == 39 and (len(guests - sick) == 10 or len(guests - sick) > 50)
    outcome = concluded(
        joined(
            replace(MADE, colour=colour),
            [(u, site, 1, 50_000 + u, 50_000 + u) for u in sorted(sick - guests)],
        )
    )
    framed = {row["destination"]: row["probability"] for row in plain(outcome.tables["gray"])}
    if visitors == 60:
        assert framed.get(f"d{site}.example", 0.0) < 0.5
    # What it costs where four of five visitors are infected indeed: the site is suspected, its guests hardly are.
    told, before = (
        {
            number(f.subject[1])
            for f in one.findings
            if f.kind == "suspected-terminal" and f.severity == "medium"
        }
        for one in (outcome, REFERENCE)
    )
    assert len((told - before) & (guests - sick)) <= 2
    assert right(outcome, 30) >= right(REFERENCE, 30) - 0.1


def _with_lists(tables: dict[str, pa.Table], families: int) -> dict[str, pa.Table]:
    """Black entries of as many families, added long ago."""
    table = tables["livenet.edges:destinations"]
    lists = [
        [f"feed/family-{number(name) % families} since 2020-01-01: domain {name}"]
        if colour == "black"
        else []
        for name, colour in zip(table["destination"].to_pylist(), table["colour"].to_pylist(), strict=True)
    ]
    servers = [[f"198.51.100.{number(name) % 200}"] for name in table["destination"].to_pylist()]
    columns = {"lists": lists, "servers": servers}
    for name, values in columns.items():
        at = table.schema.get_field_index(name)
        table = table.set_column(at, table.schema.field(name), pa.array(values, pa.list_(pa.string())))
    at = table.schema.get_field_index("fresh")
    table = table.set_column(at, table.schema.field("fresh"), pa.array([False] * table.num_rows))
    return tables | {"livenet.edges:destinations": table}


def _run(tables: dict[str, pa.Table], site: Site | None = None) -> Outcome[object]:
    of = engine(site or Site())
    return of.conclude(of.empty(), None, Context("1d", BEGIN * NANO, (BEGIN + 3 * DAY) * NANO, tables=tables))


def scanning(touched: int = 40, own: int = 30) -> tuple[object, int]:
    """A terminal that asks for ``touched`` black destinations, once each."""
    new, u = len(MADE.kind), int(CLEAN[5])
    rows = [(u, new + i, 1, 1000 + 4000 * i, 1000 + 4000 * i) for i in range(touched)]
    return joined(MADE, rows, world.BLACK, names=touched), u


def test_a_scanner_of_many_families_is_clean_and_spreads_no_guilt() -> None:
    made, u = scanning()
    outcome = _run(_with_lists(world.tables_of(made), families=12))
    row = next(row for row in plain(outcome.tables["terminals"]) if number(row["terminal"]) == u)
    assert row["clean"] and not row["certain"] and row["probability"] == 0
    assert "12 families" in row["why"]
    assert not any(number(f.subject[1]) == u for f in outcome.findings if f.subject[0] == "user-account")


def test_a_mail_gateway_without_a_user_is_clean_by_a_list_without_families() -> None:
    made, u = scanning()
    tables = world.tables_of(made)
    people = tables["livenet.edges:terminals"]
    users = [[] if number(name) == u else [name] for name in people["terminal"].to_pylist()]
    at = people.schema.get_field_index("users")
    tables["livenet.edges:terminals"] = people.set_column(
        at, people.schema.field("users"), pa.array(users, pa.list_(pa.string()))
    )
    outcome = _run(tables)
    row = next(row for row in plain(outcome.tables["terminals"]) if number(row["terminal"]) == u)
    assert row["clean"] and "without a user" in row["why"]


def test_an_infected_terminal_with_many_names_of_a_family_is_no_scanner() -> None:
    made, u = scanning()
    outcome = _run(_with_lists(world.tables_of(made), families=1))
    row = next(row for row in plain(outcome.tables["terminals"]) if number(row["terminal"]) == u)
    assert not row["clean"] and row["probability"] > 0.9


def test_a_terminal_on_a_list_of_the_operator_is_clean() -> None:
    sick = int(MADE.terminal[MADE.colour[MADE.destination] == world.BLACK][0])
    address = f"10.0.{sick >> 8}.{sick & 255}"
    listed = pa.table({"cidr": [f"{address}/32", "no prefix"], "organisation": ["own scanner", ""]})
    outcome = concluded(MADE, site=Site(lists={"scanners": listed}))
    row = next(row for row in plain(outcome.tables["terminals"]) if number(row["terminal"]) == sick)
    assert row["clean"] and row["why"] == "in the list scanners"
    assert sick not in certain(outcome)


def test_the_default_wants_two_independent_contacts_or_a_fresh_entry_and_any_wants_one() -> None:
    old = _with_lists(world.tables_of(MADE), families=5)
    default, plainly = _run(old), _run(old, Site(settings={"livenet.proxygraph.proof": "any"}))
    black = MADE.colour[MADE.destination] == world.BLACK
    touched = set(MADE.terminal[black].tolist())
    assert certain(plainly) == touched
    assert certain(REFERENCE) == touched  # all entries are fresh there
    independent = set()
    for u in touched:
        mine = np.unique(MADE.destination[black & (MADE.terminal == u)])
        if any(a % 5 != b % 5 and a % 200 != b % 200 for a in mine for b in mine):
            independent.add(u)
    assert certain(default) == independent and independent < touched
    told = {number(f.subject[1]): f for f in default.findings if f.kind == "suspected-terminal"}
    once = [f for u, f in told.items() if u in touched - independent]
    assert once and all("plain rule" in f.statement for f in once)
    proofs = {f.attributes["why"] for f in default.findings if f.kind == "infected-terminal"}
    assert proofs == {"two independent contacts to black"}
