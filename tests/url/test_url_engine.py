"""``livenet.url``: distinct URLs scored once, hosts and suspicious URLs in bounded tables, findings few."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from url_contacts import DAY, START, contacts

from andon.detect.livenet.url import engine
from andon.detect.livenet.url.evidence import MOST
from andon.learn import registry
from andon.records.contract import Context, Site
from andon.records.livenet import DESTINATIONS
from andon.run.contract import check_engine

LURE = ("metamask-login-secure.webflow.io", "/verify/wallet-connect/index.php")


def _site(**settings):
    return Site(
        models=registry.shipped(), settings={f"livenet.url.{name}": value for name, value in settings.items()}
    )


def _browsing(many=1500, seed=3):
    """Harmless visits of 40 terminals."""
    draw = np.random.default_rng(seed)
    words = [
        "garden",
        "museum",
        "cycling",
        "river",
        "school",
        "library",
        "cooking",
        "weather",
        "history",
        "music",
    ]
    rows = []
    for n in range(many):
        a, b, c = (words[k] for k in draw.integers(0, 10, 3))
        rows.append(
            {"ts": float(draw.random() * 86_000), "terminal": f"user{draw.integers(40)}",
             "host": f"www.{a}{b}{n % 150}.org",
             "path": f"/{c}/{a}-{n % 300}.html"}
        )  # fmt: skip
        if n % 5 == 0:
            rows.append({**rows[-1], "via": "tunnel", "path": "", "host": f"{b}{n % 60}.net"})
    return rows


def _context(day=0, **tables):
    start = START + day * DAY
    return Context(
        "1d",
        start,
        start + DAY,
        tables={f"livenet.{name}:destinations": table for name, table in tables.items()},
    )


def _destinations(rows):
    given = {
        "domain": "", "is_address": False, "colour": "gray", "lists": [], "fresh": False, "servers": [], "ports": [],
        "visitors": 1, "count": 1, "bytes_in": 0, "bytes_out": 0, "first_seen": START, "age_known": True,
        "no_referer": 0, "referers": 0, "rare_agent": 0, "agents": 0, "untitled": 0, "domain_seen": START, "folded": 0,
    }  # fmt: skip
    full = [{**given, **row} for row in rows]
    return pa.table(
        [
            pa.array(
                [row[each.name] for row in full],
                pa.int64() if pa.types.is_timestamp(each.type) else each.type,
            ).cast(each.type)
            for each in DESTINATIONS
        ],
        schema=DESTINATIONS,
    )


def _concluded(rows, site=None, carry=None, ctx=None):
    one = engine(site or _site())
    summary = one.summarise(contacts(rows), one.empty())
    return one.conclude(summary, carry, ctx or _context())


def test_it_keeps_the_contract():
    rows = [
        *_browsing(400),
        *({"ts": n * 60.0, "terminal": f"u{n}", "host": LURE[0], "path": LURE[1]} for n in range(3)),
    ]
    parts = [contacts(rows[n::3]) for n in range(3)]
    outcome = check_engine(engine(_site(hosts=60, suspects=5)), parts)
    assert outcome.tables["hosts"].num_rows <= 60 and outcome.tables["urls"].num_rows <= 5


def test_a_lure_among_harmless_urls_is_found_with_its_visitors_and_reasons():
    lure = [
        {"ts": 4000.0 + n, "terminal": f"user{n % 2}", "host": LURE[0], "path": LURE[1]} for n in range(4)
    ]
    outcome = _concluded([*_browsing(), *lure, {**lure[0], "refused": True}])
    (finding,) = outcome.findings
    assert finding.kind == "suspected-url" and finding.subject == ("url", LURE[0] + LURE[1])
    assert finding.count == 5 and finding.attributes["terminals"] == ["user0", "user1"]
    assert 0 < finding.confidence < 0.9 and finding.attributes["reasons"]
    assert "[.]webflow[.]io" in finding.statement and LURE[0] not in finding.statement
    assert "2 terminals asked for it 5 times, of which the proxy refused 1" in finding.statement
    assert "e-0" not in finding.statement and "what the terminals did next" in finding.statement
    row = outcome.tables["urls"].slice(0, 1).select(["url", "contacts", "refused", "visitors"]).to_pylist()[0]
    assert row == {"url": LURE[0] + LURE[1], "contacts": 5, "refused": 1, "visitors": 2}


def test_a_day_of_harmless_urls_raises_nothing():
    assert _concluded(_browsing(3000)).findings == ()


def test_names_alone_never_convict():
    rows = [
        {"ts": float(n), "terminal": "u", "host": f"{LURE[0]}", "path": f"{LURE[1]}?{n}"} for n in range(50)
    ]
    hosts = _concluded([*_browsing(), *rows]).tables["hosts"]
    odds = dict(zip(hosts["destination"].to_pylist(), hosts["log_odds"].to_pylist(), strict=True))
    assert 0 < odds[LURE[0]] <= MOST
    assert min(odds.values()) == 0.0  # a harmless name is no innocence either
    # Log-odds of -9.2 (one in 10,000) and the bound: below 1 %.
    assert 1 / (1 + np.exp(9.2 - MOST)) < 0.01


def test_an_organisation_whose_names_are_all_odd_is_not_full_of_suspects():
    rows = [
        {
            "ts": n * 10.0,
            "terminal": f"u{n % 9}",
            "host": f"login-secure-{n}.pages.dev",
            "path": "/verify/index.php",
        }
        for n in range(400)
    ]
    outcome = _concluded(rows)
    assert np.median(outcome.tables["hosts"]["log_odds"].to_numpy()) < 0.2
    assert len(outcome.findings) <= 0.01 * 400  # what TOLERATED lets through


def test_white_hosts_count_nothing_and_black_ones_raise_nothing_here():
    lure = {"ts": 4000.0, "terminal": "u", "host": LURE[0], "path": LURE[1]}
    for colour in ("white", "black"):
        edges = _destinations([{"destination": LURE[0], "colour": colour}])
        outcome = _concluded([*_browsing(), lure], ctx=_context(edges=edges))
        assert not outcome.findings
        assert (LURE[0] in outcome.tables["hosts"]["destination"].to_pylist()) == (colour == "black")


def test_names_that_edges_folded_have_the_colour_of_their_domain():
    edges = _destinations([{"destination": "*.lure.co.uk", "colour": "white"}])
    rows = [*_browsing(200), {"ts": 1.0, "terminal": "u", "host": "metamask-login.lure.co.uk", "path": ""}]
    outcome = _concluded(rows, ctx=_context(edges=edges))
    assert "metamask-login.lure.co.uk" not in outcome.tables["hosts"]["destination"].to_pylist()


def test_what_many_visit_is_no_finding():
    rows = [{"ts": float(n), "terminal": f"user{n}", "host": LURE[0], "path": LURE[1]} for n in range(60)]
    assert not _concluded([*_browsing(), *rows]).findings


def test_of_tunnels_the_host_is_scored():
    rows = [
        *_browsing(300),
        {"ts": 1.0, "terminal": "u", "host": LURE[0], "path": "", "via": "tunnel", "method": "CONNECT"},
    ]
    hosts = _concluded(rows).tables["hosts"]
    row = next(row for row in hosts.to_pylist() if row["destination"] == LURE[0])
    assert row["url"] == LURE[0] and row["score"] > 0.9 and row["urls"] == 1


def test_distinct_urls_are_estimated_and_repeats_do_not_count():
    rows = [{"ts": float(n), "terminal": "u", "host": "a.example", "path": f"/{n % 8}"} for n in range(4000)]
    rows += [{"ts": float(n), "terminal": "u", "host": "b.example", "path": f"/{n}"} for n in range(4000)]
    hosts = {row["destination"]: row["urls"] for row in _concluded(rows).tables["hosts"].to_pylist()}
    assert 6 <= hosts["a.example"] <= 10 and 2200 < hosts["b.example"] < 5800


def test_a_suspicious_host_is_remembered_for_days_and_then_forgotten():
    one = engine(_site(remembered_days=5))
    lure = {"ts": 4000.0, "terminal": "u", "host": LURE[0], "path": LURE[1]}
    first = one.conclude(one.summarise(contacts([*_browsing(), lure]), one.empty()), None, _context())
    carry = type(first.carry).from_bytes(first.carry.to_bytes())
    later = one.conclude(one.empty(), carry, _context(day=3))
    row = next(row for row in later.tables["hosts"].to_pylist() if row["destination"] == LURE[0])
    assert row["url"] == LURE[0] + LURE[1] and row["log_odds"] > 1
    assert (
        later.tables["hosts"].num_rows < 0.05 * first.tables["hosts"].num_rows
    )  # the others are not worth it
    gone = one.conclude(one.empty(), later.carry, _context(day=30))
    assert gone.tables["hosts"].num_rows == 0 and len(gone.carry) == 0


def test_without_a_model_it_says_nothing():
    outcome = _concluded(_browsing(50), site=Site())
    assert outcome.tables["hosts"].num_rows == 0 and not outcome.findings


def test_hostile_names_pass_through():
    rows = [
        {"ts": 1.0, "terminal": "it's\x1b[2J", "host": "it's-login-metamask.webflow.io",
         "path": "/';DROP TABLE x;--/login.php"},
        {"ts": 2.0, "terminal": "u", "host": "\u202emoc.example", "path": "/" + "\U0001f600" * 900},
        {"ts": 3.0, "terminal": "u", "host": "", "path": ""},
    ]  # fmt: skip
    outcome = _concluded([*_browsing(300), *rows])
    assert outcome.tables["hosts"].num_rows > 100
    for finding in outcome.findings:
        assert "\x1b" not in finding.to_json()


@pytest.mark.parametrize(("name", "value"), [("false_alarms", 0), ("hosts", 0), ("findings", -1)])
def test_settings_that_make_no_sense_are_refused(name, value):
    with pytest.raises(ValueError, match=f"livenet.url.{name}"):
        engine(_site(**{name: value}))
