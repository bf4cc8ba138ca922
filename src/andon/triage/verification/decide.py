"""From a case to a decision: act, inspect or dismiss.

Every episode is asked every question (``answer.NAMES``). A case is as bad as its worst episode: it is acted on if
one of them reaches the log-odds, and dismissed only if each of them may be dismissed. An episode may be dismissed
if

* its log-odds are below ``Weights.dismiss``,
* nothing hard speaks for an attack (a log-in after failures, contact with the attacker, a black-listed destination...),
* at least one trustworthy ground carries it: unanswered and nothing else between the two; blocked, and the flows
  agree; a fresh scan says that the target does not run it; known to be false here; a sanctioned scanner; a log that
  tells of log-ins but of none from there; a destination that everybody goes to. A list without a date, or flows
  that are missing, are none.
* unless the ground is that nothing reached the host, or that who came may come, the host was watched for at least half
  an hour and began nothing new.

Three that are weak by themselves make a ground together: an asset list that flows bear out says that the target runs
something else, what came back was nothing special, and the host began nothing new afterwards.

The costs are not alike: a look costs minutes, a lost attack the organisation. What is dismissed stays searchable, and a
random share of it is audited (``audited``), which tells how many were lost.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

import numpy as np
import pyarrow as pa

from andon.records.alert import LOW
from andon.records.case import FAILED, PASSED, CheckResult, Verification
from andon.records.finding import SEVERITIES
from andon.sketch.hashing import mix64
from andon.sketch.texts import text_keys
from andon.triage.verification import behaviour, contact, context, target
from andon.triage.verification.answer import NAMES, Answer, quoted
from andon.triage.verification.facts import Facts
from andon.triage.verification.subject import Attempt, Subject, attempt_of
from andon.triage.verification.view import View
from andon.triage.verification.weights import Weights

ACT, INSPECT, DISMISS = "act", "inspect", "dismiss"
MOST: Final = 60  # different episodes of a case that are asked
EPISODE: Final = "alert-episode"
BORNE_OUT: Final = 0.8  # how far a list must be believed
# Grounds that hold whatever the host did: nothing reached it, or who came may come.
_REACHED_NOTHING: Final = frozenset(("answered", "blocked", "sanctioned"))


def verify(case: Subject, facts: Facts, weights: Weights | None = None) -> Verification:
    """What an expert would find out about a case, and what to do with it. Nothing is looked up anywhere but in
    ``facts``."""
    weights = weights or Weights()
    attempts, more = _attempts(case, facts)
    if not attempts:
        return _findings_alone(case, weights)
    asked = []
    for attempt in attempts:
        answers = ask(attempt, case, facts)
        asked.append((log_odds(answers, weights), _may_go(answers, weights, attempt), attempt, answers))
    odds, _, worst, answers = max(asked, key=lambda a: (a[0], a[2].severity, a[2].id))
    # A finding about an episode (of screening) says nothing that the episode does not.
    weighty = [f for f in case.findings if f["kind"] != EPISODE and SEVERITIES.index(f["severity"]) >= 2]
    dismissable = all(may for _, may, _, _ in asked) and not more and not weighty
    decision = ACT if odds >= weights.act else DISMISS if dismissable else INSPECT
    results = tuple(_result(answer, weights) for answer in answers)
    return Verification(
        decision, odds, _statement(decision, odds, worst, answers, weights, len(attempts), more), results
    )


def ask(attempt: Attempt, case: Subject, facts: Facts) -> list[Answer]:
    """Every question, in the order of ``answer.NAMES``."""
    view = View.of(attempt, facts)
    made = [
        contact.answered(view), contact.session(view), contact.blocked(view), target.target(view),
        behaviour.behaviour(view), context.independent(view, case), context.known(view), context.sanctioned(view),
        context.log_in(view), contact.spray(view), context.popular(view), context.inside(view),
        context.privileged(view),
    ]  # fmt: skip
    return sorted(made, key=lambda answer: NAMES.index(answer.name))


def log_odds(answers: Sequence[Answer], weights: Weights) -> float:
    """Sum of the start and of what each answer weighs."""
    return weights.start + sum(weights.of(a.name, a.outcome, a.strength) for a in answers)


def audited(case: str, share: float, salt: int) -> bool:
    """Is a dismissed case among the random ones that are looked at all the same? The same case always is or is not;
    ``share``: of all, with which a finding of an audit is to be weighted (1 / share)."""
    key = text_keys(pa.array([case]))[0]
    return float(mix64(np.uint64(key), np.uint64(salt))) < share * 2.0**64


def _attempts(case: Subject, facts: Facts) -> tuple[list[Attempt], int]:
    """Attempts of a case, without those that say the same again, and how many more there are than are asked."""
    own: dict[str, None] = {}
    for address in case.addresses:
        own |= dict.fromkeys(facts.aliases(address))
    made: dict[tuple[object, ...], Attempt] = {}
    for episode in case.episodes:
        addresses = dict(own)
        if episode["address"]:
            addresses |= dict.fromkeys(facts.aliases(episode["address"]))
        attempt = attempt_of(episode, tuple(addresses))
        key: tuple[object, ...] = (attempt.id,)
        if attempt.context or attempt.severity <= LOW:
            key = (attempt.product, attempt.rule, attempt.peers)  # the same again says nothing new
        held = made.get(key)
        if held is None or attempt.last > held.last:
            made[key] = attempt
    ordered = sorted(made.values(), key=lambda a: (-a.severity, -a.alerts, a.first, a.id))
    return ordered[:MOST], max(len(ordered) - MOST, 0)


def _may_go(answers: Sequence[Answer], weights: Weights, attempt: Attempt) -> bool:
    by_name = {a.name: a for a in answers}
    if any(a.hard and a.outcome == PASSED for a in answers) or by_name["behaviour"].outcome == PASSED:
        return False
    if attempt.context:
        return log_odds(answers, weights) < weights.act
    if log_odds(answers, weights) > weights.dismiss:
        return False
    grounds = {a.name for a in answers if a.ground and a.outcome == FAILED}
    quiet = by_name["behaviour"].outcome == FAILED
    runs, session = by_name["runs"], by_name["session"]
    elsewhere = runs.outcome == FAILED and runs.strength >= BORNE_OUT
    if elsewhere and quiet and (session.outcome == FAILED or by_name["answered"].outcome != PASSED):
        return True  # three sources that have nothing to do with each other
    if not grounds:
        return False
    return quiet or bool(grounds & _REACHED_NOTHING)


def _result(answer: Answer, weights: Weights) -> CheckResult:
    weight = weights.of(answer.name, answer.outcome, answer.strength)
    return CheckResult(answer.name, answer.outcome, answer.statement, weight, answer.evidence)


def _findings_alone(case: Subject, weights: Weights) -> Verification:
    """A case without alerts: its engines' findings are the evidence, and there is no attempt to verify."""
    sure = max((float(f["confidence"]) for f in case.findings), default=0.0)
    odds = weights.start + math.log(max(min(sure, 0.99), 0.01) / (1 - max(min(sure, 0.99), 0.01))) / 2
    engines = sorted({f["engine"] for f in case.findings})
    result: tuple[CheckResult, ...] = ()
    if len(engines) > 1:
        weight = weights.of("independent", PASSED, 1.0)
        odds += weight
        text = f"{len(engines)} engines agree: {', '.join(engines[:4])}."
        result = (CheckResult("independent", PASSED, text, weight),)
    decision = ACT if odds >= weights.act else INSPECT
    return Verification(
        decision, odds, "The case has findings and no alert of another product to verify.", result
    )


def _statement(
    decision: str,
    odds: float,
    worst: Attempt,
    answers: Sequence[Answer],
    weights: Weights,
    number: int,
    more: int,
) -> str:
    said = [(weights.of(a.name, a.outcome, a.strength), a) for a in answers]
    against = decision == DISMISS
    told = sorted((s for s in said if (s[0] < 0) == against and s[0]), key=lambda s: -abs(s[0]))
    reasons = " ".join(_sentence(a.statement) for _, a in told[:3])
    reasons = reasons or "Nothing speaks clearly for or against it."
    head = {
        ACT: "Act on it.",
        INSPECT: "A look is needed.",
        DISMISS: "Nothing to do, as far as can be checked.",
    }[decision]
    share = 100 / (1 + math.exp(-max(min(odds, 30.0), -30.0)))
    which = f"the worst of {number:,} episodes" if number > 1 else "one episode"
    tail = (
        f" By {which}, “{quoted(worst.title or worst.rule)}”: {_percent(share)} % that it is worth acting on."
    )
    if more:
        tail += f" {more:,} further episodes were not asked, so it is not dismissed."
    return f"{head} {reasons}{tail}"


def _sentence(text: str) -> str:
    """A statement may end in a title, which ends as it likes.

    >>> _sentence("It is polled every 89 s"), _sentence("None answered.")
    ('It is polled every 89 s.', 'None answered.')
    """
    return text if text.endswith((".", "!", "?", ".)")) else f"{text}."


def _percent(share: float) -> str:
    """
    >>> _percent(99.8), _percent(42.3), _percent(0.02)
    ('more than 99', '42', 'less than 1')
    """
    if share > 99:
        return "more than 99"
    return f"{share:.0f}" if share >= 1 else "less than 1"
