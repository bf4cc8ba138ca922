"""With the real policy, guard and resolver; and anything that can happen, in any order."""

from __future__ import annotations

import random
import time
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from spine_toys import QUICK, Bell, FileToy, Verdicts, controller, intent, wait_for

from andon.contain.contract import IPV6
from andon.contain.controller import Controller
from andon.contain.enforcers import make_enforcer
from andon.contain.guard import terrain_of
from andon.contain.policy import load_policy
from andon.contain.propose import Material
from andon.contain.reconcile import differences
from andon.contain.resolve import Resolver
from andon.records.asset import ASSET
from andon.records.case import Case
from andon.records.inside import Inside
from andon.records.intent import (
    BLOCK_PAIR,
    DRY_RUN,
    HOST,
    MIRROR,
    QUARANTINE,
    REFUSED,
    VERIFIED,
    WAITING,
    WANTED,
    Intent,
    Party,
)  # fmt: skip
from andon.store.intents import Conflict, IntentLog

SECOND = 1_000_000_000
INSIDE = ("10.0.0.0/16", "2001:db8:10::/48")


def assets(*rows: tuple[str, str]) -> pa.Table:
    empty = dict.fromkeys(ASSET.names, "") | {"first": -1, "last": -1, "valid_from": None, "valid_to": None}
    return pa.Table.from_pylist(
        [
            empty
            | {"address": address, "hostname": name, "basis": "list", "services": [], **_numbers(address)}
            for name, address in rows
        ],
        ASSET,
    )


def _numbers(address: str) -> dict[str, int]:
    if ":" in address:
        return {}
    a, b, c, d = map(int, address.split("."))
    return {"first": a << 24 | b << 16 | c << 8 | d, "last": a << 24 | b << 16 | c << 8 | d}


HOSTS = (
    ("pc7.corp.example", "10.0.1.7"),
    ("pc7.corp.example", "2001:db8:10:1::7"),
    ("dc01.corp.example", "10.0.1.9"),
)


class Whole:
    """A controller with this package's own judges."""

    def __init__(self, folder: Path, enforcers: dict[str, Any], mode: Any = "auto") -> None:
        self.policy = load_policy(None)
        self.bell = Bell()
        self.log = IntentLog(folder)
        self.controller = Controller(
            self.log, self.policy, *self.ground(HOSTS), enforcers, mode, alarm=self.bell, settings=QUICK
        )

    def ground(self, hosts: tuple[tuple[str, str], ...]) -> tuple[Resolver, Any]:
        table = assets(*hosts, *((f"pc{n}x.corp.example", f"10.0.4.{n}") for n in range(1, 100)))
        terrain = terrain_of(self.policy, INSIDE, table, {"203.0.113.5": 1}, at_ns=time.time_ns())
        return Resolver(table, Inside(INSIDE), self.policy), terrain

    def case(self, host: str = "pc7.corp.example") -> tuple[Case, Material]:
        now = time.time_ns()
        judgement = {
            "certainty": 0.9,
            "attacker": {"classes": []},
            "threat": {"stage": "unknown"},
            "group": {"names": []},
        }
        case = Case("c1", 1, "open", "act", "high", 1.0, "C2 seen", "", (("device", host),), now - 3600 * SECOND,
                    now - SECOND, now, now, judgement=judgement)  # fmt: skip
        infected = {"id": "f1", "engine": "livenet.proxygraph", "kind": "infected-terminal", "confidence": 0.97,
                    "title": "infected", "subject": {"type": "user-account", "value": "x"},
                    "attributes": {"black": ["203.0.113.5"]}}  # fmt: skip
        darknet = {"id": "f2", "engine": "darknet.daedalus", "kind": "own-host-alert", "confidence": 0.9,
                   "title": "scans", "subject": {"type": "ipv4-addr", "value": "10.0.1.7"},
                   "attributes": {}}  # fmt: skip
        return case, Material([infected, darknet])

    def states(self) -> dict[str, str]:
        return {one.intent.action: one.state for one in self.log.intents().values()}


@pytest.fixture
def toys(tmp_path: Path):  # type: ignore[no-untyped-def]
    made: list[Whole] = []

    def make(open_paths: tuple[str, ...] = ()) -> tuple[Whole, FileToy]:
        toy = FileToy(tmp_path / "toy", "switch", open_paths)
        rehearsal = make_enforcer({"name": "rehearsal", "kind": "dryrun", "open_paths": list(open_paths)})
        made.append(Whole(tmp_path / "contain", {"switch": toy, "rehearsal": rehearsal}))
        return made[0], toy

    yield make
    for one in made:
        one.controller.close(2)


def test_high_level_is_cut_without_a_human_and_a_copy_is_taken(toys) -> None:
    here, toy = toys()
    pair, mirror = here.controller.consider(*here.case())
    assert (pair.action, mirror.action) == (BLOCK_PAIR, MIRROR)
    assert pair.subject.addresses == ("10.0.1.7", "2001:db8:10:1::7")
    wait_for(lambda: here.states() == {BLOCK_PAIR: VERIFIED, MIRROR: VERIFIED}, step=here.controller.step)
    assert list(toy.rules()) == [pair.id], "the switch of this test cannot mirror; the rehearsal does"
    assert not here.controller.consider(*here.case()), "the same case again changes nothing"


def test_a_domain_controller_is_not_cut_whatever_the_case_says(toys) -> None:
    here, toy = toys()
    here.controller.consider(*here.case("dc01.corp.example"))
    state = here.controller.propose(
        Intent(77, QUARANTINE, here.controller._resolver.party(HOST, "dc01.corp.example", time.time_ns()), None,
               3600 * SECOND, "by hand", "ana", time.time_ns()), "ana",
    )  # fmt: skip
    assert state.state == REFUSED and not toy.rules()


def test_a_pair_that_stays_open_over_ipv6_makes_a_quarantine(toys) -> None:
    here, toy = toys((IPV6,))
    entered = here.controller.consider(*here.case())
    assert [one.action for one in entered] == [BLOCK_PAIR, QUARANTINE, MIRROR]
    assert "IPv6" in entered[1].escalated
    wait_for(lambda: list(toy.rules()) == [entered[1].id], step=here.controller.step)
    assert here.states()[BLOCK_PAIR] == REFUSED


def test_evidence_of_one_field_waits_for_a_person(toys) -> None:
    here, toy = toys()
    case, material = here.case()
    here.controller.consider(case, Material(material.findings[:1]))
    assert here.states()[BLOCK_PAIR] == WAITING and not toy.rules()
    [waiting] = [
        one.intent.id for one in here.log.live() if one.state == WAITING and one.intent.action == BLOCK_PAIR
    ]
    here.controller.approve(waiting, "ana")
    wait_for(lambda: list(toy.rules()) == [waiting], step=here.controller.step)


def test_a_dry_run_says_what_it_would_have_hit(tmp_path: Path) -> None:
    rehearsal = make_enforcer({"name": "rehearsal", "kind": "dryrun"})
    here = Whole(tmp_path / "contain", {"rehearsal": rehearsal}, mode="dry-run")
    case, material = here.case()
    here.controller.consider(case, Material(material.findings[:1]))
    [pair] = [one for one in here.log.live() if one.intent.action == BLOCK_PAIR]
    assert pair.state == DRY_RUN and pair.detail["used_by"] == 1 and pair.detail["approvals"] == 1
    assert "203.0.113.5" in pair.detail["plans"][0]["touched"][0]
    here.controller.close()


def test_a_lease_that_moves_takes_the_cut_along(toys) -> None:
    here, toy = toys()
    pair, _ = here.controller.consider(*here.case())
    wait_for(lambda: list(toy.rules()) == [pair.id], step=here.controller.step)
    resolver, terrain = here.ground((("pc7.corp.example", "10.0.1.77"), *HOSTS[1:]))
    here.controller.update(resolver=resolver, terrain=terrain)
    here.controller.step()
    wait_for(lambda: len(toy.rules()) == 1 and list(toy.rules()) != [pair.id], step=here.controller.step)
    [new] = [one for one in here.log.live() if one.intent.action == BLOCK_PAIR]
    assert set(new.intent.subject.addresses) == {"10.0.1.77", "2001:db8:10:1::7"}


# ---------------------------------------------------------------------- anything in any order


@pytest.mark.parametrize("seed", range(12))
def test_whatever_happened_in_the_end_there_is_what_is_wanted_and_nothing_else(
    tmp_path: Path, seed: int
) -> None:
    chance = random.Random(seed)
    toys = [FileToy(tmp_path / name, name) for name in ("a", "b")]
    verdicts, bell = Verdicts(), Bell()

    def start() -> Controller:
        return controller(
            tmp_path / "contain",
            toys,
            verdicts,
            bell=bell,
            log=IntentLog(tmp_path / "contain", segment_bytes=20_000),
        )

    spine, fresh = start(), iter(range(1, 10_000))
    for _ in range(60):
        toy, rules = chance.choice(toys), list(chance.choice(toys).rules())
        what = chance.choice(("cut", "cut", "cut", "ask", "back", "flush", "change", "stray", "down", "up", "refuse",
                              "restart", "lie", "kill", "renew", "wait"))  # fmt: skip
        live = [one.intent.id for one in spine.log.live()]
        if what in ("cut", "ask"):
            number = next(fresh)
            verdicts.decision = "allow" if what == "cut" else "needs-approval"
            verdicts.wishes = [intent(number, success=chance.choice(("any", "all")), case=f"c{number}")]
            spine.consider(SimpleNamespace(id=f"c{number}"))
            if what == "ask" and spine.log.get(number).state == WAITING and chance.random() < 0.7:
                spine.approve(number, "bea")
        elif what == "back" and live:
            spine.revoke([chance.choice(live)], "ana", "test")
        elif what == "renew" and live:
            with suppress(Conflict):  # it is being renewed
                spine.renew(chance.choice(live), "ana", 3600 * SECOND)
        elif what == "flush":
            for path in toy.folder.glob("*.rule"):
                path.unlink(missing_ok=True)
            toy.epoch += chance.randrange(2)
        elif what == "change" and rules:
            toy.path(chance.choice(rules)).unlink(missing_ok=True)
        elif what == "stray":
            toy.path(chance.randrange(1 << 40, 1 << 41)).write_bytes(b"stray")
        elif what in ("down", "up"):
            toy.down = "cut cable" if what == "down" else ""
        elif what == "refuse":
            toy.refuses = {f"ws-{chance.randrange(1, 40)}" for _ in range(5)}
        elif what == "lie":
            toy.lies = not toy.lies
        elif what == "restart":
            spine.close()
            spine = start()
        elif what == "kill" and chance.random() < 0.3:
            spine.kill_switch("ana", "drill")
            spine.release("ana")
        spine.step()
        time.sleep(chance.random() * 0.01)
    for toy in toys:
        toy.down, toy.refuses, toy.lies = "", set(), False

    def wanted() -> set[int]:
        return {one.intent.id for one in spine.log.live() if one.state in WANTED}

    wait_for(lambda: all(set(toy.rules()) == wanted() for toy in toys), 60, spine.step)
    wait_for(
        lambda: all(one.state == VERIFIED for one in spine.log.live() if one.state in WANTED), 60, spine.step
    )
    wait_for(lambda: not [kind for kind, _ in spine.alarms.active() if kind != "kill-switch"], 60, spine.step)
    assert spine.log.verify().whole
    spine.close()


@given(
    st.sets(st.integers(1, 20)),
    st.dictionaries(st.integers(1, 20), st.sampled_from("ab")),
    st.dictionaries(st.integers(1, 20), st.sampled_from("abx")),
)
def test_differences_are_a_partition(
    wanted: set[int], receipts: dict[int, str], actual: dict[int, str]
) -> None:
    found = differences(wanted, receipts, actual)
    parts = (found.right, found.missing, found.changed, found.unproven)
    assert sorted(name for part in parts for name in part) == sorted(wanted)
    assert found.stray == actual.keys() - wanted
    for name in found.right:
        assert receipts[name] == actual[name]
    after = {name: receipts.get(name, "new") for name in wanted}
    assert not differences(wanted, after, after).to_apply and not differences(wanted, after, after).stray


# ---------------------------------------------------------------------- the enforcer that enforces nothing


def test_the_rehearsal_keeps_the_contract() -> None:
    one = make_enforcer({"name": "r", "kind": "dryrun", "open_paths": ["quic"], "rules": 2})
    plans = [one.plan(intent(number)) for number in (1, 2, 3)]
    assert plans[0].open_paths == ("quic",) and "198.51.100.7" in plans[0].commands[0]
    receipts = one.apply(plans[:2])
    assert one.apply(plans[:2]) == receipts, "twice is once"
    with pytest.raises(Exception, match="takes 2 intents"):
        one.apply(plans[2:])
    assert one.actual() == {receipt.intent: receipt.digest for receipt in receipts}
    assert all(one.verify(receipt) for receipt in receipts)
    one.revoke([1, 99])
    assert list(one.actual()) == [2] and not one.verify(receipts[0])
    assert one.tick(intent(2).until) == [2] and not one.actual()
    with pytest.raises(ValueError, match="knows an address"):
        one.plan(intent(4, subject=Party(HOST, "ghost")))
    one.apply(plans[:1])
    one.revoke_all()
    assert not one.actual()


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"speed": 1}, "no setting 'speed'"),
        ({"open_paths": ["x"]}, "open_paths is a list"),
        ({"rules": True}, "rules is a number"),
    ],
)
def test_the_rehearsal_names_a_wrong_setting(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        make_enforcer({"name": "r", "kind": "dryrun", **settings})


def test_a_rehearsal_runs_policy_approval_and_expiry_in_earnest(tmp_path: Path) -> None:
    rehearsal = make_enforcer({"name": "r", "kind": "dryrun"})
    verdicts = Verdicts(wishes=[intent(1)])
    spine = controller(tmp_path, [rehearsal], verdicts)
    spine.consider(SimpleNamespace(id="c"))
    wait_for(lambda: spine.log.get(1).state == VERIFIED, step=spine.step)
    assert "rehearsals" in spine.status()["enforcers"]["r"]["statement"]
    spine.close()
    assert spine.log.get(1).state != DRY_RUN
