"""Checks beside the flows: other sources, what was said before, who may scan, log-ins, who it is."""

from __future__ import annotations

from typing import Final

from andon.records.alert import MEDIUM
from andon.records.finding import SEVERITIES
from andon.triage.verification.answer import Answer, among, counted, during, failed, passed, quoted, unknown
from andon.triage.verification.behaviour import POPULAR
from andon.triage.verification.contact import PATIENCE, TABLE
from andon.triage.verification.history import PRIOR, log_odds, posterior
from andon.triage.verification.subject import Subject, is_success, nanoseconds
from andon.triage.verification.view import BEFORE, CLOCK, HOUR, PAST, View

# Findings that say of a host of ours that it is in somebody else's hands.
TELLING: Final = frozenset(
    ("infected-terminal", "suspected-terminal", "own-host-alert", "asset-suspected-infected", "beacon", "malware-link",
     "suspected-url", "suspected-destination", "redirect-chain", "flow-anomaly", "user-at-risk")
)  # fmt: skip
_STRONG: Final = frozenset(("infected-terminal", "own-host-alert", "asset-suspected-infected"))
SURE: Final = 0.03  # upper bound of the share of true ones below which a signature is known to be false here
ENOUGH: Final = 20  # verdicts about the same host or the same other end
_PRIVILEGED: Final = ("root", "administrator", "admin", "domain admins", "system", "sa", "oracle", "postgres")
EPISODES: Final = "triage.screening:episodes"


def independent(view: View, case: Subject) -> Answer:
    """Do sources that know nothing of each other agree?"""
    name, attempt, facts = "independent", view.attempt, view.facts
    black = [
        (v, facts.reputation(v)[1])
        for v in (*attempt.peers, *attempt.names)
        if facts.reputation(v)[0] == "black"
    ]
    if black and not attempt.inbound:
        text = f"{quoted(black[0][0])} stands on the black list {quoted(black[0][1])}."
        return passed(name, text, hard=True)
    ours = {f["id"] for f in case.findings}
    near = facts.findings((*attempt.victim, *case.hosts), attempt.first - 24 * HOUR, view.until)
    others = [f for f in (*case.findings, *(f for f in near if f["id"] not in ours)) if f["kind"] in TELLING]
    strong = [f for f in others if f["kind"] in _STRONG or SEVERITIES.index(f["severity"]) >= 3]
    if strong:
        return passed(
            name, f"{strong[0]['engine']} says of this host: {quoted(strong[0]['title'])}", hard=True
        )
    if others:
        return passed(
            name, f"{others[0]['engine']} says of this host: {quoted(others[0]['title'])}", strength=0.5
        )
    products = sorted(
        {
            e["product"]
            for e in facts.episodes(attempt.called, attempt.first - HOUR, attempt.last + HOUR)
            if e["product"] != attempt.product and int(e["severity"]) >= MEDIUM
        }
    )
    if products:
        return passed(name, f"{quoted(products[0])} too raised an alert about this host.", strength=0.3)
    if black:
        return passed(
            name,
            f"{black[0][0]} stands on the black list {quoted(black[0][1])}, as scanners do.",
            strength=0.1,
        )
    return unknown(name, "No other source speaks of this host.")


def known(view: View) -> Answer:
    """Is the rule known to be false here, or to be right?"""
    name, attempt = "known-false", view.attempt
    said = view.facts.history(attempt.product, attempt.rule, attempt.called, attempt.peers, attempt.first)
    if said.true + said.false == 0:
        return unknown(name, "No verdict about this rule yet.")
    mean, upper = posterior(said)
    text = (
        f"Of {said.true + said.false:,} verdicts about this rule {said.true:,} were true; about this host or this "
        f"other end {said.here_true:,} of {said.here_true + said.here_false:,} (next one true: {100 * mean:.1f} %, at "
        f"most {100 * upper:.1f} %)."
    )
    odds = log_odds(min(max(mean, 0.001), 0.9)) - log_odds(PRIOR)
    if odds > 0.5:
        return passed(name, text, strength=min(1.0, odds / 3))
    if odds < -0.5:
        ground = upper <= SURE and said.here_false >= ENOUGH and not said.here_true and said.analysts >= 2
        return failed(name, text, strength=min(1.0, -odds / 3), ground=ground)
    return unknown(name, text)


def sanctioned(view: View) -> Answer:
    """May the source scan?"""
    name, attempt = "sanctioned", view.attempt
    lists = [view.facts.sanctioned(peer) for peer in attempt.peers]
    if not lists or not any(lists):
        return unknown(name, "The other end is on no list of sanctioned scanners.")
    if not attempt.inbound:
        return unknown(name, "The other end may scan; here our side went to it.")
    if not all(lists):
        return unknown(name, "Some of the sources may scan, others may not.")
    return failed(name, f"The source may scan (list {quoted(lists[0])}).", ground=True)


def log_in(view: View) -> Answer:
    """Did somebody get in?"""
    name, attempt = "log-in", view.attempt
    if not attempt.login:
        return unknown(name, "It is not about logging in.")
    day = view.facts.episodes(attempt.called, attempt.first - PAST, view.until)
    good = [e for e in day if is_success(f"{e['title']} {e['category']}".lower())]
    peers = frozenset(attempt.peers)
    begin = attempt.first - CLOCK
    # An episode that began before may go on; its last alert may be from after the attempt.
    mine = [e for e in good if peers & set(e["sources"])]
    after = [e for e in mine if nanoseconds(e["last"]) >= begin]
    before = [e for e in mine if nanoseconds(e["first"]) < begin - 6 * HOUR]
    names = list(attempt.called)
    where = f"({among('host', names)} OR {among('address', names)}) AND {during(attempt.first - PAST, view.until)}"
    # Spans of ten minutes and of a day both tell an episode.
    fact = counted("Episodes about this host in the week.", EPISODES, where, len(day), "DISTINCT id")
    if attempt.success and not after:
        after = [e for e in good if e["id"] == attempt.id]
    if after:
        came = quoted(", ".join(sorted(peers)[:2]))
        text = f"{quoted(after[0]['product'])}: {quoted(after[0]['title'])} (from {came})"
        inside = all(view.facts.inside(p) for p in peers)
        tries = max(attempt.alerts, int(view.pair.flows.sum()))
        if before and inside and tries < PATIENCE:
            return failed(
                name,
                f"{text}; it logs in there on other days too, and failed a few times only.",
                fact,
                ground=True,
            )
        if before or (attempt.success and not _failures(day, peers)):
            return unknown(name, f"{text}; it logs in there at other times too, or never failed.")
        strength = min(1.0, max(tries / PATIENCE, 0.0 if inside else 0.5))  # people mistype, a few times
        return passed(name, text, fact, strength=strength, hard=not inside or tries >= PATIENCE)
    if good and peers:
        return failed(
            name,
            f"The host's log tells of log-ins ({len(good):,} in the week), but of none from there.",
            fact,
            ground=True,
        )
    return unknown(name, "The host's log tells of no log-in at all, so its silence says nothing.")


def _failures(day: object, peers: frozenset[str]) -> bool:
    """Has one of the peers failed to log in?"""
    return any(
        peers & set(e["sources"])
        and not is_success(f"{e['title']} {e['category']}".lower())
        and int(e["severity"]) >= MEDIUM
        for e in day  # type: ignore[attr-defined]
    )


def popular(view: View) -> Answer:
    """Does everybody here go there?"""
    name, attempt = "popular", view.attempt
    if attempt.inbound is not False or not attempt.peers:
        return unknown(name, "Not about a destination of ours.")
    begin = attempt.first - BEFORE
    each = [(view.facts.clients(p, begin, attempt.first - CLOCK), p) for p in attempt.peers]
    few, peer = min(each)
    if any(view.facts.reputation(v)[0] == "black" for v in (*attempt.peers, *attempt.names)):
        return unknown(name, "It stands on a black list.")
    if few >= POPULAR:
        where = f"{among('dst', [peer])} AND {during(begin, attempt.first - CLOCK)}"
        rows = view.facts.conversations((peer,), begin, attempt.first - CLOCK)
        fact = counted("Conversations with it the day before.", TABLE,
                       where, sum(d == peer for d in rows.column("dst").to_pylist()))  # fmt: skip
        text = f"{few:,} of our hosts or more went to each of its destinations the day before."
        return failed(name, text, fact, strength=min(1.0, few / 10), ground=few >= 10)
    return unknown(name, f"{few:,} of our hosts went there the day before.")


def inside(view: View) -> Answer:
    """Does it come from the inside?"""
    name, attempt = "inside", view.attempt
    if not attempt.inbound or not attempt.peers:
        return unknown(name, "Nobody came from elsewhere.")
    within = [p for p in attempt.peers if view.facts.inside(p)]
    if within:
        return passed(name, f"The source {within[0]} is one of ours.")
    return failed(name, "The source is outside.")


def privileged(view: View) -> Answer:
    name = "privileged"
    users = [
        u
        for u in view.attempt.users
        if u.lower() in _PRIVILEGED or u.lower().startswith(("adm_", "adm-", "svc_"))
    ]
    if users:
        return passed(name, f"It is about {quoted(users[0])}, who may do anything.")
    return unknown(name, "No privileged user is named.")
