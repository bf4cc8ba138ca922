"""``livenet.redirects``: chains rebuilt from referers, redirections and time, judged together, told with their
signs."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from redirect_logs import HOUR, START, contacts, entry, hour, reputation, tunnel

from andon.detect.livenet.redirects import engine
from andon.detect.livenet.redirects.classes import together
from andon.detect.livenet.redirects.kinds import kind_of
from andon.detect.livenet.redirects.lists import Lists
from andon.learn import registry
from andon.records.contract import Site
from andon.run.contract import check_engine

EVIL = "evil.example"
EXE = {"path": "/x/setup.exe", "mime": "application/x-msdownload"}
DRIVE_BY = [
    {"ts": 100.0, "host": "news.example", "path": "/story"},
    {
        "ts": 100.6,
        "host": "tds.example",
        "path": "/go",
        "status": 302,
        "referer": "http://news.example/story",
    },
    {"ts": 100.9, "host": EVIL, "path": "/gate", "referer": "http://news.example/story"},
    {"ts": 101.8, "host": EVIL, "referer": f"http://{EVIL}/gate", **EXE},
]
LURED = [
    {"ts": 200.0, "host": "bit.ly", "path": "/abc", "status": 301},
    {"ts": 200.4, "host": EVIL, "path": "/invoice?u=1"},
    {"ts": 231.0, "host": EVIL, "path": "/invoice/open", "referer": f"http://{EVIL}/invoice?u=1"},
    {"ts": 252.0, "host": EVIL, "referer": f"http://{EVIL}/invoice/open", **EXE},
]


def _site(*entries, **settings):
    return Site(
        models=registry.shipped(),
        reputation=reputation(*entries) if entries else None,
        settings={f"livenet.redirects.{name}": value for name, value in settings.items()},
    )


def _run(rows, *entries, carry=None, ctx=None, **settings):
    one = engine(_site(*entries, **settings))
    return one.conclude(one.summarise(contacts(rows), one.empty()), carry, ctx or hour())


def _chains(outcome):
    return outcome.tables["chains"].drop_columns(["ts"]).to_pylist()


def _hosts(chain):
    return [url.split("/")[0] for url in chain["urls"]]


def test_it_keeps_the_contract():
    rows = [
        {**row, "terminal": f"t{n}", "ts": row["ts"] + 7 * n} for n in range(9) for row in (*DRIVE_BY, *LURED)
    ]
    outcome = check_engine(engine(_site(entry(EVIL))), [contacts(rows[n::4]) for n in range(4)])
    assert outcome.tables["chains"].num_rows == 9 and len(outcome.findings) == 1


def test_a_drive_by_is_told_hop_by_hop():
    outcome = _run(DRIVE_BY, entry(EVIL))
    (chain,) = _chains(outcome)
    assert _hosts(chain) == ["news.example", "tds.example", EVIL, EVIL]
    assert chain["signs"] == ["referer", "status", "referer"] and chain["hops"] == 3
    assert chain["drive_by"] > 0.8 and chain["kind"] == "program"
    (finding,) = outcome.findings
    assert finding.attributes["class"] == "drive-by" and finding.subject == ("domain-name", EVIL)
    assert "news[.]example" in finding.statement and "black list made names it" in finding.statement
    assert "3 hops in" in finding.statement and "That its end is malicious: over 99%" in finding.statement
    assert finding.attributes["prior"] + sum(weight for _, weight in finding.attributes["reasons"]) > 5
    first = next(each.check for each in finding.evidence if each.check is not None)
    assert first.expression.endswith(f"'{EVIL}'")


def test_somebody_who_read_and_clicked_was_lured():
    outcome = _run(LURED, entry(EVIL))
    (chain,) = _chains(outcome)
    assert _hosts(chain)[0] == "bit.ly" and chain["drive_by"] < 0.2
    assert outcome.findings[0].attributes["class"] == "social engineering"


def test_a_location_wins_over_everything():
    rows = [
        {"ts": 10.0, "host": "a.example", "status": 302, "location": f"http://{EVIL}/land"},
        {"ts": 10.5, "host": "other.example", "path": "/busy"},
        {"ts": 11.0, "host": EVIL, "path": "/land", "referer": "http://other.example/busy"},
    ]
    (chain,) = _chains(_run(rows, entry(EVIL)))
    assert (
        _hosts(chain) == ["a.example", EVIL] and chain["signs"] == ["location"] and chain["certainty"] > 0.95
    )


def test_a_relative_location_is_one_of_its_own_host():
    rows = [
        {"ts": 9.0, "host": "start.example", "path": "/s", "status": 302, "location": f"http://{EVIL}/1"},
        {"ts": 9.5, "host": EVIL, "path": "/1", "status": 302, "location": "/2"},
        {"ts": 10.0, "host": EVIL, "path": "/2"},
    ]
    chains = _chains(_run([rows[0], rows[1], {**rows[2], **EXE, "path": "/2"}], entry(EVIL)))
    assert chains[0]["signs"] == ["location", "location"]


def test_of_a_referer_that_names_only_the_site_its_newest_page_is_taken():
    rows = [
        {"ts": 10.0, "host": "forum.example", "path": "/old"},
        {"ts": 40.0, "host": "forum.example", "path": "/new", "referer": "http://forum.example/old"},
        {"ts": 60.0, "host": EVIL, "path": "/x", "referer": "https://forum.example/"},
    ]
    (chain,) = _chains(_run(rows, entry(EVIL)))
    assert chain["urls"] == ["forum.example/new", f"{EVIL}/x"] and chain["signs"] == ["origin"]


def test_without_referers_time_joins_and_says_that_it_guesses():
    rows = [{**row, "referer": None} for row in DRIVE_BY]
    outcome = _run(rows, entry(EVIL))
    (chain,) = _chains(outcome)
    assert _hosts(chain) == ["news.example", "tds.example", EVIL, EVIL]
    assert (
        "time" in chain["signs"] and chain["certainty"] < _chains(_run(DRIVE_BY, entry(EVIL)))[0]["certainty"]
    )


def test_busy_minutes_make_a_guess_less_certain_than_quiet_ones():
    quiet = [{"ts": 10.0, "host": "a.example"}, {"ts": 11.0, "host": EVIL, "path": "/x"}]
    busy = [{"ts": 7.0 + n, "host": f"b{n}.example"} for n in range(4)] + quiet[1:]
    one, other = (_chains(_run(rows, entry(EVIL)))[0]["certainty"] for rows in (quiet, busy))
    assert other < one


def test_a_chain_that_is_all_guess_is_in_the_table_and_no_finding():
    rows = [tunnel(10.0, "a.example"), tunnel(11.0, EVIL)]
    outcome = _run(rows, entry(EVIL))
    assert outcome.tables["chains"].num_rows == 1 and not outcome.findings


def test_a_tunnel_is_a_hop_of_which_the_host_is_known():
    rows = [
        {"ts": 10.0, "host": "a.example", "path": "/p"},
        tunnel(10.8, "tds.example"),
        {"ts": 11.2, "host": EVIL, **EXE},
    ]
    (chain,) = _chains(_run(rows, entry(EVIL)))
    assert _hosts(chain) == ["a.example", "tds.example", EVIL]


def test_a_page_that_the_log_does_not_show_is_named_as_where_it_came_from():
    rows = [
        {"ts": 10.0, "host": "a.example", "path": "/p", "referer": "https://webmail.example/inbox"},
        {"ts": 10.5, "host": EVIL, "referer": "http://a.example/p", **EXE},
    ]
    (chain,) = _chains(_run(rows, entry(EVIL)))
    assert chain["outside"] == "https://webmail.example/inbox" and _hosts(chain)[0] == "a.example"


def test_what_was_read_on_a_site_before_is_not_part_of_the_chain():
    reading = [
        {"ts": 20.0 * n, "host": "news.example", "path": f"/{n}", "referer": f"http://news.example/{n - 1}"}
        for n in range(1, 5)
    ]
    rows = [*reading, {"ts": 80.8, "host": EVIL, "referer": "http://news.example/4", **EXE}]
    (chain,) = _chains(_run(rows, entry(EVIL)))
    assert chain["urls"][0] == "news.example/4" and chain["hops"] == 1


def test_many_users_of_one_page_are_one_finding():
    rows = [{**row, "terminal": f"user{n}", "ts": row["ts"] + 50 * n} for n in range(12) for row in LURED]
    outcome = _run(rows, entry(EVIL))
    (finding,) = outcome.findings
    assert finding.count == 12 and len(finding.attributes["terminals"]) == 12
    assert finding.attributes["class"] == "social engineering"
    assert finding.attributes["class_probability"] > 1 - _chains(outcome)[0]["drive_by"]


def test_chains_go_over_the_boundary_of_an_hour():
    one = engine(_site(entry(EVIL)))
    before = [{**row, "ts": row["ts"] + 3498.5} for row in DRIVE_BY[:2]]
    after = [{**row, "ts": row["ts"] + 3499.5} for row in DRIVE_BY[2:]]
    first = one.conclude(one.summarise(contacts(before), one.empty()), None, hour(0))
    carry = type(first.carry).from_bytes(first.carry.to_bytes())
    second = one.conclude(one.summarise(contacts(after), one.empty()), carry, hour(1))
    (chain,) = _chains(second)
    assert _hosts(chain)[0] == "news.example" and chain["hops"] == 3
    assert not _chains(first)


def test_who_comes_back_by_itself_has_no_second_chain():
    one = engine(_site(entry(EVIL)))
    first = one.conclude(one.summarise(contacts(DRIVE_BY), one.empty()), None, hour(0))
    beacon = [{"ts": 3600 + 30.0 * n, "host": EVIL, "path": "/poll"} for n in range(9)]
    pages = [{"ts": 3600 + 30.0 * n - 0.8, "host": f"site{n}.example"} for n in range(9)]
    second = one.conclude(one.summarise(contacts([*beacon, *pages]), one.empty()), first.carry, hour(1))
    assert first.tables["chains"].num_rows == 1 and second.tables["chains"].num_rows == 0
    other = one.conclude(
        one.summarise(
            contacts([{**row, "terminal": "ben", "ts": row["ts"] + 3600} for row in DRIVE_BY]), one.empty()
        ),
        first.carry,
        hour(1),
    )
    assert other.findings[0].attributes["terminals_before"] == 1


def test_a_program_from_an_unknown_host_is_a_finding_only_with_an_odd_way_there():
    click = [
        {"ts": 10.0, "host": "vendor-portal.example", "path": "/downloads"},
        {
            "ts": 40.0,
            "host": "cdn.vendor-files.example",
            "referer": "http://vendor-portal.example/downloads",
            **EXE,
        },
    ]
    outcome = _run(click)
    assert outcome.tables["chains"].num_rows == 1 and not outcome.findings
    past = pa.table({"destination": ["cdn.vendor-files.example"], "visitors": [40]})
    known = _run(click, ctx=hour(0, past=past)).tables["chains"]["probability"][0].as_py()
    assert known < outcome.tables["chains"]["probability"][0].as_py()
    hit = [
        {"ts": 10.0, "host": "news.example", "path": "/s"},
        {
            "ts": 10.4,
            "host": "a7f.tds-click.example",
            "path": "/r",
            "status": 302,
            "referer": "http://news.example/s",
        },
        {"ts": 10.9, "host": "203.0.113.9", "path": "/g", "referer": "http://news.example/s"},
        {"ts": 11.5, "host": "203.0.113.9", "referer": "http://203.0.113.9/g", **EXE},
    ]
    new = pa.table({"destination": ["news.example"], "visitors": [40]})
    (finding,) = _run(hit, ctx=hour(0, past=new)).findings
    assert finding.subject == ("ipv4-addr", "203.0.113.9") and "no list names" in finding.statement


def test_white_ends_pictures_and_refused_pages_lead_nowhere():
    assert not _chains(_run(DRIVE_BY, entry(EVIL, "white")))
    picture = [DRIVE_BY[0], {"ts": 100.5, "host": EVIL, "path": "/a.png", "mime": "image/png"}]
    assert not _chains(_run(picture, entry(EVIL)))
    blocked = [{**DRIVE_BY[0], "refused": True}, {"ts": 100.5, "host": EVIL, "path": "/x"}]
    assert not _chains(_run(blocked, entry(EVIL)))


def test_terminals_are_not_mixed():
    rows = [
        {"ts": 10.0, "host": "a.example", "terminal": "anna"},
        {"ts": 10.5, "host": EVIL, "path": "/x", "terminal": "ben"},
    ]
    assert not _chains(_run(rows, entry(EVIL)))


def test_beyond_the_cap_whole_terminals_are_left_out_and_it_says_so():
    rows = [{**row, "terminal": f"user{n}", "ts": row["ts"] + n} for n in range(64) for row in DRIVE_BY]
    outcome = _run(rows, entry(EVIL), visits=100)
    assert 0 < outcome.tables["chains"].num_rows <= 25
    assert all(chain["hops"] == 3 for chain in _chains(outcome))
    assert "Only one terminal in" in outcome.findings[0].statement


def test_hostile_texts_pass_through():
    rows = [
        {"ts": 10.0, "host": "a.example", "path": "/" + "x" * 5000, "terminal": "o'b\x1b[31m"},
        {"ts": 10.5, "host": EVIL, "path": "/';--\u202e.exe", "referer": "http://[::1", "location": "::::",
         "terminal": "o'b\x1b[31m"},
        {"ts": 11.0, "host": EVIL, "path": "/\U0001f600" * 600, "terminal": "o'b\x1b[31m", "status": -1,
         "duration": -1},
    ]  # fmt: skip
    outcome = _run(rows, entry(EVIL))
    for finding in outcome.findings:
        text = finding.to_json()
        assert "\x1b" not in text and "\u202e" not in text


def test_colours_follow_the_rules_of_the_lists():
    lists = Lists(
        reputation(
            entry("bad.example", kind="domain"), entry("good.bad.example", "white", "domain"),
            entry("10.9.0.0/16", kind="prefix"), entry("port.example", port=8080),
            entry("top.example", "white", rank=5),
            entry("far.example", "white", rank=900_000), entry("url.example/x", kind="url"),
        )
    )  # fmt: skip
    colours = {host: lists.of(host, 80)[0] for host in (
        "a.bad.example", "good.bad.example", "x.good.bad.example", "10.9.1.2", "10.8.1.2", "port.example",
        "top.example", "far.example", "notbad.example",
    )}  # fmt: skip
    assert colours == {
        "a.bad.example": "black", "good.bad.example": "white", "x.good.bad.example": "white", "10.9.1.2": "black",
        "10.8.1.2": "gray", "port.example": "gray", "top.example": "white", "far.example": "gray",
        "notbad.example": "gray",
    }  # fmt: skip
    assert lists.of("port.example", 8080)[0] == "black"
    assert lists.url("url.example", "/x?y=1") == "made" and not lists.url("url.example", "/y")


@pytest.mark.parametrize(
    ("path", "mime", "kind"),
    [("/a.exe", "", "program"), ("/a.exe", "text/html", "page"), ("/x", "application/x-dosexec", "program"),
     ("/a.zip?x=1", "application/octet-stream", "archive"), ("/go?to=example.com", "", "page"),
     ("/doc.pdf", "", "document"), ("/", "", "page")],
)  # fmt: skip
def test_kinds_of_what_is_fetched(path, mime, kind):
    assert kind_of(path, mime, True) == kind


def test_together_many_agree_more_than_one_but_not_without_bound():
    one, many, lots = (together([1.0] * n, [0.9] * n) for n in (1, 5, 500))
    assert one < many < lots < 0.96
    assert together([-2.0, 2.0], [0.9, 0.1]) < 0.5


def test_time_of_the_summary_is_that_of_the_log():
    assert START % HOUR == 0
    table = engine(_site(entry(EVIL))).summarise(contacts(DRIVE_BY), engine(_site()).empty()).table()
    assert (np.diff(table["ts"].to_numpy()) >= 0).all() and table.num_rows == 4
