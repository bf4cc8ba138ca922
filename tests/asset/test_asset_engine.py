"""What may be said of a device, what only of an address, and what not at all."""

from __future__ import annotations

import json

import asset_world as w
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from andon.detect.darknet.asset import engine
from andon.detect.darknet.asset.holders import NOBODY, SEVERAL, Holders
from andon.detect.darknet.asset.meaning import DOES_NOT, FITS, NOT_SAID, Family
from andon.detect.darknet.asset.seen import Seen
from andon.records import joint
from andon.records.contract import Organisation, Site
from andon.run.contract import check_engine
from andon.sketch.state import StateError

A, B, C = "192.0.2.1", "192.0.2.2", "198.51.100.7"
LEASE = w.asset(A, "cam-1", 0, 3 * w.DAY)
THREE = [w.sighting(A, w.HOUR * n) for n in (1, 2, 3)]


def _day(
    sightings: list[dict[str, object]] | None = None, **more: list[dict[str, object]]
) -> dict[str, object]:
    return w.tables(sightings=sightings or [], links=[w.link()], **more)  # type: ignore[return-value]


def test_nothing_to_do_without_a_list() -> None:
    assert engine(Site()) is None
    assert engine(w.site([])) is None


def test_a_lease_makes_it_a_device() -> None:
    (finding,) = w.told(w.run(w.site([LEASE]), [_day(THREE)]))
    a = finding.attributes
    assert (a["level"], a["asset"], a["address"], a["family"]) == ("device", "cam-1", A, "SATORI")
    assert finding.subject == ("asset", "cam-1")
    assert finding.kind == "asset-suspected-infected"
    assert finding.severity == "high"
    assert a["links"] == [f"link-{w.FINGERPRINT}-SATORI"]
    assert a["fingerprint"] == w.FINGERPRINT
    assert 0.9 < finding.confidence < 1
    assert "IP Camera Hikvision DS-2CD" in finding.statement


def test_without_a_lease_it_is_about_the_address() -> None:
    for row in (
        w.asset(A, "cam-1"),
        w.asset(A, "cam-1", None, w.DAY, basis="lease"),
        w.asset(A, "", 0, w.DAY),
    ):
        (finding,) = w.told(w.run(w.site([row]), [_day(THREE)]))
        assert finding.attributes["level"] == "address"
        assert finding.attributes["asset"] == ""
        assert finding.subject == ("ipv4-addr", A)
        assert "about the address" in finding.statement


def test_an_address_that_was_leased_at_another_time_only_is_nobodys_concern() -> None:
    gone = w.asset(A, "cam-1", -5 * w.DAY, -2 * w.DAY)
    assert w.told(w.run(w.site([gone]), [_day(THREE)])) == []
    provider = Organisation("Provider", ("192.0.2.0/24",))
    (finding,) = w.told(w.run(w.site([gone], [provider]), [_day(THREE)]))
    assert (finding.attributes["level"], finding.attributes["organisation"]) == ("address", "Provider")


def test_an_inventory_and_a_dhcp_server_that_know_one_system_by_two_names() -> None:
    mac = "00:11:22:33:44:55"
    by_host = [
        LEASE,
        w.asset(A, mac, 0, 3 * w.DAY, mac=mac, hostname="cam-1", device="", vendor="", product=""),
    ]
    by_mac = [{**LEASE, "mac": mac}, w.asset(A, mac, 0, 3 * w.DAY, mac=mac)]
    for rows in (by_host, by_mac, by_mac[::-1]):
        (finding,) = w.told(w.run(w.site(rows), [_day(THREE)]))
        assert (finding.attributes["level"], finding.attributes["asset"]) == ("device", "cam-1")


def test_a_lease_that_does_not_cover_every_sighting_is_no_proof() -> None:
    late = [*THREE, w.sighting(A, 5 * w.HOUR)]
    (finding,) = w.told(w.run(w.site([w.asset(A, "cam-1", 0, 4 * w.HOUR)]), [_day(late)]))
    assert finding.attributes["level"] == "address"
    assert finding.attributes["sightings"] == 4  # those in the lease and that without it
    across = [w.sighting(A, w.HOUR, packets=9, last=5 * w.HOUR)]
    (finding,) = w.told(w.run(w.site([w.asset(A, "cam-1", 0, 4 * w.HOUR)]), [_day(across)]))
    assert finding.attributes["level"] == "address"


def test_two_systems_with_the_address_at_once_are_no_device() -> None:
    rows = [LEASE, w.asset(A, "nas-2", 0, w.DAY)]
    (finding,) = w.told(w.run(w.site(rows), [_day(THREE)]))
    assert finding.attributes["level"] == "address"
    assert finding.attributes["shared"] == 2
    assert "Leases of several systems" in finding.statement


def test_marks_that_follow_the_system_to_its_next_address_are_its_own() -> None:
    rows = [w.asset(A, "cam-1", 0, w.DAY), w.asset(B, "cam-1", w.DAY + 1, 2 * w.DAY)]
    first = [w.sighting(A, w.HOUR), w.sighting(A, 2 * w.HOUR)]
    second = [w.sighting(B, w.DAY + w.HOUR)]
    outcomes = w.run(w.site(rows), [_day(first), _day(second)])
    assert outcomes[0].findings == ()  # two sightings are not enough
    (finding,) = outcomes[1].findings
    assert finding.attributes["level"] == "device"
    assert finding.attributes["leases"] == 2
    assert finding.attributes["addresses"] == [B, A]
    assert finding.confidence > 0.97


def test_one_finding_with_revisions_and_not_one_a_day() -> None:
    days = [_day([w.sighting(A, d * w.DAY + w.HOUR * n) for n in (1, 2, 3)]) for d in range(12)]
    outcomes = w.run(w.site([{**LEASE, "valid_to": w.START + 20 * w.DAY}]), days)
    findings = w.told(outcomes)
    # Twice as many are news a week later, and eight times as many.
    assert [(len(outcome.findings)) for outcome in outcomes] == [1, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0]
    assert [finding.revision for finding in findings] == [1, 2]
    assert len({finding.id for finding in findings}) == 1
    assert findings[1].attributes["sightings"] == 24
    suspects = outcomes[-1].tables["suspects"].to_pylist()
    assert [(row["asset"], row["packets"], row["series"]) for row in suspects] == [
        ("cam-1", 36, findings[0].series)
    ]


def test_what_goes_on_without_growing_is_not_told_again() -> None:
    first = [w.sighting(A, w.HOUR * n) for n in range(1, 21)]
    days = [_day(first), *(_day([w.sighting(A, d * w.DAY + w.HOUR)]) for d in range(1, 15))]
    outcomes = w.run(w.site([{**LEASE, "valid_to": w.START + 20 * w.DAY}]), days)
    assert [len(outcome.findings) for outcome in outcomes] == [1] + [0] * 14


def test_another_address_and_another_class_of_probability_are_news_at_once() -> None:
    rows = [w.asset(A, "cam-1", 0, w.DAY), w.asset(B, "cam-1", w.DAY + 1, 2 * w.DAY)]
    second = _day([w.sighting(B, w.DAY + w.HOUR)])
    one, two = w.told(w.run(w.site(rows), [_day(THREE), second]))
    assert (one.series, two.revision, two.attributes["address"]) == (two.series, 2, B)
    steady = w.site([LEASE])
    more = [w.sighting(A, w.DAY + w.HOUR)]
    unsure = w.tables(sightings=THREE, links=[w.link(probability=0.7)])
    one, two = w.told(w.run(steady, [unsure, _day(more)]))
    assert (two.revision, two.confidence > one.confidence + 0.2) == (2, True)
    nearly = w.tables(sightings=more, links=[w.link(probability=0.72)])
    assert len(w.told(w.run(steady, [unsure, nearly]))) == 1


def test_one_session_at_an_address_that_does_not_fit_is_doubtful() -> None:
    printer = w.asset(A, "p", device="Printer", vendor="HP", product="LaserJet")
    camera = w.asset(A, "c")
    session = [w.session(A, w.HOUR)]
    page = [w.page()]
    (doubtful,) = w.told(w.run(w.site([printer]), [w.tables(sessions=session, profiles=page)]))
    (fits,) = w.told(w.run(w.site([camera]), [w.tables(sessions=session, profiles=page)]))
    (seen,) = w.told(w.run(w.site([printer]), [_day(THREE, sessions=session, profiles=page)]))
    assert [f.severity for f in (doubtful, fits, seen)] == ["medium", "high", "high"]
    assert doubtful.confidence < seen.confidence - 0.1 < fits.confidence
    assert "in 1 session at honeypots" in doubtful.statement
    assert "1 session of a bot" in str(doubtful.to_dict()["evidence"])


def test_times_in_texts_are_of_seconds() -> None:
    rows = [{**row, "first": row["first"] + 123_456_789} for row in THREE]  # type: ignore[operator]
    (finding,) = w.told(w.run(w.site([LEASE]), [_day(rows)]))
    texts = [finding.statement, *(item.statement for item in finding.evidence)]
    assert "2026-03-01T01:00:00Z" in finding.statement
    assert not any("0.1" in text.replace("probability 0.", "") for text in texts)
    assert finding.first_seen % 10**9 == 123_456_789


def test_a_link_found_later_tells_of_what_was_seen_before() -> None:
    empty = w.tables(sightings=THREE)
    outcomes = w.run(w.site([LEASE]), [empty, w.tables(links=[w.link()])])
    assert outcomes[0].findings == ()
    (finding,) = outcomes[1].findings
    assert finding.last_seen < w.START + w.DAY
    assert all(item.check is None for item in finding.evidence)  # nothing of it is in the day's table


def test_a_family_that_gets_a_name_stays_the_same_finding() -> None:
    first = w.tables(sightings=THREE, links=[w.link(kind=joint.CREDENTIAL, value="root:x")])
    more = [w.sighting(A, w.DAY + w.HOUR * n) for n in range(1, 8)]
    second = w.tables(sightings=more, links=[w.link()], profiles=[w.page("SATORI")])
    one, two = w.told(w.run(w.site([LEASE]), [first, second]))
    assert one.attributes["family"].startswith("malware of fingerprint")
    assert two.attributes["family"] == "SATORI"
    assert (one.series, one.id, two.revision) == (two.series, two.id, 2)


def test_two_families_on_one_system_are_two_findings() -> None:
    both = [*THREE, *(w.sighting(A, w.HOUR * n, w.OTHER, 80) for n in (4, 5, 6))]
    links = [w.link(), w.link(w.OTHER, "MOZI")]
    findings = w.told(w.run(w.site([LEASE]), [w.tables(sightings=both, links=links)]))
    assert {finding.attributes["family"] for finding in findings} == {"SATORI", "MOZI"}
    assert len({finding.series for finding in findings}) == 2


def test_ports_alone_do_not_make_a_second_story() -> None:
    sets = [{"src": w.number(A), "ports": "7547,5555"}]
    plain = [w.sighting(A, w.HOUR * n, "", 7547) for n in (4, 5, 6)]
    pages = [w.page(), w.page("OTHER", fingerprints=[], tokens=[], port_sets=["7547,5555"])]
    day = w.tables(sightings=[*THREE, *plain], portsets=sets, profiles=pages)
    (finding,) = w.told(w.run(w.site([LEASE]), [day]))
    assert finding.attributes["family"] == "SATORI"
    day = w.tables(sightings=plain, portsets=sets, profiles=pages)
    (finding,) = w.told(w.run(w.site([LEASE]), [day]))
    assert finding.attributes["family"] == "OTHER"
    assert finding.attributes["port_sets"] == ["7547,5555"]
    assert finding.confidence < 0.95


def test_a_honeypot_session_is_evidence_and_a_loaders_is_none() -> None:
    where = w.site([LEASE])
    (finding,) = w.told(w.run(where, [w.tables(sessions=[w.session(A, w.HOUR)])]))
    assert finding.attributes["sessions"] == 1
    assert finding.attributes["family"] == "SATORI"
    for role in (joint.LOADER, joint.SURVEY, joint.RELAY, joint.UNKNOWN, joint.PERSON):
        assert w.told(w.run(where, [w.tables(sessions=[w.session(A, w.HOUR, role)])])) == []


def test_a_session_and_a_fingerprint_of_one_family_are_one_finding() -> None:
    day = w.tables(
        sightings=THREE, sessions=[w.session(A, 4 * w.HOUR)], behaviours=[w.behaviour("h/1", "SATORI")],
        links=[w.link()],
    )  # fmt: skip
    (finding,) = w.told(w.run(w.site([LEASE]), [day]))
    assert (finding.attributes["sightings"], finding.attributes["sessions"]) == (3, 1)
    assert finding.attributes["behaviours"] == ["token SATORI"]


def test_survey_organisations_and_public_tools_are_no_infections() -> None:
    where = w.site([LEASE])
    surveys = [{"src": w.number(A), "purpose": "survey"}]
    assert w.told(w.run(where, [_day(THREE, purposes=surveys)])) == []
    tool = [w.sighting(A, w.HOUR * n, "ZMAP") for n in (1, 2, 3)]
    day = w.tables(sightings=tool, links=[w.link("ZMAP")])
    outcomes = w.run(where, [day])
    assert w.told(outcomes) == []
    said = dict(zip(*outcomes[0].tables["coverage"].to_pydict().values(), strict=True))
    assert said["sightings with a tool that anybody may use"] == 3
    import pyarrow as pa

    listed = Site(
        assets=where.assets, lists={"scanners": pa.table({"cidr": ["192.0.2.0/28"], "organisation": ["x"]})}
    )
    assert w.told(w.run(listed, [_day(THREE)])) == []


def test_many_fingerprints_behind_an_address_are_said_to_be_many_devices() -> None:
    prints = [f"tcp.window == {n}" for n in range(1, 5)]
    rows = [w.sighting(A, w.HOUR * n, text) for text in prints for n in (1, 2, 3)]
    links = [w.link(text, f"T{n}") for n, text in enumerate(prints)]
    findings = w.told(w.run(w.site([LEASE]), [w.tables(sightings=rows, links=links)]))
    assert len(findings) == 4
    for finding in findings:
        assert finding.attributes["shared"] == 4
        assert "NAT" in finding.statement
        assert "address translation" in finding.attributes["advice"]


def test_what_the_system_is_and_whether_it_fits() -> None:
    (fits,) = w.told(w.run(w.site([LEASE]), [_day(THREE, profiles=[w.page()])]))
    assert fits.attributes["fit"] == "fits"
    assert "is after IP Camera Hikvision DS-2CD" in fits.statement
    printer = w.asset(A, "p", 0, w.DAY, device="Printer", vendor="HP", product="LaserJet")
    (not_,) = w.told(w.run(w.site([printer]), [_day(THREE, profiles=[w.page()])]))
    assert not_.attributes["fit"] == "does not fit"
    assert not_.confidence < fits.confidence
    assert "look" in not_.attributes["advice"]


@pytest.mark.parametrize(
    ("target", "system", "expected"),
    [
        ("Dasan|GPON ONT|Router", ("Broadband Router", "DASAN", "gpon-ont"), FITS),
        ("||DVR", ("DVR", "TBK", "4104"), FITS),
        ("||DVR", ("NAS", "QNAP", "TS-231"), DOES_NOT),
        ("TP-Link|Archer AX21|Router", ("", "tp-link", "Archer AX21"), FITS),
        ("TP-Link|Archer AX21|Router", ("Router", "TP-Link", "WR841N"), DOES_NOT),
        ("TP-Link||", ("Router", "TP-Link", "WR841N"), FITS),
        ("", ("", "", ""), NOT_SAID),
    ],
)  # fmt: skip
def test_fit(target: str, system: tuple[str, str, str], expected: str) -> None:
    family = Family("x", 0.9, targets=[target] if target else [])
    assert family.fit(*system)[0] == expected


def test_an_old_list_lowers_the_probability_and_is_said() -> None:
    fresh = w.asset(A, "", -w.DAY, -w.DAY, basis="scan")
    old = w.asset(A, "", -90 * w.DAY, -90 * w.DAY, basis="scan")
    (new,) = w.told(w.run(w.site([fresh]), [_day(THREE)]))
    (stale,) = w.told(w.run(w.site([old]), [_day(THREE)]))
    assert new.attributes["stale"] == ""
    assert "90 days before" in stale.attributes["stale"]
    assert stale.confidence < new.confidence
    ended = w.asset(A, "", -90 * w.DAY, -10 * w.DAY, basis="list")
    (finding,) = w.told(w.run(w.site([ended]), [_day(THREE)]))
    assert "ended on 2026-02-19" in finding.statement


def test_the_owner_is_the_organisation_of_the_list_or_of_the_prefix() -> None:
    bank, city = Organisation("Bank", ("198.51.100.0/24",)), Organisation("City", ("192.0.2.0/24",))
    for row, owner, organisation in (
        (w.asset(A, "x", 0, w.DAY, owner="Bank"), "Bank", "Bank"),
        (w.asset(A, "x", 0, w.DAY), "City", "City"),
        (w.asset(A, "x", 0, w.DAY, owner="Facilities"), "Facilities", "City"),
    ):
        (finding,) = w.told(w.run(w.site([row], [bank, city]), [_day(THREE)]))
        assert (finding.attributes["owner"], finding.attributes["organisation"]) == (owner, organisation)


def test_checks_are_sql_over_published_tables_and_run() -> None:
    import duckdb

    day = _day(
        [*THREE, w.sighting(C, w.HOUR), w.sighting(A, w.HOUR, "it''s 'x'")], sessions=[w.session(A, w.HOUR)]
    )
    findings = w.told(w.run(w.site([LEASE]), [day]))
    (finding,) = findings
    counted = {}
    with duckdb.connect() as connection:
        for name, table in day.items():
            connection.register(name.replace(".", "_").replace(":", "_"), table)
        for item in finding.evidence:
            if item.check is not None:
                assert item.check.tool == "sql"
                (count,) = connection.execute(item.check.expression).fetchone() or (None,)
                counted[item.check.expression.split()[3]] = count
    assert counted == {"darknet_sightings_sources": 3, "intel_session_sessions": 1}


def test_no_darknet_or_honeypot_address_is_in_a_finding() -> None:
    day = _day(THREE, sessions=[w.session(A, w.HOUR, name="203.0.113.9/77")])
    (finding,) = w.told(w.run(w.site([LEASE]), [day]))
    text = json.dumps(finding.to_dict())
    assert "203.0.113" not in text


def test_hostile_names_stay_text() -> None:
    nasty = "A\x1b[2J'; DROP TABLE x; --\n"
    day = w.tables(
        sightings=THREE, links=[w.link(value=nasty)], sessions=[w.session(A, w.HOUR, family=nasty)]
    )
    row = w.asset(A, "cam'1\n", 0, w.DAY, vendor=nasty)
    for finding in w.told(w.run(w.site([row]), [day])):
        assert (
            "\x1b" not in finding.title + finding.statement.replace(nasty, "") + finding.attributes["family"]
        )
        assert all("\x1b" not in item.statement for item in finding.evidence)


def test_told_is_bounded_and_the_rest_waits() -> None:
    rows = [w.asset(f"192.0.2.{n}", f"cam-{n}", 0, 9 * w.DAY) for n in range(1, 21)]
    sightings = [w.sighting(f"192.0.2.{n}", w.HOUR * k) for n in range(1, 21) for k in (1, 2, 3)]
    outcomes = w.run(w.site(rows, told=6), [_day(sightings), _day([w.sighting(A, w.DAY + w.HOUR)])])
    assert len(outcomes[0].findings) == 6
    assert "14 further suspicions" in outcomes[0].findings[0].statement
    assert outcomes[0].tables["suspects"].num_rows == 20


def test_what_waited_is_told_on_the_next_days() -> None:
    rows = [w.asset(f"192.0.2.{n}", f"cam-{n}", 0, 9 * w.DAY) for n in range(1, 21)]
    sightings = [w.sighting(f"192.0.2.{n}", w.HOUR * k) for n in range(1, 21) for k in (1, 2, 3)]
    outcomes = w.run(w.site(rows, told=6), [_day(sightings), _day(), _day(), _day(), _day()])
    assert [len(outcome.findings) for outcome in outcomes] == [6, 6, 6, 2, 0]
    assert len({finding.series for finding in w.told(outcomes)}) == 20


def test_memory_is_bounded_by_a_sample_of_addresses() -> None:
    rows = [w.asset(f"198.51.{n // 200}.{n % 200}", f"cam-{n}", 0, 9 * w.DAY) for n in range(2000)]
    sightings = [
        w.sighting(f"198.51.{n // 200}.{n % 200}", w.HOUR * k) for n in range(2000) for k in (1, 2, 3)
    ]
    (outcome,) = w.run(w.site(rows, rows=1500), [_day(sightings)])
    assert outcome.carry is not None
    assert 300 < len(outcome.carry) <= 1500
    assert len(outcome.carry) % 3 == 0  # an address is kept with all it has
    said = dict(zip(*outcome.tables["coverage"].to_pydict().values(), strict=True))
    assert said["episodes that the sample left out"] == 6000 - len(outcome.carry)


def test_the_contract_holds() -> None:
    day = _day(THREE, sessions=[w.session(A, w.HOUR)], profiles=[w.page()])
    outcome = check_engine(w.made(w.site([LEASE])), [], day)  # type: ignore[arg-type]
    assert [finding.attributes["asset"] for finding in outcome.findings] == ["cam-1"]


def test_the_order_of_rows_does_not_matter() -> None:
    rows = [LEASE, w.asset(B, "nas-2", 0, w.DAY), w.asset(C)]
    sightings = [w.sighting(a, w.HOUR * n, port=p) for a in (A, B, C) for n in (1, 2, 3) for p in (23, 2323)]
    reference = w.run(w.site(rows), [_day(sightings, profiles=[w.page()])])
    for seed in range(5):
        order = np.random.default_rng(seed)
        mixed = [sightings[n] for n in order.permutation(len(sightings))]
        again = w.run(w.site(rows), [_day(mixed, profiles=[w.page()])])
        assert [f.to_json() for f in w.told(again)] == [f.to_json() for f in w.told(reference)]
        assert again[0].carry.to_bytes() == reference[0].carry.to_bytes()  # type: ignore[union-attr]


def test_a_damaged_carry_is_refused() -> None:
    data = w.run(w.site([LEASE]), [_day(THREE)])[0].carry.to_bytes()  # type: ignore[union-attr]
    for bad in (b"", data[:-1], data[:40] + b"x" + data[41:]):
        with pytest.raises(StateError):
            Seen.from_bytes(bad)


def test_settings_out_of_range_are_refused() -> None:
    for name, value in (("rows", 0), ("days", 400), ("least", 0), ("told", 10**6)):
        with pytest.raises(ValueError, match=name):
            engine(w.site([LEASE], **{name: value}))


@given(
    leases=st.lists(
        st.tuples(st.integers(0, 5), st.integers(0, 40), st.integers(0, 20), st.integers(0, 3)), max_size=12
    ),
    events=st.lists(st.tuples(st.integers(0, 5), st.integers(0, 60)), max_size=20),
)
def test_holders_agree_with_looking_one_by_one(
    leases: list[tuple[int, int, int, int]], events: list[tuple[int, int]]
) -> None:
    # Each in a /24 of its own: where many of one /24 are held by several at once, none of it supports a claim.
    rows = [w.asset(f"192.0.{a}.2", f"s{s}", b * w.HOUR, (b + n) * w.HOUR) for a, b, n, s in leases]
    holders = Holders(w.site(rows or [w.asset("198.51.100.1")]).assets)  # type: ignore[arg-type]
    address = np.array([w.number(f"192.0.{a}.2") for a, _ in events], np.int64)
    times = np.array([w.START + t * w.HOUR for _, t in events], np.int64)
    who, which = holders.at(address, times)
    for n, (a, t) in enumerate(events):
        have = {f"s{s}" for b_a, b, k, s in leases if b_a == a and b <= t <= b + k}
        if len(have) == 1:
            assert holders.names[who[n]] in have
            assert holders.lease_begin[which[n]] <= times[n] <= holders.lease_end[which[n]]
        else:
            assert (who[n], which[n]) == (SEVERAL if have else NOBODY, -1)


def test_leases_of_a_carriers_nat_support_no_claim_at_any_time() -> None:
    hour = w.HOUR
    rows = [
        w.asset(f"{network}.{a}", f"{network} {a} {n}", begin * hour, (begin + 10) * hour)
        for network, shift in (("192.0.2", 5), ("198.51.100", 10))
        for a in range(4)
        for n, begin in enumerate((0, shift, 30))
    ]
    holders = Holders(w.site(rows).assets)  # type: ignore[arg-type]
    at = np.array([w.START + 35 * hour] * 2, np.int64)
    carrier, plain = holders.at(np.array([w.number("192.0.2.1"), w.number("198.51.100.1")]), at)[0]
    assert carrier == SEVERAL  # one lease alone covers the time, but there are others at other times
    assert holders.names[plain] == "198.51.100 1 2"
