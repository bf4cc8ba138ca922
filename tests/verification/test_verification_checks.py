"""What is acted on, what is dismissed, and what is not dismissed because nobody can know."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest
from case_world import (
    ATTACKER,
    DAY,
    HOUR,
    INSIDE,
    MINUTE,
    NOW,
    PC,
    SERVER,
    _table,
    asset,
    case,
    conversations,
    episode,
    facts,
    outbound,
    proofs,
    refused,
    services,
    talk,
    verdicts,
)

from andon.records.alert import BLOCKED
from andon.records.case import FAILED, NOT_KNOWN, PASSED, Verification
from andon.records.triage import EPISODES
from andon.triage.verification import TableFacts, verify

SCANNERS = {"scanners": pa.table({"cidr": [f"{ATTACKER}/32"]})}
BLACK = pa.table({"value": [ATTACKER], "type": ["address"], "colour": ["black"], "list": ["feed"]})


def outcome(result: Verification, name: str) -> str:
    return next(check.outcome for check in result.checks if check.name == name)


def test_no_flow_is_not_no_answer() -> None:
    result = verify(case(episode()), facts())
    assert outcome(result, "answered") == NOT_KNOWN
    assert result.decision == "inspect"


def test_an_attempt_that_nobody_answered_is_dismissed() -> None:
    result = verify(case(episode()), facts([refused(0, ATTACKER, SERVER, 443)]))
    assert outcome(result, "answered") == FAILED
    assert result.decision == "dismiss"


def test_unanswered_flows_that_are_fewer_than_the_alerts_dismiss_nothing_at_an_open_port() -> None:
    rows = [refused(0, ATTACKER, SERVER, 443, 2)]
    assert verify(case(episode(alerts=3)), facts(rows)).decision == "inspect"
    assert verify(case(episode(alerts=2)), facts(rows)).decision == "dismiss"
    closed = episode(alerts=3, targets=[f"{SERVER}:8080/tcp"])
    assert verify(case(closed), facts([refused(0, ATTACKER, SERVER, 8080, 2)])).decision == "dismiss"


def test_an_answer_at_another_port_takes_the_ground_away() -> None:
    rows = [refused(0, ATTACKER, SERVER, 443), talk(1, ATTACKER, SERVER, 22)]
    assert verify(case(episode()), facts(rows)).decision == "inspect"


def test_a_blind_sensor_dismisses_nothing() -> None:
    rows = [refused(0, ATTACKER, SERVER, 443)]
    assert verify(case(episode()), facts(rows, seen=30, unseen=70)).decision == "inspect"


def test_udp_needs_no_answer() -> None:
    rows = [refused(0, ATTACKER, SERVER, 1900) | {"protocol": "udp"}]
    one = episode(targets=[f"{SERVER}:1900/udp"], title="EXPLOIT overflow")
    result = verify(case(one), facts(rows, services=services(443, 22, 1900)))
    assert outcome(result, "answered") == NOT_KNOWN
    assert result.decision == "inspect"


def test_malware_that_calls_a_dead_server_is_still_malware() -> None:
    result = verify(case(outbound()), facts([refused(0, PC, ATTACKER, 443)]))
    assert outcome(result, "answered") == FAILED
    assert result.decision != "dismiss"


def test_malware_that_was_blocked_is_still_there() -> None:
    result = verify(case(outbound(disposition=BLOCKED)), facts([refused(0, PC, ATTACKER, 443)]))
    assert result.decision != "dismiss"


def test_blocked_and_the_flows_agree() -> None:
    rows = [talk(0, ATTACKER, SERVER, 443, bytes_in=0, largest_in=0)]
    assert verify(case(episode(disposition=BLOCKED)), facts(rows)).decision == "dismiss"


def test_blocked_says_the_product_but_the_flows_went_on() -> None:
    rows = [talk(0, ATTACKER, SERVER, 443, bytes_in=90_000, largest_in=90_000)]
    result = verify(case(episode(disposition=BLOCKED)), facts(rows))
    assert outcome(result, "blocked") == NOT_KNOWN
    assert result.decision != "dismiss"


def test_a_list_alone_dismisses_nothing() -> None:
    """Nothing answers that the list names, or the host is not seen: the list is all there is."""
    found = asset("nginx", 443, 22)
    rows = [talk(0, ATTACKER, SERVER, 443)]
    blind = facts(rows, services=services(), assets=found, seen=30, unseen=70)
    result = verify(case(episode()), blind)
    assert outcome(result, "runs") == FAILED
    assert result.decision == "inspect"


def test_a_list_that_flows_contradict_says_nothing() -> None:
    rows = [talk(0, ATTACKER, SERVER, 443)]
    result = verify(case(episode()), facts(rows, assets=asset("nginx", 25, 993)))
    assert outcome(result, "runs") == NOT_KNOWN
    assert result.decision == "inspect"


def test_a_list_borne_out_with_a_quiet_host_and_a_usual_answer_dismisses() -> None:
    rows = [talk(0, ATTACKER, SERVER, 443)]
    result = verify(case(episode()), facts(rows, assets=asset("nginx", 443, 22)))
    assert (outcome(result, "runs"), outcome(result, "behaviour"), outcome(result, "session")) == (
        FAILED,
        FAILED,
        FAILED,
    )
    assert result.decision == "dismiss"
    unlike = [talk(0, ATTACKER, SERVER, 443, largest_in=200_000, bytes_in=200_000)]
    assert verify(case(episode()), facts(unlike, assets=asset("nginx", 443, 22))).decision == "inspect"


def test_who_runs_what_is_attacked_is_not_dismissed() -> None:
    rows = [talk(0, ATTACKER, SERVER, 443)]
    result = verify(case(episode()), facts(rows, assets=asset("Apache Struts 2.3", 443, 22)))
    assert outcome(result, "runs") == PASSED
    assert result.decision == "inspect"


def test_a_host_that_calls_its_attacker_is_acted_on() -> None:
    rows = [talk(0, ATTACKER, SERVER, 443), talk(5, SERVER, ATTACKER, 4444)]
    result = verify(case(episode()), facts(rows, assets=asset("Apache Struts 2.3", 443, 22)))
    assert outcome(result, "behaviour") == PASSED
    assert result.decision == "act"
    assert verify(case(episode()), facts(rows, assets=asset("nginx", 443, 22))).decision != "dismiss"


@pytest.mark.parametrize(
    "rows",
    [
        [talk(5, SERVER, "192.0.2.200", 443)],  # a new destination of a host with few
        [talk(5, SERVER, "203.0.113.50", 443, bytes_out=900_000_000)],  # much sent
        [talk(5, SERVER, f"10.0.3.{n}", 445, failed=1) for n in range(12)],  # a sweep
        [talk(45, ATTACKER, SERVER, 443), talk(75, ATTACKER, SERVER, 443)],  # he comes back
        [talk(5, SERVER, "203.0.113.50", 443, 600)],  # a flood
        [talk(5, SERVER, "10.0.9.9", 3389)],  # a service it never used
    ],
)
def test_a_change_of_behaviour_keeps_a_case_open(rows: list[dict[str, Any]]) -> None:
    rows = [talk(0, ATTACKER, SERVER, 443), *rows]
    result = verify(case(episode()), facts(rows, assets=asset("nginx", 443, 22)))
    assert outcome(result, "behaviour") == PASSED
    assert result.decision != "dismiss"


def test_what_is_new_in_the_first_hours_of_a_sensor_is_hardly_news_and_dismisses_nothing() -> None:
    new = [talk(0, ATTACKER, SERVER, 443), *(talk(5, SERVER, f"10.0.3.{n}", 445) for n in range(12))]
    struts = asset("Apache Struts 2.3", 443, 22)
    old = talk(-60, SERVER, "10.0.0.53", 53)
    told, proved = proofs(100, 0)
    seen = [row for row in [*new, old, *proved] if row["first"] >= NOW - HOUR]
    tables = {
        "triage.evidence:conversations": conversations(seen),
        "triage.evidence:services": services(443, 22),
        "triage.screening:episodes": _table(told, EPISODES),
    }
    young = verify(case(episode()), TableFacts(tables, INSIDE, assets=struts))
    grown = verify(case(episode()), facts(new, assets=struts))
    assert outcome(young, "behaviour") == outcome(grown, "behaviour") == PASSED
    assert (young.decision, grown.decision) == ("inspect", "act")
    assert "nearly everything is new" in young.statement
    back = [*seen, talk(5, SERVER, ATTACKER, 4444)]  # that a victim calls its attacker is news at any time
    tables["triage.evidence:conversations"] = conversations(back)
    assert verify(case(episode()), TableFacts(tables, INSIDE, assets=struts)).decision == "act"


def test_nothing_new_is_not_said_of_a_sensor_that_misses_much_nor_of_a_short_time() -> None:
    rows = [talk(0, ATTACKER, SERVER, 443)]
    assert outcome(verify(case(episode()), facts(rows, seen=70, unseen=30)), "behaviour") == NOT_KNOWN
    late = episode(first=NOW + 4 * HOUR, last=NOW + 4 * HOUR)
    assert outcome(verify(case(late), facts(rows)), "behaviour") == NOT_KNOWN


def test_a_sanctioned_scanner_may_scan_but_is_not_to_be_called() -> None:
    rows = [talk(0, ATTACKER, SERVER, 443)]
    assert verify(case(episode()), facts(rows, scanners=SCANNERS)).decision == "dismiss"
    rows.append(talk(5, SERVER, ATTACKER, 4444))
    assert verify(case(episode()), facts(rows, scanners=SCANNERS)).decision != "dismiss"
    other = episode(sources=[ATTACKER, "192.0.2.77"])
    assert verify(case(other), facts(rows, scanners=SCANNERS)).decision != "dismiss"


def test_a_rule_known_to_be_false_here_needs_two_analysts_and_a_quiet_host() -> None:
    rows = [talk(0, ATTACKER, SERVER, 443)]
    assert verify(case(episode()), facts(rows, verdicts=verdicts("false-positive", 60))).decision == "dismiss"
    for said in (
        verdicts("false-positive", 60, analysts=1),
        verdicts("false-positive", 15),
        verdicts("false-positive", 60, shown="bulk"),
        verdicts("false-positive", 60, time=NOW + 1),
        verdicts("false-positive", 60, rule="other"),
        verdicts("unsure", 60),
    ):
        assert verify(case(episode()), facts(rows, verdicts=said)).decision == "inspect"
    rows.append(talk(5, SERVER, ATTACKER, 4444))
    assert verify(case(episode()), facts(rows, verdicts=verdicts("false-positive", 60))).decision != "dismiss"


def test_a_rule_that_was_right_is_believed() -> None:
    result = verify(case(episode()), facts(verdicts=verdicts("true-positive", 20)))
    assert outcome(result, "known-false") == PASSED


def test_a_popular_destination_is_no_command_server_unless_it_is_black() -> None:
    popular = outbound(targets=["203.0.113.60:443/tcp"])
    assert verify(case(popular), facts()).decision == "dismiss"
    black = pa.table({"value": ["203.0.113.60"], "type": ["address"], "colour": ["black"], "list": ["feed"]})
    assert verify(case(popular), facts(reputation=black)).decision != "dismiss"


def test_steady_calls_to_a_black_listed_address_are_acted_on() -> None:
    rows = [talk(10 * n, PC, ATTACKER, 443) for n in range(6)]
    result = verify(case(outbound()), facts(rows, reputation=BLACK))
    assert result.decision == "act"


def test_a_black_list_says_little_of_a_scanner() -> None:
    rows = [refused(0, ATTACKER, SERVER, 443)]
    assert verify(case(episode()), facts(rows, reputation=BLACK)).decision == "dismiss"


FAILED_LOGIN = {
    "title": "sshd: brute force",
    "product": "wazuh",
    "rule": "5763",
    "targets": [],
    "host": "web",
    "category": "",
}
LOGIN = FAILED_LOGIN | {
    "title": "sshd: authentication success.",
    "rule": "5715",
    "severity": 1,
    "tier": "screened",
}


def guessed(flows: int = 200) -> dict[str, Any]:
    return talk(0, ATTACKER, SERVER, 22, flows, largest_in=2_000, bytes_in=1_900 * flows)


def test_who_failed_often_and_then_logged_in_is_acted_on() -> None:
    got_in = episode(id="e2", first=NOW + 9 * MINUTE, last=NOW + 9 * MINUTE, **LOGIN)
    result = verify(case(episode(alerts=25, **FAILED_LOGIN)), facts([guessed()], [got_in]))
    assert outcome(result, "log-in") == PASSED
    assert result.decision == "act"


def test_a_log_that_tells_of_others_but_not_of_him() -> None:
    other = episode(id="e2", first=NOW - DAY, last=NOW - DAY, **(LOGIN | {"sources": [PC]}))
    one = case(episode(alerts=25, **FAILED_LOGIN))
    assert verify(one, facts([guessed()], [other])).decision == "dismiss"
    assert verify(one, facts([guessed()])).decision == "inspect"  # a log that never tells of a log-in
    session = talk(0, ATTACKER, SERVER, 22, 200, largest_in=300_000, bytes_in=700_000, longest=900 * 10**9)
    assert verify(one, facts([session], [other])).decision != "dismiss"


def test_one_bad_episode_keeps_the_whole_case() -> None:
    rows = [refused(0, ATTACKER, SERVER, 443)]
    harmless, other = episode(), episode(id="e2", rule="9", targets=[f"{SERVER}:22/tcp"])
    assert verify(case(harmless, other), facts(rows)).decision == "inspect"


def test_findings_of_other_engines_speak_against_dismissal() -> None:
    finding = {
        "id": "f", "engine": "livenet.proxygraph", "kind": "infected-terminal", "severity": "high", "title": "infected",
        "confidence": 0.9, "first_seen": "2026-04-08T00:00:00Z", "last_seen": "2026-04-08T01:00:00Z",
        "subject": {"type": "ipv4-addr", "value": SERVER}, "entities": [],
    }  # fmt: skip
    rows = [refused(0, ATTACKER, SERVER, 443)]
    result = verify(case(episode(), findings=(finding,)), facts(rows))
    assert outcome(result, "independent") == PASSED
    assert result.decision != "dismiss"
    assert verify(case(findings=(finding,)), facts()).decision in ("act", "inspect")
    own = finding | {"kind": "alert-episode", "engine": "triage.screening"}
    assert verify(case(episode(), findings=(own,)), facts(rows)).decision == "dismiss"


def test_without_any_facts_everything_is_inspected() -> None:
    empty = TableFacts({})
    for one in (
        episode(),
        outbound(),
        episode(sources=[], targets=[]),
        episode(sources=["?"], targets=["x:y/z", ":"]),
    ):
        assert verify(case(one), empty).decision == "inspect"


def test_what_others_wrote_is_neutral_in_statements_and_quoted_in_sql() -> None:
    bad = "x'; DROP TABLE a; --"
    one = episode(host=bad, title="<script>http://evil.example/</script>", sources=[bad], product=bad)
    result = verify(case(one), facts([talk(0, bad, SERVER, 443)]))
    text = " ".join([result.statement, *(c.statement for c in result.checks)])
    assert "http://evil.example" not in text
    checks = [e.check for c in result.checks for e in c.evidence if e.check]
    assert checks and all("'x'; DROP" not in check.expression for check in checks)


def test_times_of_conversations_may_be_of_any_day() -> None:
    assert TableFacts({"triage.evidence:conversations": conversations([])}).observed() == (0, 0)


def test_coverage_is_measured_on_the_hosts_whose_flows_were_given() -> None:
    rows = [refused(0, ATTACKER, SERVER, 443)]
    told = [
        episode(id=f"q{n}", first=NOW - n * MINUTE, last=NOW - n * MINUTE, tier="screened") for n in range(20)
    ]
    seen = [refused(-n, ATTACKER, SERVER, 443) for n in range(20)]
    others = facts([*rows, *seen], told, seen=0, unseen=400)  # of these hosts no flows were given
    assert others.coverage().share < 0.1
    mine = facts([*rows, *seen], told, seen=0, unseen=400, concerned=[SERVER])
    assert mine.coverage().of == 20 and mine.coverage().share > 0.85
    assert verify(case(episode()), others).decision == "inspect"
    assert verify(case(episode()), mine).decision == "dismiss"
