"""From a case to rules that are in force, and back: who decides, what is written down, what is told."""

from __future__ import annotations

import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from spine_toys import NOW, QUICK, SECOND, Bell, Clocks, FileToy, Verdicts, controller, intent, wait_for

from andon.contain.contract import QUIC
from andon.contain.controller import Controller
from andon.contain.controller.settings import Settings
from andon.records.intent import (
    ACCEPTED,
    APPLIED,
    BLOCK_PAIR,
    DRY_RUN,
    EXPIRED,
    FAILED,
    PROPOSED,
    QUARANTINE,
    REFUSED,
    REVOKED,
    VERIFIED,
    WAITING,
    IntentEvent,
)  # fmt: skip
from andon.store.intents import Conflict, IntentLog

CASE = SimpleNamespace(id="case-1")


class Site:
    """A controller, a toy enforcer, set judges, an ear for alarms."""

    def __init__(
        self, folder: Path, toys: int = 1, mode: str = "auto", clocks: Clocks | None = None,
        settings: Settings = QUICK, **more: object,
    ) -> None:  # fmt: skip
        self.folder, self.settings = folder, settings
        self.toys = [FileToy(folder / f"toy{n}", f"toy{n}", **more) for n in range(toys)]  # type: ignore[arg-type]
        self.bell, self.verdicts, self.clocks, self.mode = Bell(), Verdicts(), clocks, mode
        self.controller: Controller
        self.start()

    def start(self) -> Controller:
        self.controller = controller(self.folder / "contain", self.toys, self.verdicts, mode=self.mode, bell=self.bell,
                                     clocks=self.clocks, settings=self.settings)  # fmt: skip
        return self.controller

    def start_over(self) -> None:
        self.controller.close()
        self.start()

    def consider(self, *wishes: object, case: object = CASE) -> list[object]:
        self.verdicts.wishes = list(wishes)  # type: ignore[arg-type]
        return list(self.controller.consider(case))

    def state(self, number: int) -> str:
        state = self.controller.log.get(number)
        return state.state if state else ""

    def comes_to(self, number: int, state: str) -> None:
        wait_for(lambda: self.state(number) == state, step=self.controller.step)
        self.controller.idle()  # who wrote it down has said it too: alarms come after the log, under the same lock

    def history(self, number: int) -> list[str]:
        return [one.event.state for one in IntentLog(self.folder / "contain", read_only=True).since(0)
                if one.event.intent == number]  # fmt: skip


@pytest.fixture
def site(tmp_path: Path):  # type: ignore[no-untyped-def]
    made: list[Site] = []

    def make(**more: object) -> Site:
        made.append(Site(tmp_path, **more))  # type: ignore[arg-type]
        return made[-1]

    yield make
    for one in made:
        for toy in one.toys:
            toy.hang.set()
        one.controller.close(2)


def test_a_case_is_cut_without_a_human_and_every_step_is_written_down(site) -> None:
    here = site()
    [entered] = here.consider(intent(1))
    assert entered.id == 1
    here.comes_to(1, VERIFIED)
    [toy] = here.toys
    assert list(toy.rules()) == [1]
    assert here.history(1) == [PROPOSED, ACCEPTED, APPLIED, VERIFIED]
    state = here.controller.log.get(1)
    assert state.receipts["toy0"]["digest"] == toy.rules()[1]
    accepted = next(one for one in here.controller.log.since(0) if one.event.state == ACCEPTED)
    assert accepted.event.detail["plans"][0]["commands"] == [f"write {1:016x}"], (
        "what is done can be read beforehand"
    )
    assert len(toy.threads) == 1, "an enforcer is talked to from one thread"
    assert here.controller.log.verify().whole


def test_accepted_is_on_disk_before_the_enforcer_hears_of_it(site, tmp_path: Path) -> None:
    here = site()
    seen = []
    toy, real = here.toys[0], here.toys[0].apply

    def apply(plans):  # type: ignore[no-untyped-def]
        seen.extend(
            IntentLog(tmp_path / "contain", read_only=True).get(plan.intent.id).state for plan in plans
        )
        return real(plans)

    toy.apply = apply
    here.consider(intent(1))
    here.comes_to(1, VERIFIED)
    assert seen == [ACCEPTED]


def test_a_refusal_is_written_down_and_nothing_is_done(site) -> None:
    here = site()
    here.verdicts.decision = "refuse"
    here.consider(intent(1))
    assert here.history(1) == [PROPOSED, REFUSED]
    assert here.controller.log.get(1).reasons == ("because",)
    assert not here.toys[0].rules() and "apply" not in here.toys[0].calls


def test_a_guard_that_breaks_refuses_and_rings(site) -> None:
    here = site()
    here.verdicts.decision = "error"
    here.consider(intent(1))
    assert here.state(1) == REFUSED and "broken" in here.bell.of("guard")[0]
    here.verdicts.decision = "allow"
    here.consider(intent(2))
    assert here.bell.of("guard")[-1] == "over: the guard answers again"


def test_dry_run_touches_nothing_and_keeps_the_plans(site) -> None:
    here = site(mode="dry-run")
    here.consider(intent(1), intent(2))
    here.controller.step()
    state = here.controller.log.get(1)
    assert state.state == DRY_RUN and state.detail["ruling"] == "allow"
    assert state.detail["plans"][0]["inverse"] == [f"remove {1:016x}"]
    assert not here.toys[0].calls, "the enforcer was asked for plans alone"
    assert [one.state for one in here.verdicts.asked[-1][1]] == [], (
        "wishes of one case are judged at the same moment"
    )
    here.consider(intent(3))
    assert [one.state for one in here.verdicts.asked[-1][1]] == [DRY_RUN] * 2, (
        "limits count what would be in force"
    )


def test_going_back_to_dry_run_takes_away_what_was_in_force(site) -> None:
    here = site()
    here.consider(intent(1))
    here.comes_to(1, VERIFIED)
    here.controller.close()
    here.mode = "dry-run"
    here.start()
    wait_for(lambda: not here.toys[0].rules(), step=here.controller.step)
    assert here.state(1) == REVOKED


def test_the_same_wish_is_not_repeated_while_it_is_in_force_or_was_taken_back(site) -> None:
    here = site()
    here.consider(intent(1))
    assert not here.consider(intent(1, subject=intent(1).subject).with_(id=50)), "in force"
    here.comes_to(1, VERIFIED)
    here.controller.revoke([1], "ana", "printer of the boss")
    wait_for(lambda: not here.toys[0].rules())
    assert not here.consider(intent(1).with_(id=51)), "a person took it back"
    here.controller.close()
    here.start()
    assert not here.consider(intent(1).with_(id=52)), "after a restart too"
    assert here.consider(intent(1).with_(id=53, case="case-2"), case=SimpleNamespace(id="case-2")), (
        "another case may"
    )


def test_a_host_in_quarantine_needs_no_pair_block(site) -> None:
    here = site()
    here.consider(intent(1, action=QUARANTINE, target=None))
    assert not here.consider(intent(1).with_(id=60))


# ---------------------------------------------------------------------- approvals


def test_approval_is_by_others_and_asks_the_guard_again(site) -> None:
    here = site()
    here.verdicts.decision = "needs-approval"
    state = here.controller.propose(intent(1, approvals=2), "Ana")
    assert state.state == WAITING and state.detail["approvals"] == 2
    for requester in ("Ana", "ana", " ANA "):
        with pytest.raises(ValueError, match="who asked for it"):
            here.controller.approve(1, requester)
    assert here.controller.approve(1, "Bea").state == WAITING
    with pytest.raises(ValueError, match="has agreed already"):
        here.controller.approve(1, "bea")
    for nobody in ("andon", "", "x\x1b", " AnDon"):
        with pytest.raises(ValueError, match="not the name of a person"):
            here.controller.approve(1, nobody)
    assert not here.toys[0].rules()
    asked = len(here.verdicts.asked)
    assert here.controller.approve(1, "Cem").state == ACCEPTED
    assert len(here.verdicts.asked) == asked + 1
    here.comes_to(1, VERIFIED)
    assert here.controller.log.get(1).approvals == ("Bea", "Cem")
    with pytest.raises(Conflict, match="does not wait"):
        here.controller.approve(1, "Dan")


def test_what_became_forbidden_while_it_waited_is_refused(site) -> None:
    here = site()
    here.verdicts.decision = "needs-approval"
    here.consider(intent(1))
    here.verdicts.decision = "refuse"
    assert here.controller.approve(1, "Bea").state == REFUSED
    assert not here.toys[0].rules()


def test_another_process_approves_through_the_log(site, tmp_path: Path) -> None:
    here = site()
    here.verdicts.decision = "needs-approval"
    here.consider(intent(1))
    bell = Bell()
    second = controller(tmp_path / "contain", [], here.verdicts, bell=bell)
    assert not second.active and "stands by" in bell.of("standby")[0]
    second.enforcers["toy0"] = here.toys[0]  # configured alike; only its plans are asked for
    second.approve(1, "Bea")
    here.comes_to(1, VERIFIED)
    second.revoke([1], "Bea", "enough")
    wait_for(lambda: not here.toys[0].rules(), step=here.controller.step)
    assert len(here.toys[0].threads) == 1
    second.close()


def test_a_proposal_of_a_process_that_only_writes_is_decided(site, tmp_path: Path) -> None:
    here = site()
    writer = IntentLog(tmp_path / "contain")
    writer.append([IntentEvent(5, PROPOSED, "ana", NOW)], {5: intent(5, requested_by="ana")})
    here.comes_to(5, VERIFIED)


# ---------------------------------------------------------------------- escalation


def test_a_pair_that_cannot_be_closed_becomes_a_quarantine_with_the_reason(site) -> None:
    here = site(open_paths=(QUIC,))
    here.verdicts.harder = True
    _, second = here.consider(intent(1))
    assert second.action == QUARANTINE and "quic" in second.escalated
    here.comes_to(second.id, VERIFIED)
    assert here.state(1) == REFUSED and "quic" in here.controller.log.get(1).reasons[0]
    assert list(here.toys[0].rules()) == [second.id]


def test_two_enforcers_that_close_each_other_s_gaps_need_no_quarantine(site) -> None:
    here = site(toys=2, open_paths=(QUIC,))
    here.toys[1].open_paths = ("ipv6",)
    here.verdicts.harder = True
    assert [one.action for one in here.consider(intent(1))] == [BLOCK_PAIR]


def test_until_somebody_agrees_to_the_quarantine_the_pair_is_cut(site) -> None:
    here = site(open_paths=(QUIC,))
    here.verdicts.harder = True
    here.verdicts.by_action = {QUARANTINE: "needs-approval"}
    _, second = here.consider(intent(1))
    here.comes_to(1, VERIFIED)
    assert here.state(second.id) == WAITING
    here.controller.approve(second.id, "Bea")
    here.comes_to(second.id, VERIFIED)
    here.comes_to(1, REVOKED)
    wait_for(lambda: list(here.toys[0].rules()) == [second.id])


def test_a_quarantine_that_is_forbidden_leaves_the_pair_cut(site) -> None:
    here = site(open_paths=(QUIC,))
    here.verdicts.harder = True
    here.verdicts.by_action = {QUARANTINE: "refuse"}
    _, second = here.consider(intent(1))
    here.comes_to(1, VERIFIED)
    assert here.state(second.id) == REFUSED


# ---------------------------------------------------------------------- any, all, unfit


def test_any_is_in_force_with_one_and_all_is_not(site) -> None:
    here = site(toys=2)
    here.toys[1].refuses = {"ws-1", "ws-2"}
    here.consider(intent(1, success="any"), intent(2, success="all"))
    here.comes_to(1, VERIFIED)
    here.comes_to(2, FAILED)
    assert "table full" in here.controller.log.get(2).reasons[0]
    assert "toy1" in here.bell.of("not-in-force")[0]
    here.toys[1].refuses = set()
    here.comes_to(2, VERIFIED)
    wait_for(lambda: set(here.controller.log.get(1).receipts) == {"toy0", "toy1"}, step=here.controller.step)
    assert here.history(2) == [PROPOSED, ACCEPTED, FAILED, FAILED, APPLIED, VERIFIED] or here.history(2) == [
        PROPOSED, ACCEPTED, FAILED, APPLIED, VERIFIED,
    ]  # fmt: skip
    assert any("over" in text for text in here.bell.of("not-in-force"))


def test_what_no_enforcer_can_hold_is_refused_with_each_one_s_reason(site) -> None:
    here = site(toys=2)
    for toy in here.toys:
        toy.unfit = {"ws-1"}
    here.consider(intent(1), intent(2, enforcers=("elsewhere",)), intent(3, action="sinkhole"))
    assert {here.state(number) for number in (1, 2, 3)} == {REFUSED}
    assert "has no place here" in here.controller.log.get(1).reasons[0]
    assert "no enforcer of this name" in here.controller.log.get(2).reasons[0]
    assert "cannot sinkhole a host" in here.controller.log.get(3).reasons[0]


def test_one_bad_intent_does_not_keep_the_others_out(site) -> None:
    here = site()
    here.toys[0].refuses = {"ws-3"}
    here.consider(*(intent(number) for number in range(1, 6)))
    for number in (1, 2, 4, 5):
        here.comes_to(number, VERIFIED)
    here.comes_to(3, FAILED)


def test_no_more_rules_than_there_is_room_for(site) -> None:
    here = site(rules=3)
    here.consider(*(intent(number) for number in range(1, 6)))
    wait_for(lambda: sum(here.state(n) == FAILED for n in range(1, 6)) == 2, step=here.controller.step)
    wait_for(lambda: sum(here.state(n) == VERIFIED for n in range(1, 6)) == 3, step=here.controller.step)
    assert len(here.toys[0].rules()) == 3
    held = next(n for n in range(1, 6) if here.state(n) == VERIFIED)
    here.controller.revoke([held], "ana", "make room")
    wait_for(
        lambda: len(here.toys[0].rules()) == 3 and held not in here.toys[0].rules(), step=here.controller.step
    )


def test_renewal_leaves_no_gap(site) -> None:
    here = site()
    here.consider(intent(1))
    here.comes_to(1, VERIFIED)
    new = here.controller.renew(1, "ana", 7200 * SECOND)
    assert new.intent.replaces == 1 and new.intent.subject == intent(1).subject
    here.comes_to(new.intent.id, VERIFIED)
    here.comes_to(1, REVOKED)
    wait_for(lambda: list(here.toys[0].rules()) == [new.intent.id])
    calls = here.toys[0].calls
    assert calls.index("revoke") > [n for n, call in enumerate(calls) if call == "apply"][1], (
        "the new one came first"
    )
    with pytest.raises(Conflict, match="propose it anew"):
        here.controller.renew(1, "ana", SECOND)


# ---------------------------------------------------------------------- the kill switch


def test_the_kill_switch_takes_all_away_and_blocks_until_somebody_lets_go(site) -> None:
    here = site(toys=2)
    here.consider(*(intent(number) for number in range(1, 9)))
    for number in range(1, 9):
        here.comes_to(number, VERIFIED)
    assert sorted(here.controller.kill_switch("ana", "wrong list")) == list(range(1, 9))
    wait_for(lambda: not here.toys[0].rules() and not here.toys[1].rules())
    assert {here.state(number) for number in range(1, 9)} == {REVOKED}
    other = SimpleNamespace(id="case-2")
    here.consider(intent(20, case="case-2"), case=other)
    assert here.state(20) == REFUSED and "ana" in here.controller.log.get(20).reasons[0]
    assert not here.consider(intent(20).with_(id=21, case="case-2"), case=other), (
        "it is not written down every ten seconds"
    )
    assert here.controller.propose(intent(22), "bea").state == ACCEPTED, "people still can"
    here.comes_to(22, VERIFIED)
    here.controller.close()
    here.start()
    here.controller.step()
    assert here.controller.hold.actor == "ana", "it lasts over a restart"
    with pytest.raises(ValueError, match="not the name of a person"):
        here.controller.release("andon")
    here.controller.release("ana", "list mended")
    with pytest.raises(Conflict):
        here.controller.release("ana")
    assert here.consider(intent(20).with_(id=23, case="case-2"), case=other)
    here.comes_to(23, VERIFIED)
    assert not here.consider(intent(1).with_(id=24)), "what it took away does not come back by itself"


def test_the_kill_switch_gets_through_when_the_enforcer_is_back(site) -> None:
    here = site(toys=2)
    here.consider(intent(1))
    here.comes_to(1, VERIFIED)
    wait_for(lambda: all(toy.rules() for toy in here.toys))
    here.toys[1].down = "cable cut"
    here.controller.kill_switch("ana", "stop")
    wait_for(lambda: not here.toys[0].rules())
    assert here.toys[1].rules()
    wait_for(lambda: any("did not get through (cable cut)" in text for text in here.bell.of("kill-switch")))
    here.toys[1].down = ""
    wait_for(lambda: not here.toys[1].rules(), step=here.controller.step)
    wait_for(lambda: any("toy1 holds nothing any more" in text for text in here.bell.of("kill-switch")))


def test_a_file_pulls_it_too(site, tmp_path: Path) -> None:
    here = site()
    here.consider(intent(1))
    here.comes_to(1, VERIFIED)
    (tmp_path / "contain" / "kill").touch()
    wait_for(lambda: not here.toys[0].rules(), step=here.controller.step)
    assert here.controller.log.hold is not None
    here.controller.step()
    assert not (tmp_path / "contain" / "kill").exists(), "it is in the log now"


def test_another_process_pulls_it_through_the_log(site, tmp_path: Path) -> None:
    here = site()
    here.consider(intent(1))
    here.comes_to(1, VERIFIED)
    second = controller(tmp_path / "contain", [], here.verdicts)
    second.kill_switch("bea", "from the other desk")
    wait_for(lambda: not here.toys[0].rules(), step=here.controller.step)
    assert "revoke_all" in here.toys[0].calls
    second.close()


# ---------------------------------------------------------------------- time


def test_it_ends_when_its_time_is_over(site) -> None:
    clocks = Clocks()
    here = site(clocks=clocks)
    here.consider(intent(1, ttl=60), intent(2, ttl=120))
    here.comes_to(2, VERIFIED)
    clocks.pass_(59)
    here.controller.step()
    assert here.state(1) == VERIFIED
    clocks.pass_(1)
    here.controller.step()
    assert here.state(1) == EXPIRED
    wait_for(lambda: list(here.toys[0].rules()) == [2])


@pytest.mark.parametrize("jump", [86_400 * 30, -86_400 * 30])
def test_setting_the_time_of_day_neither_ends_nor_prolongs(site, jump: int) -> None:
    clocks = Clocks()
    here = site(clocks=clocks)
    here.consider(intent(1, ttl=60))
    here.comes_to(1, VERIFIED)
    clocks.wall += jump * SECOND
    here.controller.step()
    assert here.state(1) == VERIFIED
    assert f"set {'ahead' if jump > 0 else 'back'} by {abs(jump)} s" in here.bell.of("clock")[0]
    clocks.pass_(30)
    here.controller.close()
    here.start()  # the process dies; the machine does not
    here.controller.step()
    assert here.state(1) == VERIFIED and 1 in here.toys[0].rules()
    clocks.pass_(29)
    here.controller.step()
    assert here.state(1) == VERIFIED
    clocks.pass_(1)
    here.controller.step()
    assert here.state(1) == EXPIRED
    wait_for(lambda: not here.toys[0].rules())


def test_new_records_follow_the_new_time_once_nothing_is_in_force(site) -> None:
    clocks = Clocks()
    here = site(clocks=clocks)
    here.consider(intent(1, ttl=60))
    here.comes_to(1, VERIFIED)
    clocks.wall += 1000 * SECOND
    here.controller.step()
    assert here.controller.clock.now() == NOW
    here.controller.revoke([1], "ana", "done")
    here.controller.step()
    assert here.controller.clock.now() == NOW + 1000 * SECOND
    here.controller.step()
    assert any(text.startswith("over") for text in here.bell.of("clock"))


@pytest.mark.parametrize(("wall", "left"), [(30, 30), (-5000, 60), (5000, 0)])
def test_after_a_restart_of_the_machine_the_log_bounds_the_time_of_day(
    site, tmp_path: Path, wall: int, left: int
) -> None:
    """Set back: at most its whole time from the latest record. Set ahead: it ends now."""
    clocks = Clocks()
    here = site(clocks=clocks)
    here.consider(intent(1, ttl=60))
    here.comes_to(1, VERIFIED)
    here.controller.close()
    clocks.wall += wall * SECOND
    clocks.since_boot = 5 * SECOND
    log = IntentLog(tmp_path / "contain", up=clocks.up, boot="another")
    here.controller = controller(
        tmp_path / "contain", here.toys, here.verdicts, clocks=clocks, log=log, bell=here.bell
    )
    if left:
        here.controller.step()
        assert here.state(1) == VERIFIED
        clocks.pass_(left - 1)
        here.controller.step()
        assert here.state(1) == VERIFIED
        clocks.pass_(1)
    here.controller.step()
    assert here.state(1) == EXPIRED


def test_what_waits_ends_too(site) -> None:
    clocks = Clocks()
    here = site(clocks=clocks)
    here.verdicts.decision = "needs-approval"
    here.consider(intent(1, ttl=60))
    clocks.pass_(61)
    here.controller.step()
    assert here.state(1) == EXPIRED


# ---------------------------------------------------------------------- modes


def test_in_mode_manual_cases_are_tried_dry_and_people_are_obeyed(site) -> None:
    here = site(mode="manual")
    here.consider(intent(1))
    assert here.state(1) == DRY_RUN
    assert here.controller.propose(intent(2), "ana").state == ACCEPTED
    here.comes_to(2, VERIFIED)
    assert list(here.toys[0].rules()) == [2]
    new = here.controller.enact(1, "ana")
    here.comes_to(new.intent.id, VERIFIED)
    here.comes_to(1, REVOKED)
    assert new.intent.requested_by == "ana" and new.intent.subject == intent(1).subject
    with pytest.raises(Conflict, match="no dry run"):
        here.controller.enact(2, "ana")


def test_in_mode_dry_run_people_are_not_obeyed_either(site) -> None:
    here = site(mode="dry-run")
    assert here.controller.propose(intent(2), "ana").state == DRY_RUN
    with pytest.raises(ValueError, match="the mode is dry-run"):
        here.controller.enact(2, "ana")
    assert not here.toys[0].calls


def test_a_dry_run_of_before_does_not_stand_in_the_way_of_earnest(site) -> None:
    here = site(mode="dry-run")
    here.consider(intent(1))
    here.controller.close()
    here.mode = "auto"
    here.start()
    here.consider(intent(1).with_(id=2))
    here.comes_to(2, VERIFIED)


def test_from_auto_to_manual_only_what_people_wanted_stays(site) -> None:
    here = site()
    here.consider(intent(1))
    here.controller.propose(intent(2), "ana")
    here.verdicts.decision = "needs-approval"
    here.consider(intent(3))
    here.controller.approve(3, "ana")
    for number in (1, 2, 3):
        here.comes_to(number, VERIFIED)
    here.controller.close()
    here.mode = "manual"
    here.start()
    wait_for(lambda: set(here.toys[0].rules()) == {2, 3}, step=here.controller.step)
    assert here.state(1) == REVOKED


# ---------------------------------------------------------------------- hosts that move


def test_a_host_that_moves_is_followed_and_its_old_address_let_go(site) -> None:
    here = site()
    here.verdicts.decision = "needs-approval"
    here.consider(intent(1))
    here.controller.approve(1, "Bea")
    here.comes_to(1, VERIFIED)
    here.verdicts.moved = {"ws-1": ("192.0.2.99",)}
    here.controller.update(terrain="leases changed")
    here.controller.step()
    assert here.state(1) == REVOKED and "moved" in here.controller.log.get(1).reasons[0]
    [new] = here.controller.log.live()
    assert new.intent.subject.addresses == ("192.0.2.99",) and new.approvals == ("Bea",), (
        "nobody is asked twice"
    )
    here.comes_to(new.intent.id, VERIFIED)
    wait_for(lambda: list(here.toys[0].rules()) == [new.intent.id])
    assert "ws-1 moved" in here.bell.of("moved")[0]
    here.verdicts.moved = {"ws-1": ()}
    here.controller.update(terrain="the list could not be read")
    here.controller.step()
    assert here.state(new.intent.id) == VERIFIED, "nobody is let go because a list is empty"
    assert "no address of ws-1 is known" in here.bell.of("moved")[-1]
    here.verdicts.others = {"ws-1": "192.0.2.99 is of ws-5 now"}
    here.controller.update(terrain="leases changed")
    here.controller.step()
    assert (
        here.state(new.intent.id) == REVOKED and "ws-5" in here.controller.log.get(new.intent.id).reasons[0]
    )


def test_what_waited_is_looked_up_again_before_it_is_done(site) -> None:
    here = site()
    here.verdicts.decision = "needs-approval"
    here.consider(intent(1))
    here.verdicts.moved = {"ws-1": ("192.0.2.99",)}
    state = here.controller.approve(1, "Bea")
    assert state.state == ACCEPTED and state.intent.subject.addresses == ("192.0.2.99",)
    assert here.state(1) == REVOKED
    here.comes_to(state.intent.id, VERIFIED)


# ---------------------------------------------------------------------- what must not go unnoticed


def test_idle_waits_for_what_is_taken_away_and_for_the_kill_switch(site) -> None:
    here = site()
    here.consider(intent(1), intent(2))
    here.comes_to(1, VERIFIED)
    here.comes_to(2, VERIFIED)
    wait_for(here.controller.idle, step=here.controller.step)
    here.toys[0].down = "cable cut"
    here.controller.revoke([1], "ana", "false alarm")
    time.sleep(0.1)
    assert not here.controller.idle(), "the rule is still there"
    here.toys[0].down = ""
    wait_for(here.controller.idle, step=here.controller.step)
    assert set(here.toys[0].rules()) == {2}
    here.toys[0].down = "cable cut"
    here.controller.kill_switch("ana", "stop")
    time.sleep(0.1)
    assert not here.controller.idle(), "the kill switch did not get through"
    here.toys[0].down = ""
    wait_for(here.controller.idle, step=here.controller.step)
    assert not here.toys[0].rules()


def test_an_enforcer_that_is_configured_no_more_and_holds_something_is_an_alarm(site) -> None:
    here = site(toys=2)
    here.consider(intent(1))
    here.comes_to(1, VERIFIED)
    wait_for(lambda: len(here.controller.log.get(1).receipts) == 2, step=here.controller.step)
    here.controller.close()
    gone = here.toys.pop()
    here.start()
    here.controller.step()
    (said,) = here.bell.of("enforcer-absent")
    assert gone.name in said and "1 intent and is not configured any more" in said
    assert gone.rules(), "nobody can take it away"


def test_a_judge_that_fails_on_one_proposal_stops_neither_ends_nor_the_others(site) -> None:
    here = site()
    here.controller.close()
    log = IntentLog(here.folder / "contain")
    log.append([IntentEvent(1, PROPOSED, "ana", NOW)], {1: intent(1, requested_by="ana")})
    log.close()
    here.verdicts.harder = True
    here.toys[0].open_paths = (QUIC,)
    here.start()

    def broken(*given: object) -> None:
        raise RuntimeError("nobody thought of that")

    object.__setattr__(here.controller._judge(), "escalate", broken)
    here.controller.step()
    assert any("cannot be judged (RuntimeError" in text for text in here.bell.of("guard"))
    here.controller.kill_switch("ana", "stop")
    assert here.state(1) == REVOKED
