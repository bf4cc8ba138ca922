"""Checks over the flows between the two ends: did the target answer, was it a session, was it blocked, was it a
spray."""

from __future__ import annotations

from typing import Final

import numpy as np

from andon.records.alert import ALLOWED, BLOCKED
from andon.records.finding import Evidence
from andon.triage.verification.answer import Answer, among, counted, during, failed, passed, quoted, unknown
from andon.triage.verification.view import HARDLY, HOUR, PAST, SLACK, View

TABLE: Final = "triage.evidence:conversations"
SECOND: Final = 1_000_000_000
MANY: Final = 10  # targets of one source that make it a spray
PATIENCE: Final = 30  # tries that nobody makes by hand
SMALL: Final = 2_000  # bytes: a handshake and an error message
_LESS: Final = (
    0.5  # share of pairs that the flows must show, lest what they do not show be held against a case
)


def answered(view: View) -> Answer:
    """Did the target answer?"""
    name, attempt, rows = "answered", view.attempt, view.pair
    if not attempt.peers or attempt.inbound is None:
        return unknown(name, "The alert does not name both ends.")
    if not len(rows):
        return unknown(
            name, "No flow between the two ends is known, which does not mean that there was none."
        )
    ours, theirs = list(attempt.victim), list(attempt.peers)
    src, dst = (theirs, ours) if attempt.inbound else (ours, theirs)
    where = f"{among('src', src)} AND {among('dst', dst)} AND {during(attempt.first - SLACK, attempt.last + SLACK + 1)}"
    ports = sorted({port for _, port, _ in attempt.ports if port >= 0})
    if ports:
        where += f" AND port IN ({', '.join(map(str, ports))})"
    good = int(rows.good.sum())
    flows = int(rows.flows.sum())
    who = "The target" if attempt.inbound else "The other end"
    if good:
        fact = counted(f"{good:,} of {flows:,} flows were answered.", TABLE, f"{where} AND flows > failed + unknown",
                       int((rows.good > 0).sum()))  # fmt: skip
        return passed(name, f"{who} answered {good:,} of {flows:,} connections.", fact)
    if int(rows.unknown.sum()):
        return unknown(name, "The flow sensor does not say whether there was an answer.")
    if "udp" in set(rows.protocol.tolist()):
        return unknown(name, "UDP: an attack needs no answer.")
    fact = counted(f"None of {flows:,} flows was answered.", TABLE, f"{where} AND failed = flows", len(rows))
    ground = bool(attempt.inbound) and _nothing_else(view) and _trusted(view)
    if ground and flows < attempt.alerts and not _closed(view):
        ground = False  # more was tried than the flows show, at a port that may answer
    return failed(name, f"{who} answered none of {flows:,} connections.", fact, ground=ground)


def _nothing_else(view: View) -> bool:
    """No answered flow between the two on any port, in either direction."""
    return not int(view.together.good.sum())


def _trusted(view: View) -> bool:
    return view.facts.coverage().share >= _LESS


def _closed(view: View) -> bool:
    """The target answers others, but nobody on these ports."""
    services = view.facts.services(view.attempt.victim)
    ports = {port for _, port, _ in view.attempt.ports}
    served = view.served
    open_now = np.isin(served.port, list(ports)) & (served.good > 0)
    return bool(services) and not any(s.port in ports for s in services) and not bool(open_now.any())


def session(view: View) -> Answer:
    """Is one flow much larger or longer than what this target usually gives?"""
    name, attempt, rows = "session", view.attempt, view.pair
    if not len(rows) or not attempt.inbound:
        return unknown(name, "No flows of an attempt from elsewhere.")
    flows = int(rows.flows.sum())
    largest, longest = int(rows.largest_in.max()), int(rows.longest.max())
    if attempt.login and flows >= 5:
        rest = max(flows - 1, 1)
        mean = max(int(rows.back.sum()) - largest, 0) / rest
        sent = max(int(rows.out.sum()) - int(rows.largest_out.max()), 0) / rest
        many = largest > 10_000 and largest > 4 * mean
        many |= int(rows.largest_out.max()) > 10_000 and int(rows.largest_out.max()) > 4 * sent
        if many or longest > 90 * SECOND:
            return passed(
                name, f"Among {flows:,} short tries one was a session: "
                f"{largest:,} bytes back, {longest // SECOND:,} s.",
                _largest(view, largest), strength=min(1.0, flows / PATIENCE), hard=flows >= PATIENCE,
            )  # fmt: skip
        return failed(name, f"All of {flows:,} tries are alike; none was a session.", _largest(view, largest))
    usual = view.served.where(np.isin(view.served.port, list({p for _, p, _ in attempt.ports})))
    usual = usual.where(usual.good > 0)
    if int(usual.flows.sum()) < 10:
        return unknown(name, "Too little is known of what the target usually answers.")
    most, wait = int(usual.largest_in.max()), int(usual.longest.max())
    up = int(usual.largest_out.max())
    if (largest > 2 * most and largest > SMALL) or (longest > 2 * wait and longest > 60 * SECOND) or (
        int(rows.largest_out.max()) > 5 * up and int(rows.largest_out.max()) > 10 * SMALL
    ):  # fmt: skip
        return passed(
            name, f"A flow is unlike what the target gives others: {largest:,} bytes back (others at most {most:,}), "
            f"{longest // SECOND:,} s (others at most {wait // SECOND:,}).", _largest(view, largest),
        )  # fmt: skip
    return failed(name, "What came back is no more than the target gives everybody.", _largest(view, largest))


def _largest(view: View, largest: int) -> Evidence:
    attempt = view.attempt
    where = f"{among('src', attempt.peers)} AND {among('dst', attempt.victim)} AND largest_in = {largest}"
    where += f" AND {during(attempt.first - SLACK, attempt.last + SLACK + 1)}"
    rows = view.pair
    return counted(
        f"The largest answer has {largest:,} bytes.", TABLE, where, int((rows.largest_in == largest).sum())
    )


def blocked(view: View) -> Answer:
    """Did a product in the way block it?"""
    name, attempt = "blocked", view.attempt
    if attempt.disposition == ALLOWED:
        return passed(name, f"{quoted(attempt.product)} let it through.")
    if attempt.disposition != BLOCKED:
        return unknown(name, "The product does not say whether it was let through.")
    if not attempt.inbound:
        return failed(name, "All of it was blocked; that our side tried remains.", strength=0.3)
    rows = view.together
    if not len(rows):
        return failed(name, "The product blocked all of it; no flow shows it.", strength=0.7)
    through = (rows.good > 0) & ((rows.largest_in > SMALL) | among_rows(view))
    if through.any():
        return unknown(name, "The product says blocked, but flows between the two went on.")
    fact = counted(
        "No flow between the two carried more than a handshake back.", TABLE,
        f"{among('src', attempt.peers)} AND {among('dst', attempt.victim)} AND flows > failed + unknown AND "
        f"largest_in > {SMALL} AND {during(attempt.first - SLACK, view.until + SLACK)}", 0,
    )  # fmt: skip
    return failed(name, "All of it was blocked, and the flows agree.", fact, ground=_trusted(view))


def among_rows(view: View) -> np.ndarray:
    """Rows of ``together`` that the victim began."""
    held = frozenset(view.attempt.victim)
    return np.fromiter((text in held for text in view.together.src), np.bool_, len(view.together))


def spray(view: View) -> Answer:
    """Does the same source try many of ours?"""
    name, attempt = "spray", view.attempt
    if not attempt.inbound or not attempt.peers:
        return unknown(name, "Nobody came from elsewhere.")
    ports = {port for _, port, _ in attempt.ports if port >= 0}
    targets: set[str] = set()
    answers: set[str] = set()
    source = attempt.peers[0]
    table = view.facts.conversations((source,), attempt.first - HOUR, view.until)
    for src, dst, port, flows, bad in zip(
        *(table.column(n).to_pylist() for n in ("src", "dst", "port", "flows", "failed")), strict=True
    ):
        if src == source and (not ports or port in ports) and view.facts.inside(dst):
            targets.add(dst)
            if flows > bad:
                answers.add(dst)
    if len(targets) < MANY:
        return unknown(name, f"The source tried {len(targets)} of our addresses on these ports.")
    text = f"{source} tried {len(targets):,} of our addresses on the same ports, {len(answers):,} answered."
    where = (
        f"src = '{source}' AND {during(attempt.first - HOUR, view.until)}" if "'" not in source else "false"
    )
    fact = counted(text, TABLE, where, sum(s == source for s in table.column("src").to_pylist()))
    if view.facts.inside(source):
        if view.facts.sanctioned(source):
            return unknown(name, f"{text} It may.")
        past = view.facts.conversations((source,), attempt.first - PAST, attempt.first - HOUR)
        new = targets - set(past.column("dst").to_pylist())
        if len(new) < MANY:
            return unknown(name, f"{text} It is one of ours and knew most of them before.")
        text += " It is one of ours, and on no list of those that may scan."
        if view.young:
            text += " But flows are known since shortly before only, so it may have known them."
        return passed(name, text, fact, strength=HARDLY if view.young else 1.0, hard=True)
    return failed(
        name, f"{text} That is how the Internet is scanned.", fact, strength=0.5 + 0.5 * (not answers)
    )
