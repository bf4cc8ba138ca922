"""Does the target run what is attacked? Asset lists say so, and grow old; flows show what really answers.

A row of a list counts for little by itself. It counts more if the ports that it names are the ones that answer
(*borne out*), and carries a dismissal only if it comes from a scan of the last two weeks and is borne out. A list that
flows contradict says nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from andon.records.asset import SCAN
from andon.triage.verification.answer import Answer, failed, passed, quoted, unknown
from andon.triage.verification.attacked import listed_ports, runs, told, wanted
from andon.triage.verification.subject import nanoseconds
from andon.triage.verification.view import View

DAY: Final = 86_400_000_000_000
OLD: Final = 180 * DAY
FRESH: Final = 14 * DAY


def target(view: View) -> Answer:
    name, attempt = "runs", view.attempt
    if not attempt.inbound:
        return unknown(name, "Nothing of ours is attacked from elsewhere.")
    if attempt.login:
        return unknown(name, "It is about logging in, which every system offers.")
    products = [p for cve in attempt.cves for p in view.facts.products(cve)]
    attacked = wanted(attempt.words, products)
    if not attacked:
        return _port(view)
    what = quoted(" or ".join(list(attacked)[:3]))
    assets = view.facts.assets(attempt.victim, attempt.first)
    rows = [(asset, told(asset)) for asset in assets]
    rows = [(asset, text) for asset, text in rows if text]
    if not rows:
        return unknown(name, f"It attacks {what}; no list says what the target runs.")
    for asset, text in rows:
        found = runs(text, attacked)
        if found:
            said = quoted(asset["source"] or asset["basis"])
            return passed(name, f"It attacks {what}, and the target runs that, says {said}.")
    # All say no. How far are they to be believed? A list may have a row for each port of a system.
    listed = frozenset(port for asset in assets for port in listed_ports(asset))
    best = max((_worth(view, asset, listed), -n) for n, (asset, _) in enumerate(rows))
    worth, asset = best[0], rows[-best[1]][0]
    said = quoted(
        ", ".join(filter(None, (asset["product"], asset["version"], asset["os"]))) or asset["device"]
    )
    source = quoted(asset["source"] or asset["basis"])
    if worth <= 0:
        return unknown(
            name, f"{source} says that the target runs {said}, but what it answers on contradicts the list."
        )
    ground = worth >= 1.0
    trust = (
        "a fresh scan that flows bear out"
        if ground
        else "flows bear it out"
        if worth > 0.5
        else "a list alone"
    )
    text = f"It attacks {what}; the target runs {said}, says {source} ({trust})."
    return failed(name, text, strength=worth, ground=ground)


def _port(view: View) -> Answer:
    """The rule names no product: does anything answer at the port, or is anything said to?"""
    name, attempt = "runs", view.attempt
    asked = {(port, protocol) for _, port, protocol in attempt.ports if port >= 0}
    services = view.facts.services(attempt.victim)
    served = {(s.port, s.protocol) for s in services}
    listed = {
        port for asset in view.facts.assets(attempt.victim, attempt.first) for port in listed_ports(asset)
    }
    if not asked or not services or asked & served:
        return unknown(name, "The rule does not say what it attacks.")
    ports = ", ".join(f"{port}/{protocol}" for port, protocol in sorted(asked)[:4])
    if asked & listed:
        return unknown(
            name, f"A list says that the target offers {ports}; nobody was seen to be answered there."
        )
    text = f"The target was never seen to answer on {ports}, while it answers on {len(served)} other ports."
    return failed(name, text, strength=0.8 if listed else 0.6)


def _worth(view: View, asset: Mapping[str, Any], listed: frozenset[tuple[int, str]]) -> float:
    """How much a row of a list is to be believed, 0..1."""
    at = view.attempt.first
    written = nanoseconds(asset["valid_from"]) if asset["valid_from"] is not None else None
    old = written is not None and at - written > OLD
    seen = {(s.port, s.protocol) for s in view.facts.services(view.attempt.victim) if s.flows >= 2}
    if listed and seen:
        if not listed & seen or len(seen - listed) > len(seen & listed):
            return 0.0
        borne = not seen - listed
        if borne and asset["basis"] == SCAN and written is not None and at - written <= FRESH:
            return 1.0
        return 0.8 if borne and not old else 0.3
    return 0.2 if old else 0.4
