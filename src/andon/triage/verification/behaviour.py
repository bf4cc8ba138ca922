"""Did the victim behave differently afterwards?

Looked at is what the victim itself began: contact with the attacker, destinations outside where it had few, ports
it never used, much sent to one place, a sweep of the inside, contact that goes on at a steady pace, a flood of
requests to a server that it knew, and attackers who come back. Workstations meet new web sites all day, so a new
site alone says little of them. "Nothing changed" is said only if the victim was seen before and after, long enough,
by a sensor that shows most flows. "New" weighs little of a victim that was not seen long enough before: in the first
hours of a sensor everything is."""

from __future__ import annotations

from typing import Final

import numpy as np

from andon.records.finding import Evidence
from andon.triage.verification.answer import Answer, among, counted, during, failed, passed, unknown
from andon.triage.verification.contact import TABLE
from andon.triage.verification.view import BEFORE, CLOCK, HARDLY, HOUR, MINUTE, SLACK, Rows, View
from andon.triage.verification.view import among as among_texts

FEW: Final = 20  # destinations outside of a host that is no workstation
POPULAR: Final = 3  # of our hosts that go to a destination: nobody's secret
MUCH: Final = 20_000_000  # bytes
SWEEP: Final = 10  # addresses inside
WATCH: Final = 30 * MINUTE
KNOWN: Final = 50  # flows by which the sensor is known to see a host
SHARE: Final = 0.75  # of the traffic that the sensor must show
LATER: Final = 30 * MINUTE
FLOOD: Final = 25  # requests in ten minutes
STEADY: Final = 4  # spans of ten minutes in which a new contact goes on
EVERYDAY: Final = (53, 80, 123, 443)
ADMIN: Final = (22, 23, 135, 139, 445, 3389, 5900, 5985, 5986)


def behaviour(view: View) -> Answer:
    name, attempt = "behaviour", view.attempt
    if not attempt.victim:
        return unknown(name, "No address of the host is known.")
    before, after = view.sent_before, view.sent_after
    if not len(view.every):
        return unknown(name, "No flow of the host is known.")
    past = int(view.every.where(view.every.first < attempt.first - CLOCK).flows.sum())
    young = view.young
    news = [
        *_outside(view, before, after), *_within(view, before, after), *_surge(view, before, after)
    ]  # fmt: skip
    steady = _steady(view) if young else []  # that needs no past
    if young:
        known = {text for text, _, _ in steady}
        news = [(text, HARDLY * weight, fact) for text, weight, fact in news if text not in known]
    signs = [*_back(view), *steady, *news, *_much(view, before, after), *_again(view)]
    if signs:
        strength = min(1.0, sum(s[1] for s in signs))
        hard = max(s[1] for s in signs) >= 0.7
        text = " ".join(s[0] for s in signs[:3])
        if young and news:
            text += " But flows are known since shortly before only, so nearly everything is new."
        return passed(name, text, *(s[2] for s in signs[:3]), strength=strength, hard=hard)
    share = view.facts.coverage().share
    if share < SHARE:
        return unknown(
            name, f"Nothing new is seen, but the flows show only about {100 * share:.0f} % of the traffic."
        )
    if young or not past:
        return unknown(name, "The host was not seen before, so nothing can be new.")
    watched = view.until - attempt.first
    seen = view.every.where(view.every.last >= attempt.first + CLOCK)
    if watched < WATCH:
        return unknown(name, f"The host was watched for {watched // MINUTE} minutes only.")
    if int(seen.flows.sum()) < 3 and past < KNOWN:
        return unknown(name, "The host is hardly seen, before or after.")
    fact = counted(
        "Flows that the host began afterwards, all of a kind that it began before.", TABLE,
        f"{among('src', attempt.victim)} AND epoch_ns(last) >= {attempt.first - CLOCK} AND "
        f"epoch_ns(first) < {view.until}", int((after.first < view.until).sum()),
    )  # fmt: skip
    return failed(
        name, f"In {watched // MINUTE} minutes afterwards the host began nothing of a new kind.", fact
    )


Sign = tuple[str, float, Evidence]


def _fact(view: View, text: str, more: str, expected: int) -> Evidence:
    where = (
        f"{among('src', view.attempt.victim)} AND {more} AND {during(view.attempt.first - CLOCK, view.until)}"
    )
    return counted(text, TABLE, where, expected)


def _until(view: View, rows: Rows) -> Rows:
    return rows.where(rows.first < view.until)


def _back(view: View) -> list[Sign]:
    """The victim of somebody else's attempt calls him."""
    attempt = view.attempt
    if not attempt.inbound:
        return []
    peers = frozenset(attempt.peers)
    after = _until(view, view.sent_after)
    to = np.fromiter((d in peers for d in after.dst), np.bool_, len(after))
    known = {d for d in view.sent_before.dst if d in peers}
    back = [d for d in dict.fromkeys(after.dst[to].tolist()) if d not in known]
    if not back:
        return []
    text = f"Afterwards the host itself called {back[0]}, which it never had."
    rows = int(np.fromiter((d in back for d in after.dst), np.bool_, len(after)).sum())
    return [(text, 1.0, _fact(view, text, among("dst", back), rows))]


def _new(view: View, before: Rows, after: Rows) -> list[tuple[str, int, str]]:
    """(address, port, protocol) outside that answered, that the victim and hardly anybody else knew before."""
    known = set(before.dst.tolist())
    asked = {a for a, _, _ in view.attempt.ports} | set(view.attempt.peers)
    made: dict[tuple[str, int, str], None] = {}
    begin = view.attempt.first - BEFORE
    for row in np.flatnonzero((after.good > 0) & (after.first < view.until)).tolist():
        dst = after.dst[row]
        if dst in known or view.facts.inside(dst) or (view.attempt.inbound and dst in asked):
            continue
        if view.facts.clients(dst, begin, view.attempt.first - CLOCK) >= POPULAR:
            continue
        made[dst, int(after.port[row]), after.protocol[row]] = None
        if len(made) >= 500:
            break
    return list(made)


def _outside(view: View, before: Rows, after: Rows) -> list[Sign]:
    new = _new(view, before, after)
    if not new:
        return _steady(view)
    outside = {d for d in set(before.dst.tolist()) if not view.facts.inside(d)}
    used = set(zip(before.port.tolist(), before.protocol.tolist(), strict=True))
    signs: list[Sign] = []
    odd = [one for one in new if (one[1], one[2]) not in used and one[1] not in EVERYDAY]
    if odd:
        dst, port, protocol = odd[0]
        text = f"It began to use {port}/{protocol} outside (to {dst}), which it never had."
        signs.append((text, 0.8, _to(view, text, dst, port)))
    elif len(outside) <= FEW:
        dst, port, protocol = new[0]
        text = f"It called {dst} ({port}/{protocol}); this is new, and it has few outside ({len(outside)})."
        signs.append((text, 0.7, _to(view, text, dst, port)))
    after = _until(view, after)
    for dst, port, _ in new:
        rows = (after.dst == dst) & (after.port == port)
        if int(rows.sum()) >= STEADY:
            text = f"Contact with {dst}, which few others call, goes on over {int(rows.sum())} spans of ten minutes."
            signs.append((text, 0.7 if dst in view.attempt.peers else 0.4, _to(view, text, dst, port)))
            break
    return signs or _steady(view)


def _steady(view: View) -> list[Sign]:
    """The destination that the alert is about is called again and again, by hardly anybody else; since when does not
    matter, for a rule may be late."""
    attempt, sent = view.attempt, view.sent
    if attempt.inbound is not False:
        return []
    for peer in attempt.peers:
        if view.facts.inside(peer) or view.facts.clients(peer, attempt.first - BEFORE, view.until) >= POPULAR:
            continue
        rows = (sent.dst == peer) & (sent.last >= attempt.first - 4 * HOUR) & (sent.first < view.until)
        if int(rows.sum()) >= STEADY:
            text = f"It calls {peer}, which few others do, in {int(rows.sum())} spans of ten minutes."
            where = f"{among('src', attempt.victim)} AND {among('dst', [peer])} AND "
            where += during(attempt.first - 4 * HOUR, view.until)
            strength = 0.7 if int(sent.good[rows].sum()) else 0.5
            return [(text, strength, counted(text, TABLE, where, int(rows.sum())))]
    return []


def _to(view: View, text: str, dst: str, port: int) -> Evidence:
    after = _until(view, view.sent_after)
    rows = int(((after.dst == dst) & (after.port == port)).sum())
    return _fact(view, text, f"{among('dst', [dst])} AND port = {port}", rows)


def _much(view: View, before: Rows, after: Rows) -> list[Sign]:
    """Much sent to one place outside."""
    after = _until(view, after)
    total: dict[str, int] = {}
    for dst, out in zip(after.dst.tolist(), after.out.tolist(), strict=True):
        total[dst] = total.get(dst, 0) + out
    usual: dict[str, int] = {}
    for dst, out in zip(before.dst.tolist(), before.out.tolist(), strict=True):
        usual[dst] = usual.get(dst, 0) + out
    for dst, sent in sorted(total.items(), key=lambda item: -item[1]):
        if sent <= MUCH:
            break
        if sent <= 3 * usual.get(dst, 0) or view.facts.inside(dst):
            continue
        if view.facts.clients(dst, view.attempt.first - BEFORE, view.attempt.first - CLOCK) >= POPULAR:
            continue
        text = f"It sent {sent / 1e6:,.0f} MB to {dst}, where hardly anybody else goes."
        return [(text, 0.8, _fact(view, text, among("dst", [dst]), int((after.dst == dst).sum())))]
    return []


def _within(view: View, before: Rows, after: Rows) -> list[Sign]:
    """New contacts inside: a sweep, or a service for administrators that it never used."""
    facts, begin = view.facts, view.attempt.first - BEFORE
    after = _until(view, after)
    known = set(zip(before.dst.tolist(), before.port.tolist(), strict=True))
    ports = set(before.port.tolist())
    asked = {(a, p) for a, p, _ in view.attempt.ports}
    new: dict[int, set[str]] = {}
    for dst, port in zip(after.dst.tolist(), after.port.tolist(), strict=True):
        if (dst, port) not in known and (dst, port) not in asked and view.facts.inside(dst):
            new.setdefault(port, set()).add(dst)
    for port, targets in sorted(new.items(), key=lambda item: -len(item[1])):
        several = sum(1 for d, p in known if p == port)
        if len(targets) >= SWEEP and len(targets) > 3 * several:
            text = f"It went to {len(targets):,} addresses inside on port {port} that it had not known."
            rows = int(
                (
                    (after.port == port)
                    & np.fromiter((d in targets for d in after.dst), np.bool_, len(after))
                ).sum()
            )
            return [
                (
                    text,
                    1.0,
                    _fact(view, text, f"port = {port} AND {among('dst', list(targets)[:1000])}", rows),
                )
            ]
    for port in ADMIN:
        # A file server that everybody uses is no sign.
        strange = sorted(
            d for d in new.get(port, ()) if facts.clients(d, begin, view.attempt.first - CLOCK) < POPULAR
        )
        if strange and port not in ports:
            dst = strange[0]
            text = f"It went to {dst} on port {port}, which it had used nowhere."
            return [(text, 0.6, _to(view, text, dst, port))]
    return []


def _again(view: View) -> list[Sign]:
    """He who tried comes back later, and is answered: whoever sprays the Internet does not."""
    attempt, rows = view.attempt, view.together
    if not attempt.inbound or any(view.facts.inside(p) or view.facts.sanctioned(p) for p in attempt.peers):
        return []
    later = (rows.first > attempt.last + LATER) & (rows.good > 0) & among_texts(rows.src, attempt.peers)
    spans = int(np.unique(rows.first[later] // (10 * MINUTE)).size)
    if spans < 2:
        return []
    before = view.every.where(
        (view.every.first < attempt.first - HOUR) & among_texts(view.every.src, attempt.peers)
    )
    if len(before):
        return []  # a client of always
    text = f"Who tried came back after half an hour, in {spans} spans of ten minutes, and was answered."
    where = (
        f"{among('src', attempt.peers)} AND {among('dst', attempt.victim)} AND flows > failed + unknown AND "
    )
    where += f"epoch_ns(first) > {attempt.last + LATER} AND epoch_ns(first) < {view.until + SLACK}"
    return [(text, 0.7, counted(text, TABLE, where, int(later.sum())))]


def _surge(view: View, before: Rows, after: Rows) -> list[Sign]:
    """Many more requests to a server that it knew: what a tunnel through a name server looks like."""
    after = _until(view, after)
    most: dict[tuple[str, int], int] = {}
    for dst, port, flows in zip(
        before.dst.tolist(), before.port.tolist(), before.flows.tolist(), strict=True
    ):
        most[dst, port] = max(most.get((dst, port), 0), flows)
    for dst, port, flows in zip(after.dst.tolist(), after.port.tolist(), after.flows.tolist(), strict=True):
        if flows >= FLOOD and flows > 5 * most.get((dst, port), 0):
            known = most.get((dst, port), 0)
            text = f"It asked {dst} on port {port} {flows:,} times in ten minutes (before at most {known:,})."
            return [(text, 0.8, _to(view, text, dst, port))]
    return []
