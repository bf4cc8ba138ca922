"""Containment when things are not as they should be: old cases, cases that cannot be judged, lists that change, merges,
a casebook that hangs, floods of alarms."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from test_live_contain import CONFIG, HOST, assets, live, until, written

from andon.records.case import FALSE, Verdict
from andon.records.contract import Site
from andon.records.intent import ALLOW, REVOKED, Ground, Intent
from andon.records.intent import HOST as A_HOST
from andon.run.containment.build import built, chain_key, forgeable
from andon.run.live.config import load
from andon.run.live.contain import CURSOR, Containment, Teller
from andon.store.casebook import Casebook

DAY = 86_400 * 10**9


@pytest.fixture
def book(tmp_path: Path) -> Iterator[Casebook]:
    (tmp_path / "store").mkdir()
    with Casebook(tmp_path / "store") as opened:
        opened.migrate()
        yield opened


def quarantines(made: Containment) -> list[Intent]:
    return [state.intent for state in made.made.log.live() if state.intent.action == "quarantine"]


def test_old_cases_are_left_alone_until_something_new_is_seen_in_them(tmp_path: Path, book: Casebook) -> None:
    now = time.time_ns()
    old = written(book, now, first_seen=now - 60 * DAY, last_seen=now - 59 * DAY, opened=now - 60 * DAY)
    made = live(tmp_path, book)
    try:
        assert until(made, lambda: book.cursor(CURSOR) > 0)
        assert not made.made.log.intents(), "an open case of two months ago cuts nobody"
        book.cases.note(old.id, "looked at", actor="ito")
        made.once()
        assert not made.made.log.intents(), "neither does a note"
        read = book.cases.get_many([old.id])[old.id]
        book.cases.update(replace(read, last_seen=time.time_ns()), read.version, actor="casework")
        assert until(made, lambda: quarantines(made))
    finally:
        made.made.close()


def test_a_case_that_cannot_be_judged_does_not_keep_others_from_being_judged(
    tmp_path: Path, book: Casebook
) -> None:
    now = time.time_ns()
    checks = [{"name": "behaviour", "outcome": "passed", "weight": 9.0, "evidence": 5}]
    written(book, now, 1, judgement={"threat": {"level": "high"}, "verification": {"checks": checks}})
    good = written(book, now, 2)
    made = live(tmp_path, book)
    try:
        assert until(made, lambda: quarantines(made))
        assert {one.case for one in quarantines(made)} == {good.id}
        assert any(
            "could not be judged" in text
            for kind, text in made.made.controller.alarms.active()
            if kind == "cases"
        )
        assert any("could not be judged" in text for text in made.troubles.texts())
    finally:
        made.made.close()


def test_what_was_done_for_a_case_is_taken_back_with_the_case_it_went_into(
    tmp_path: Path, book: Casebook
) -> None:
    now = time.time_ns()
    one = written(book, now, 1)
    made = live(tmp_path, book)
    try:
        assert until(made, lambda: quarantines(made))
        other = written(book, now, 2, level="low")
        book.cases.merge([one.id], other.id, actor="ito")
        made.once()
        assert [state.case for state in quarantines(made)] == [one.id]
        # A verdict that was taken in from elsewhere may bear a name that nobody here has.
        book.verdicts.add(Verdict(("case", other.id), FALSE, "andon"))
        book.cases.close(other.id, "a false alarm", actor="ito")
        assert until(made, lambda: not quarantines(made))
    finally:
        made.made.close()


def test_the_kill_switch_does_not_wait_for_the_casebook(tmp_path: Path, book: Casebook) -> None:
    written(book, time.time_ns())
    made = live(tmp_path, book)
    listed, gate, hangs = tmp_path / "lists" / "host-ip.txt", threading.Event(), threading.Event()
    follow = made._follow

    def slow() -> None:
        if listed.exists() and HOST in listed.read_text():
            hangs.set()
            gate.wait(120)
        follow()

    made._follow = slow  # type: ignore[method-assign]
    running = threading.Thread(target=made.run)
    running.start()
    try:
        assert hangs.wait(60)
        (tmp_path / "store" / "contain" / "kill").touch()
        end = time.monotonic() + 60
        while HOST in listed.read_text() and time.monotonic() < end:
            time.sleep(0.02)
        assert not gate.is_set() and HOST not in listed.read_text()
    finally:
        made.stopping.set()
        gate.set()
        running.join(120)
    assert not running.is_alive()


def test_what_casework_wrote_last_is_looked_at_before_the_end(tmp_path: Path, book: Casebook) -> None:
    case = written(book, time.time_ns())
    made = live(tmp_path, book, "dry-run")
    made.stopping.set()
    made.run()
    from andon.store.intents import IntentLog

    log = IntentLog(tmp_path / "store" / "contain", read_only=True)
    assert {state.intent.case for state in log.live()} == {case.id}
    assert book.cursor(CURSOR) > 0


def test_alarms_of_one_moment_are_all_told_and_a_flood_says_what_was_left_out(
    tmp_path: Path, book: Casebook
) -> None:
    made = live(tmp_path, book)
    teller = Teller(book, ["soc"], lambda: 1_767_225_600 * 10**9)
    try:
        teller.alarm("enforcer", "a is down")
        teller.alarm("enforcer", "b is down")
        teller.once(made.made.log)
        texts = [one.text for one in book.messages(sink="soc", limit=5000)]
        assert sum("a is down" in text for text in texts) == 1
        assert sum("b is down" in text for text in texts) == 1
        for number in range(10_000):
            teller.alarm("enforcer", f"flood {number}")
        teller.once(made.made.log)
        teller.once(made.made.log)
        told = [one for one in book.messages(sink="soc", limit=5000) if "flood" in one.text]
        assert len(told) == 1000
        assert [
            one.text for one in book.messages(sink="soc", limit=5000) if "9,000 earlier alarms" in one.text
        ]
    finally:
        made.made.close()


def site_of_files(folder: Path, more: str = "") -> Path:
    rows = [f"10.0.0.{n},pc{n},,Desktop" for n in range(1, 120)]
    (folder / "assets.csv").write_text("address,hostname,mac,device\n" + "\n".join(rows) + "\n")
    path = folder / "andon.toml"
    text = CONFIG.format(mode="auto").replace("[contain]\n", f"[contain]\n{more}")
    path.write_text(text + '[[assets]]\npath = "assets.csv"\n')
    return path


def test_lists_that_change_are_read_again_and_half_a_list_is_not_taken(
    tmp_path: Path, book: Casebook
) -> None:
    (tmp_path / "policy.yaml").write_text("protect:\n  critical: [10.9.9.9]\n")
    path = site_of_files(tmp_path, 'policy = "policy.yaml"\n')
    config = load(path)
    from andon.run.live.parts import asset_table

    site = Site(inside=config.inside, assets=asset_table(config, path, []))
    made = built(config, path, site, book, lambda *_: None)

    def alarms() -> set[str]:
        return {kind for kind, _ in made.controller.alarms.active()} - {"enforcer"}

    try:
        now = time.time_ns()
        assert made.resolver.party(A_HOST, "pc7", now).addresses == ("10.0.0.7",)
        whole = (tmp_path / "assets.csv").read_text()
        (tmp_path / "assets.csv").write_text(whole.replace("10.0.0.7,", "10.0.0.207,"))
        made.renew(book, now)
        assert made.resolver.party(A_HOST, "pc7", now).addresses == ("10.0.0.207",)
        assert not alarms()
        (tmp_path / "assets.csv").write_text(whole[:200])
        made.renew(book, now)
        assert made.resolver.party(A_HOST, "pc7", now).addresses == ("10.0.0.207",)
        assert alarms() == {"lists"}
        (tmp_path / "assets.csv").write_text(whole)
        (tmp_path / "policy.yaml").write_text("protect:\n  critical: [10.0.0.7]\n")
        made.renew(book, now)
        assert made.resolver.party(A_HOST, "pc7", now).addresses == ("10.0.0.7",)
        assert alarms() == {"policy"}, "another policy is told, not taken"
    finally:
        made.close()


def test_what_people_protect_or_exempt_later_is_let_go(tmp_path: Path, book: Casebook) -> None:
    case = written(book, time.time_ns())
    made = live(tmp_path, book)
    try:
        assert until(made, lambda: quarantines(made))
        now, controller = time.time_ns(), made.made.controller
        host = made.made.resolver.party(A_HOST, "pc7", now)
        exempt = Intent(now >> 3, ALLOW, host, None, 3600 * 10**9, "needed for the surgery", "ito", now,
                        grounds=(Ground("analyst", "ito", "analyst"),))  # fmt: skip
        assert controller.propose(exempt, "ito").state == "accepted", "the guard holds it, if no enforcer can"
        assert until(made, lambda: not quarantines(made))
        assert any(
            state.state == REVOKED and "exempts it" in " ".join(state.reasons)
            for state in made.made.log.intents().values()
            if state.intent.case == case.id and state.intent.action == "quarantine"
        )
    finally:
        made.made.close()


def test_an_asset_that_is_protected_by_now_is_let_go_at_the_next_start(
    tmp_path: Path, book: Casebook
) -> None:
    written(book, time.time_ns())
    path = site_of_files(tmp_path)
    site = Site(inside=load(path).inside, assets=assets())
    from andon.run.live.contain import containment
    from andon.run.live.trouble import Troubles

    def start() -> Containment:
        made = containment(load(path), path, site, book, time.time_ns, lambda *_: None, Troubles())
        assert made is not None
        return made

    made = start()
    assert until(made, lambda: quarantines(made))
    made.made.close()
    (tmp_path / "policy.yaml").write_text(f"protect:\n  critical: [{HOST}]\n")
    path = site_of_files(tmp_path, 'policy = "policy.yaml"\n')
    made = start()
    try:
        assert until(made, lambda: not quarantines(made))
    finally:
        made.made.close()


def test_a_key_that_everybody_can_read_is_refused(tmp_path: Path) -> None:
    key = tmp_path / "chain.key"
    key.write_text("0123456789abcdef0123456789abcdef")
    key.chmod(0o644)
    with pytest.raises(ValueError, match="chmod 600"):
        chain_key(key)
    key.chmod(0o640)
    assert chain_key(key)


def test_alerts_that_anybody_can_write_are_said_where_they_would_cut(tmp_path: Path) -> None:
    path = site_of_files(tmp_path)
    udp = '[[source]]\nname = "alerts"\nkind = "syslog"\nport = 5514\n'
    whole = path.read_text()
    path.write_text(udp + whole.replace('inside = ["10.0.0.0/8"]\n', ""))
    (said,) = forgeable(load(path))
    assert said.startswith("source alerts: by udp") and "client_ca" in said
    path.write_text(path.read_text().replace('mode = "auto"', 'mode = "dry-run"'))
    assert not forgeable(load(path))
