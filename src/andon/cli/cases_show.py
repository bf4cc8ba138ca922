"""One case as a page of text and as JSON: in the order in which an analyst asks."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from andon.cli.terminal import console, safe
from andon.records.case import CLASSES, FAILED, NOT_KNOWN, PASSED
from andon.records.finding import timestamp
from andon.records.neutral import neutral, plain_json
from andon.records.triage import SCREENED

if TYPE_CHECKING:
    from andon.records.case import Case, Verdict
    from andon.store.casebook import Casebook, Event

_ITEMS = 40  # listed; the rest is counted
_NAMES = 3  # addresses of an episode
_KINDS = {"domain-name": "domain", "url": "url"}  # whose dots are broken


def document(case: Case, verdicts: Sequence[Verdict] = (), timeline: Sequence[Event] = ()) -> str:
    """One line of JSON; times are RFC 3339."""
    body: dict[str, Any] = {
        "id": case.id,
        "version": case.version,
        "state": case.state,
        "tier": case.tier,
        "level": case.level,
        "priority": case.priority,
        "title": case.title,
        "statement": case.statement,
        "site": case.site,
        "entities": [{"type": kind, "value": value} for kind, value in case.entities],
        "first_seen": timestamp(case.first_seen),
        "last_seen": timestamp(case.last_seen),
        "opened": timestamp(case.opened),
        "updated": timestamp(case.updated),
        "assignee": case.assignee,
        "merged_into": case.merged_into,
        "items": [{"kind": kind, "id": id} for kind, id in case.items],
        "judgement": dict(case.judgement),
    }
    if timeline:
        body["verdicts"] = [_verdict(verdict) for verdict in verdicts]
        body["timeline"] = [_event(event) for event in timeline]
    return plain_json(json.dumps(body, ensure_ascii=False))


@dataclass(frozen=True)
class Items:
    """What a case is made of, as lines: ``told``: (time, line, what is known of it) of findings and of the episodes
    that were chosen, oldest first; ``beside``: what else the host's alerts said meanwhile, by signature."""

    told: Sequence[tuple[int, str, str]]
    beside: Sequence[str] = ()


def items(book: Casebook, case: Case) -> Items:
    """The items that the casebook has."""
    from andon.records.columns import plain_rows

    rows = plain_rows(book.episodes.get([id for kind, id in case.items if kind == "episode"]))
    held = {row["id"] for row in rows}
    told: list[tuple[int, str, str]] = []
    beside: dict[tuple[str, str, str], list[int]] = {}
    for row in rows:
        alerts = (
            f"{_count(row['alerts'], 'alert')} of {row['product']} {row['rule']}: {neutral(row['title'])}"
        )
        if row["tier"] == SCREENED:
            count = beside.setdefault((row["product"], row["rule"], row["title"]), [0, 0])
            count[0] += 1
            count[1] += row["alerts"]
            continue
        about = [f"episode {row['id']}, {row['tier']}"]
        about += [f"from {_several(row['sources'])}"] if row["sources"] else []
        about += [f"to {_several(row['targets'])}"] if row["targets"] else []
        told.append((row["first"], alerts, "; ".join((" ".join(about), *row["reasons"][:3]))))
    for kind, id in case.items:
        if kind == "finding" and (found := book.finding(id)) is not None:
            line = f"{found.kind}, {found.severity}: {found.title}"
            told.append((found.first_seen, line, f"finding {id}"))
        elif id not in held:
            told.append((case.first_seen, f"{kind} {id}: no longer in the casebook", ""))
    lines = [
        f"{_count(count, 'episode')}, {_count(alerts, 'alert')} of {product} {rule}: {neutral(title)}"
        for (product, rule, title), (count, alerts) in sorted(beside.items(), key=lambda b: (-b[1][1], b[0]))
    ]
    return Items(sorted(told), lines)


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'s' * (number != 1)}"


def _several(names: Sequence[str]) -> str:
    more = len(names) - _NAMES
    return ", ".join(neutral(name) for name in names[:_NAMES]) + (f" and {more} more" if more > 0 else "")


def show(case: Case, listed: Items, verdicts: Sequence[Verdict], timeline: Sequence[Event]) -> None:
    """Print a case, lines as long as the terminal is wide; commands are left whole, to be copied."""
    say(case.title)
    print()
    say(case.statement)
    print()
    facts = {
        "id": f"{case.id} (version {case.version})",
        "state": case.state + (f" into {case.merged_into}" if case.merged_into else ""),
        "tier": f"{case.tier}, priority {case.priority:.3f}",
        "level": case.level or "not judged",
        "seen": f"{_second(case.first_seen)} to {_second(case.last_seen)}",
        "opened": f"{_second(case.opened)}, changed {_second(case.updated)}",
        "assignee": case.assignee or "nobody",
        "site": case.site,
        "entities": ", ".join(
            f"{kind} {neutral(value, _KINDS.get(kind, ''))}" for kind, value in case.entities
        ),
    }
    for name, text in facts.items():
        if text:
            say(f"{name:9} {text}", 0, 10)
    judgement = case.judgement
    _verification(_part(judgement, "verification"), case.statement)
    _threat(_part(judgement, "threat"), case.statement)
    _attacker(_part(judgement, "attacker"), case.statement)
    _similar(judgement.get("similar"))
    _items(case, listed)
    if verdicts:
        print("\nverdicts")
        for verdict in verdicts:
            told = ": ".join(filter(None, (verdict.reason, verdict.note)))
            line = f"{timestamp(verdict.time)[:19]}  {verdict.analyst}  {verdict.label}  {told}"
            say(line.rstrip(), 2, 23)
    print("\ntimeline")
    for event in timeline[-30:]:
        say(event_line(event), 2, 23)
    if len(timeline) > 30:
        print(f"  {len(timeline) - 30:,} earlier lines: andon cases timeline {case.id[:12]}")


def _items(case: Case, listed: Items) -> None:
    print(f"\n{_count(len(case.items), 'item')}:")
    left = len(listed.told) - _ITEMS
    for time, line, about in listed.told[-_ITEMS:]:
        say(f"{timestamp(time)[:19]}  {line}", 2, 23)
        if about:
            say(about, 23)
    if left > 0:
        print(f"  and {left:,} earlier ones")
    if listed.beside:
        print("  on this host meanwhile, screened out:")
    for line in listed.beside[:_ITEMS]:
        say(line, 4, 6)
    if len(listed.beside) > _ITEMS:
        print(f"    and {len(listed.beside) - _ITEMS:,} more signatures")


def _verification(said: dict[str, Any], told: str) -> None:
    if not said:
        return
    print(f"\nverification: {_text(said.get('decision'))}, log-odds {_number(said.get('log_odds'))}")
    _statement(said, told)
    checks = [check for check in said.get("checks", []) if isinstance(check, dict)]
    for outcome in (PASSED, FAILED, NOT_KNOWN):
        same = [check for check in checks if check.get("outcome") == outcome]
        for check in sorted(same, key=lambda one: -abs(_float(one.get("weight")))):
            weight = _number(check.get("weight"))
            answer = str(check.get("statement") or "")
            say(f"{outcome:8} {weight:>6}  {check.get('name')}: {answer}", 2, 20)
            for item in check.get("evidence", [])[:5]:
                if str(item.get("statement") or "") not in answer:
                    say(str(item.get("statement")), 20)
                command = (item.get("check") or {}).get("expression")
                if command:
                    print(f"                    check with: {_text(command)}")


def _threat(said: dict[str, Any], told: str) -> None:
    if not said:
        return
    print(
        f"\nthreat: {_text(said.get('level')) or 'not judged'}, stage {_text(said.get('stage')) or 'unknown'}"
    )
    _statement(said, told)
    parts = said.get("parts")
    if isinstance(parts, dict) and parts:
        print("  " + ", ".join(f"{_text(name)} {_share(value)}" for name, value in parts.items()))


def _attacker(said: dict[str, Any], told: str) -> None:
    if not said:
        return
    classes = said.get("classes") or []
    named = ", ".join(map(_text, classes)) if 0 < len(classes) < len(CLASSES) else "not enough evidence"
    odds = said.get("probabilities") or {}
    print(
        f"\nattacker: {named}"
        + (f" ({', '.join(f'{_text(n)} {_share(p)}' for n, p in odds.items())})" if odds else "")
    )
    _statement(said, told)
    for line in said.get("ledger", [])[:20]:
        weights = ", ".join(
            f"{name} {_number(value)}" for name, value in (line.get("weights") or {}).items() if value
        )
        value, why = str(line.get("value", "")), str(line.get("statement") or "")
        # What is about the sum, or begins with what was seen, is not introduced by it again.
        plain = line.get("kind") == "start" or (value and why.startswith(value))
        head = "" if plain else f"{line.get('kind')} {neutral(value, str(line.get('kind')))}: "
        say(f"{head}{why} [{weights}]" if weights else f"{head}{why}", 2, 4)
    for group in said.get("groups", [])[:5]:
        say(f"like {group.get('name')}, {_share(group.get('likeness'))}: {group.get('by')}", 2, 4)


def _similar(said: Any) -> None:
    if not isinstance(said, list) or not said:
        return
    print("\nlike these cases of the past")
    for one in said[:5]:
        if isinstance(one, dict):
            told = ", ".join(f"{name} {_short(value)}" for name, value in one.items())
            say(told, 2, 4)


def _statement(said: dict[str, Any], told: str) -> None:
    """What a part says in a sentence, if the case has not said it already."""
    text = str(said.get("statement") or "")
    if text and text.rstrip(".") not in told:
        say(text, 2)


def say(text: str, indent: int = 0, hang: int | None = None) -> None:
    """Print a text within the terminal's width, further lines at ``hang``."""
    lines = textwrap.wrap(
        _text(text),
        console().width,
        initial_indent=" " * indent,
        subsequent_indent=" " * (indent if hang is None else hang),
        break_long_words=False,
        break_on_hyphens=False,
        drop_whitespace=True,
    )
    print("\n".join(lines))


def _second(ns: int) -> str:
    return f"{timestamp(ns)[:19]}Z"


def event_line(event: Event) -> str:
    """One line for a person."""
    told = ", ".join(_change(name, value) for name, value in event.detail.items() if value not in ("", None))
    return (
        f"{timestamp(event.time)[:19]}  {_text(event.actor)}  {_text(event.action)}  {_text(told)}".rstrip()
    )


def _change(name: str, value: Any) -> str:
    """What an event says of one thing.

    >>> _change("last_seen", [0, 10**9]), _change("tier", ["inspect", "act"]), _change("added", [["episode", "e1"]])
    ('last_seen 1970-01-01T00:00:00Z -> 1970-01-01T00:00:01Z', 'tier inspect -> act', 'added 1 item')
    """
    if name == "changed" and isinstance(value, list):
        return f"{name} {', '.join(map(str, value))}"
    if isinstance(value, list) and value and isinstance(value[0], list):
        return f"{name} {_count(len(value), 'item')}"
    if isinstance(value, list) and len(value) == 2:
        if name.endswith("_seen"):
            value = [_second(one) if isinstance(one, int) else one for one in value]
        return f"{name} {_short(value[0])} -> {_short(value[1])}"
    return f"{name} {_short(value)}"


def event_document(event: Event) -> str:
    """One line of JSON."""
    return plain_json(json.dumps(_event(event), ensure_ascii=False))


def _event(event: Event) -> dict[str, Any]:
    return {**event.to_dict(), "time": timestamp(event.time)}


def _verdict(verdict: Verdict) -> dict[str, Any]:
    return {
        "id": verdict.id,
        "label": verdict.label,
        "analyst": verdict.analyst,
        "reason": verdict.reason,
        "note": verdict.note,
        "shown": verdict.shown,
        "time": timestamp(verdict.time),
        "model": verdict.model,
    }


def _part(judgement: Any, name: str) -> dict[str, Any]:
    said = judgement.get(name)
    return said if isinstance(said, dict) else {}


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 200 else text[:200] + "…"


def _text(value: Any) -> str:
    return safe("" if value is None else str(value))


def _float(value: Any) -> float:
    return float(value) if isinstance(value, int | float) else 0.0


def _number(value: Any) -> str:
    return f"{value:+.2f}" if isinstance(value, int | float) else "?"


def _share(value: Any) -> str:
    return f"{value:.2f}" if isinstance(value, int | float) else "?"
