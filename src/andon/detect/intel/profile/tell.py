"""Findings: a page when it is new or says something else than before, and a change of state."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Final

from andon.detect.intel.profile.items import PORT_SET, SEPARATOR, parts, short
from andon.detect.intel.profile.life import STATES, doubling
from andon.detect.intel.profile.page import DAY, Page
from andon.detect.intel.profile.tables import NAME, series
from andon.records.contract import Context
from andon.records.finding import Check, Entity, Evidence, Finding
from andon.records.neutral import neutral

VERSION: Final = 1
MOST: Final = 50  # findings of a span
_LISTED: Final = 50
_THINGS: Final = 400  # that are remembered to have been told of a family
_HELD: Final = 2  # spans for which a new state has to hold
_SAID: Final = {
    "items": "behaviours", "pairs": "pairs of behaviours", "links": "links", "sets": "sets of ports",
    "days": "daily counts",
    "stays": "samples of sources", "reports": "reports", "families": "families",
}  # fmt: skip
_OF_DAY: Final = (
    "SELECT coalesce(sum(darknet + honeypot), 0)::BIGINT FROM intel_profile_curve "
    "WHERE series = '{}' AND day = TIMESTAMPTZ '{} 00:00:00+00'"
)
CALIBRATION: Final = (
    "least probability of the links and reports that hold the page together (darknet.link: "
    "decoys; reports: shuffled)"
)


def tell(
    pages: list[Page], left_out: dict[str, int], ctx: Context[Any]
) -> tuple[tuple[Finding, ...], list[dict[str, Any]]]:
    """(findings, what is known of each family by now)."""
    found: list[Finding] = []
    known: list[dict[str, Any]] = []
    waiting = 0
    for page in pages:
        before = dict(page.known)
        now: dict[str, Any] = {
            "number": page.number, "core": sorted(page.core), "name": page.family,
            "told": before.get("told", ""), "revision": before.get("revision", 0),
            "state": before.get("state", page.life.state), "since": before.get("since", ctx.end // DAY),
            "pending": "", "held": 0, "marks": list(page.life.marks),
        }  # fmt: skip
        content, things = digest(page)
        now["things"] = before.get("things", [])
        fresh = sorted({*things} - {*now["things"]})
        if content != now["told"] or fresh:
            if len(found) < MOST:
                now["told"], now["revision"] = content, now["revision"] + 1
                now["things"] = [*now["things"], *fresh][-_THINGS:]
                found.append(_profile(page, now["revision"], left_out, ctx))
            else:
                waiting += 1
        if page.life.state != now["state"] and not ctx.partial:
            same = before.get("pending") == page.life.state
            now["pending"], now["held"] = page.life.state, before.get("held", 0) + 1 if same else 1
            if now["held"] >= _HELD:
                if len(found) < MOST:
                    found.append(_change(page, now["state"], ctx))
                    now |= {"state": page.life.state, "since": ctx.end // DAY, "pending": "", "held": 0}
                else:
                    waiting += 1
        known.append(now)
    if waiting and found:
        from dataclasses import replace

        found[0] = replace(
            found[0], statement=f"{found[0].statement} {waiting:,} more are told on the next days."
        )
    return tuple(found), known


def digest(page: Page) -> tuple[str, list[str]]:
    """What a reader would call another page: (name, marks and tokens; they are told when they change in any way), (the
    vulnerabilities, targets, servers and reports; they are told when there is a new one)."""
    things = [
        *page.cves,
        *page.targets,
        *page.loaders,
        *page.controllers,
        *(found.report for found in page.reports),
    ]
    core = (page.family, page.fingerprints, page.port_sets[:1], sorted(page.tokens))
    return short(repr(core), 12), sorted({short(thing) for thing in things})


def _date(ns: int) -> str:
    return f"{datetime.fromtimestamp(ns // 1_000_000_000, UTC):%Y-%m-%d}" if ns else "never"


def _listed(values: tuple[str, ...], kind: str = "", most: int = 4) -> str:
    shown = ", ".join(neutral(value, kind) for value in values[:most])
    return shown + (f" and {len(values) - most:,} more" if len(values) > most else "")


def _profile(page: Page, revision: int, left_out: dict[str, int], ctx: Context[Any]) -> Finding:
    return Finding(
        engine=NAME,
        engine_version=VERSION,
        kind="malware-profile",
        title=f"Malware {neutral(page.family)}: {_known_by(page)}",
        statement=statement(page, left_out),
        confidence=page.probability,
        calibration=CALIBRATION,
        window=(ctx.start, ctx.end),
        subject=("malware", page.number),
        first_seen=_first(page, ctx),
        last_seen=_last(page, ctx),
        count=sum(one.darknet + one.honeypot for one in page.life.days),
        entities=_entities(page),
        evidence=_evidence(page),
        attack=page.techniques[:20],
        attributes=attributes(page),
        revision=revision,
    )


def _known_by(page: Page) -> str:
    parts_of = [
        f"fingerprint {_listed(page.fingerprints, most=1)}" if page.fingerprints else "",
        f"ports {page.port_sets[0]}" if page.port_sets else "",
        f"token {_listed(page.tokens, most=1)}" if page.tokens else "",
        f"{_listed(page.cves, most=1)}" if page.cves else "",
    ]
    return ", ".join(part for part in parts_of if part) or "payloads"


def statement(page: Page, left_out: dict[str, int]) -> str:
    """The page in sentences."""
    life = page.life
    text = [f"{neutral(page.family)} is known by {_known_by(page)}."]
    if page.aliases:
        text.append(f"Also called {_listed(page.aliases)}.")
    if page.joined:
        text.append(f"Its scans and its sessions are held together by report {neutral(page.joined)} alone.")
    elif page.born:
        text.append(
            f"Seen in the darknet alone; that it is malware is what report {neutral(page.born)} says."
        )
    if page.cves:
        text.append(
            f"Vulnerabilities: {_listed(page.cves)} "
            f"({', '.join(sorted({w for c in page.cves for w in page.basis[c]}))})."
        )
    if page.targets:
        text.append(f"For {_listed(tuple(' '.join(t.split('|')[:2]).strip() for t in page.targets))}.")
    text += [
        f"{one.seen} of {one.known} of its addresses that are known are {neutral(one.device)}; {one.expected:g} would "
        "be if they were as all scanners are."
        for one in page.enriched[:2]
    ]
    if page.loaders:
        text.append(f"Payloads come from {_listed(page.loaders, 'url')}.")
    if page.controllers:
        text.append(f"Controlled from {_listed(page.controllers, 'url')}.")
    text.append(f"State: {life.state}; at most {life.peak:,} sources a day ({_date(life.peak_day * DAY)}).")
    delays = page.delays
    said = [
        f"{name.replace('_to_', ' to ').replace('_', ' ')} {days:+d} d"
        for name, days in delays.items()
        if days is not None
    ]
    if said:
        text.append("Delays: " + ", ".join(said) + ".")
    if page.reports:
        text.append(
            f"{len(page.reports)} reports speak of it: {_listed(tuple(found.report for found in page.reports))}."
        )
    if page.copied_tokens or page.shared_fingerprints:
        text.append(
            f"Shared with other families: {_listed((*page.copied_tokens, *page.shared_fingerprints))}; source "
            f"code is copied "
            "with its tokens and scanners."
        )
    lost = [f"{left_out[name]:,} {said}" for name, said in _SAID.items() if left_out.get(name)]
    if lost:
        text.append("Left out for want of room: " + ", ".join(lost) + ".")
    return " ".join(text)


def _evidence(page: Page) -> tuple[Evidence, ...]:
    found: list[Evidence] = []
    best: dict[str, tuple[str, str, Any]] = {}
    for mark, one, row in page.links:
        held = best.get(mark)
        if held is None or (row["probability"], row["sources"]) > (
            held[2]["probability"],
            held[2]["sources"],
        ):
            best[mark] = (mark, one, row)
    for mark, one, row in sorted(best.values(), key=lambda link: (-link[2]["sources"], link[0]))[:5]:
        (mark_kind, text), (kind, value) = parts(mark), parts(one)
        said = (
            f"{row['sources']:,} sources in {row['networks']:,} /24s have "
            f"{'ports' if mark_kind == PORT_SET else 'fingerprint'} "
            f"{neutral(text)} in the darknet and the {kind} {neutral(value, kind)} at honeypots; by chance "
            f"{row['decoys']:.1f}"
        )
        if kind == "host" or not (text + value).isprintable():
            found.append(Evidence(said))
            continue
        fields = (("mark_kind", mark_kind), ("mark", text), ("kind", kind), ("value", value))
        where = " AND ".join(f"{name} = '{item.replace(chr(39), chr(39) * 2)}'" for name, item in fields)
        sql = f"SELECT count(DISTINCT src) FROM darknet_link_matches WHERE {where}"
        found.append(Evidence(said, Check("", row["decoys"], "sql", sql)))
    for report in page.reports[:5]:
        early = ", written before it was first seen" if report.early else ""
        why = "; ".join(neutral(one, "url") for one in report.why[:4])
        found.append(
            Evidence(
                f"Report {neutral(report.report)} of {_date(report.published)}{early}: {why}; {report.score:g} "
                f"bits, which "
                f"{100 * report.chance:.1f} % of shuffled reports reach"
            )
        )
    life = page.life
    if life.reproduction == life.reproduction:
        found.append(
            Evidence(
                f"Growth {100 * life.growth:+.0f} % a day (standard error {100 * life.error:.0f}), a source is "
                f"seen for "
                f"{life.stay:.1f} days (half-life {life.half_life:.1f}), R about {life.reproduction:.2f} as "
                f"seen from here"
            )
        )
    return tuple(found)


def _entities(page: Page) -> tuple[Entity, ...]:
    found = [Entity("ipv4-addr", one) for one in page.loaders if one.replace(".", "").isdigit()]
    found += [Entity("vulnerability", one) for one in page.cves]
    found += [Entity("file", one) for one in page.payloads]
    return tuple(found)


def attributes(page: Page) -> dict[str, Any]:
    """Machine-readable; lists hold at most 50 values."""
    life = page.life

    def number(value: float) -> float | None:
        return round(value, 4) if abs(value) < 1e9 else None

    return {
        "family": page.family,
        "number": page.number,
        "aliases": list(page.aliases),
        "fingerprints": list(page.fingerprints),
        "shared_fingerprints": list(page.shared_fingerprints),
        "port_sets": list(page.port_sets),
        "tokens": list(page.tokens),
        "copied_tokens": list(page.copied_tokens),
        "credentials": list(page.credentials),
        "cves": list(page.cves),
        "targets": list(page.targets),
        "basis": {name: list(where) for name, where in page.basis.items()},
        "device_classes": [
            {"device": one.device, "seen": one.seen, "known": one.known, "expected": one.expected, "p_value": one.p}
            for one in page.enriched
        ],
        "url_bases": list(page.url_bases),
        "payloads": list(page.payloads),
        "loaders": list(page.loaders),
        "controllers": list(page.controllers),
        "steps": dict(page.steps),
        "reports": [
            {
                "id": found.report, "published": _date(found.published), "title": found.title[:200],
                "score": found.score,
                "chance": found.chance, "direct": found.direct, "early": found.early, "why": list(found.why)[:20],
            }
            for found in page.reports[:_LISTED]
        ],
        "first_darknet": _date(page.first["darknet"]),
        "first_honeypot": _date(page.first["honeypot"]),
        "first_report": _date(page.first["report"]),
        "delays": page.delays,
        "state": life.state,
        "peak": life.peak,
        "peak_day": _date(life.peak_day * DAY),
        "growth": number(life.growth),
        "doubling_days": number(doubling(life.growth)),
        "reproduction": number(life.reproduction),
        "half_life_days": number(life.half_life),
        "links": sorted({row["series"] for _, _, row in page.links})[:_LISTED],
        "probability": round(page.probability, 6),
        "left_out": page.left_out,
        "series": series(page),
    }  # fmt: skip


def _change(page: Page, before: str, ctx: Context[Any]) -> Finding:
    life = page.life
    later = STATES.index(life.state) > STATES.index(before)
    moved = ""
    if life.state == "replaced":
        moved = f" {100 * life.moved:.0f} % of its sources show another family's marks since."
    growth = (
        f" Growth {100 * life.growth:+.0f} % a day (standard error {100 * life.error:.0f})."
        if life.error == life.error
        else ""
    )
    recent = ", ".join(f"{one.darknet or one.honeypot:,}" for one in life.days[-7:])
    return Finding(
        engine=NAME,
        engine_version=VERSION,
        kind="malware-life-cycle",
        title=f"Malware {neutral(page.family)}: {before} to {life.state}",
        statement=f"{neutral(page.family)} was {before} and is {life.state}{' now' if later else ' again'}. "
        f"Sources of the last days: {recent}; at most {life.peak:,} ({_date(life.peak_day * DAY)}).{growth}{moved}",
        confidence=0.9,
        calibration=f"95 %, one side, on the slope of a week; held for {_HELD} days",
        window=(ctx.start, ctx.end),
        subject=("malware", page.number),
        aspect="life-cycle",
        first_seen=_first(page, ctx),
        last_seen=_last(page, ctx),
        count=sum(one.darknet for one in life.days),
        evidence=(
            Evidence(
                f"Sources of the family on {_date(ctx.start)}, at the telescope and at honeypots together",
                Check("", 0.0, "sql", _OF_DAY.format(series(page), _date(ctx.start))),
            ),
        ),
        attributes={
            "family": page.family, "before": before, "state": life.state, "series": series(page),
            "days": [[_date(one.day * DAY), one.darknet, one.honeypot, one.loaders] for one in life.days[-30:]],
            "successor": life.successor,
        },
    )  # fmt: skip


def _first(page: Page, ctx: Context[Any]) -> int:
    return min((t for t in (page.first["darknet"], page.first["honeypot"]) if t), default=ctx.start)


def _last(page: Page, ctx: Context[Any]) -> int:
    return min(page.life.days[-1].day * DAY + DAY, ctx.end) if page.life.days else ctx.end


__all__ = ["SEPARATOR", "attributes", "statement", "tell"]
