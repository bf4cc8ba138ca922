"""Casework follows the casebook: what is new of episodes and findings becomes cases, in one transaction with how far
it came.

A crash loses nothing and doubles nothing: the cursors move with what was written. Analysts change cases meanwhile; a
case that somebody changed between reading and writing is read and judged again. What they closed stays closed: the
same finding told again opens a new case, unless the verdict was that it is harmless and it is no worse than then.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from andon.records.case import BENIGN, CLOSED, FALSE, LONGEST_CASE, OPEN, Case, Verification
from andon.records.columns import plain_rows
from andon.records.contract import Site
from andon.records.triage import ACT, AUDIT, SCREENED
from andon.run.casework.facts import FactsOf, rounds
from andon.run.casework.held import TOLD, Held, digest
from andon.run.casework.published import Published
from andon.store.casebook import Casebook, Message
from andon.store.casebook.case_records import Conflict
from andon.store.casebook.work import Work
from andon.triage.attacker import Knowledge
from andon.triage.cases import Grouping, HostNames, Item, OpenCase, item_of_episode, item_of_finding
from andon.triage.cases.hosts import address
from andon.triage.cases.items import EPISODE, FINDING
from andon.triage.cases.judge import Judged, Material, judged
from andon.triage.similar import Past, PastCase
from andon.triage.verification import Facts, Subject, audited, verify

ACTOR: Final = "casework"
FINDINGS, EPISODES = "casework.findings", "casework.episodes"  # names of its cursors
_PAGE: Final = 20_000
_CASES: Final = 500  # read at once: each has its whole judgement
_HARMLESS: Final = 100_000  # series; those called harmless longest ago go first
_TRIES: Final = 10
_LARGEST: Final = 1000  # items of a case that are judged: the newest
_PAST: Final = 500  # closed cases that new ones are compared with
_LATER: Final = LONGEST_CASE  # ns after its end until which what follows is told of a case

Notify = Callable[[Case], Sequence[Message]]


@dataclass(frozen=True)
class Step:
    """What one step did. ``more``: there is more to do at once."""

    opened: int = 0
    changed: int = 0
    more: bool = False


class Casework:
    """``published``: tables to verify with; ``notify``: messages for a case that is to be acted on from now on;
    ``audit``: share of the dismissed cases that are put before somebody all the same. One at a time on a store;
    analysts work beside it. Raises StoreError."""

    def __init__(
        self,
        book: Casebook,
        published: Published,
        site: Site,
        notify: Notify = lambda case: (),
        audit: float = 0.01,
        clock: Callable[[], int] = time.time_ns,
    ) -> None:
        self._book, self._site, self._notify, self._clock = book, site, notify, clock
        self._audit = audit
        self._names = HostNames(site.assets)
        self._knowledge = Knowledge.of(site.models.get("attacker"))
        self._facts = FactsOf(book, published, site)
        self._grouping = Grouping()
        self._held: dict[str, Held] = {}
        self._seen = 0  # number of the last change of a case
        self._harmless: dict[str, int] = {}  # series -> severity of findings that analysts found harmless
        self._closed: dict[str, PastCase] = {}
        self._past = Past(())

    def run(self, through: int | None = None) -> Step:
        """Steps until there is nothing left to do."""
        done = Step(more=True)
        while done.more:
            one = self.step(through)
            done = Step(done.opened + one.opened, done.changed + one.changed, one.more)
        return done

    def step(self, through: int | None = None) -> Step:
        """Take in what is new, at most a page of each. ``through`` (ns): up to when there are tables of flows (None:
        all there will be): cases that ended since four hours are verified once more when it has passed them."""
        for attempt in range(_TRIES):
            try:
                return self._step(through)
            except Conflict:
                if attempt == _TRIES - 1:
                    raise
        raise AssertionError("unreachable")

    def _step(self, through: int | None) -> Step:
        self._follow()
        cursors = {name: self._book.cursor(name) for name in (FINDINGS, EPISODES)}
        episodes, to_episode = self._book.episodes.since(cursors[EPISODES], _PAGE)
        stored, to_finding = self._book.findings_after(cursors[FINDINGS], None, _PAGE)
        items = [item_of_episode(row, self._names) for row in plain_rows(episodes) if not row["suppressed"]]
        for document in (one.to_dict() for one in stored):
            items += [item for item in item_of_finding(document, self._names) if self._is_news(item)]
        touched = self._grouping.put(items)
        wanted = list(dict.fromkeys([*touched, *self._due(through)]))
        moved = {FINDINGS: to_finding, EPISODES: to_episode}
        if not wanted and moved == cursors:
            return Step()
        drafts = self._drafts(wanted, through)
        opened = 0
        with self._book.work(ACTOR) as work:
            for draft in drafts:
                opened += self._write(work, draft)
            for name, to in moved.items():
                if to != cursors[name]:
                    work.move(name, to, expected=cursors[name])
        more = episodes.num_rows == _PAGE or len(stored) == _PAGE
        return Step(opened, len(drafts) - opened, more)

    # What others did

    def _follow(self) -> None:
        """Cases that changed since the last look, by whomever."""
        while True:
            changed, to = self._book.cases.since(self._seen, _CASES)
            for case in changed:
                if case.state == OPEN:
                    self._held[case.id] = Held.of(case)
                    self._grouping.follow(self._opened(case), case.id)
                else:
                    self._held.pop(case.id, None)
                    self._grouping.follow(None, case.id)
            self._learn([case for case in changed if case.state == CLOSED])
            self._seen = to
            if len(changed) < _CASES:
                return

    def _opened(self, case: Case) -> OpenCase:
        """As items join it. What somebody merged or split is put together anew, with all its hosts."""
        opened = _open(case, self._names)
        if case.judgement.get("group", {}).get("items") != len(case.items):
            opened.alerts = None
            for item in self._items(opened)[0]:
                opened.take(item)
        return opened

    def _learn(self, closed: Sequence[Case]) -> None:
        if not closed:
            return
        verdicts = self._book.verdicts.of_many("case", [case.id for case in closed])
        for case in closed:
            label = verdicts[case.id][-1].label if case.id in verdicts else ""
            group = case.judgement.get("group", {})
            for series in group.get("series", ()):
                before = self._harmless.pop(series, 0)
                if label in (FALSE, BENIGN):
                    self._harmless[series] = max(before, int(group.get("severity", 0)))
                    if len(self._harmless) > _HARMLESS:
                        self._harmless.pop(next(iter(self._harmless)))
            tokens = frozenset(case.judgement.get("tokens", ()))
            self._closed[case.id] = PastCase(case.id, tokens, label, case.last_seen)
        newest = sorted(self._closed.values(), key=lambda one: (one.when, one.id))[-_PAST:]
        self._closed = {one.id: one for one in newest}
        self._past = Past(newest)

    def _is_news(self, item: Item) -> bool:
        """Not what an analyst has called harmless, unless it is worse now."""
        known = self._harmless.get(item.series)
        return known is None or item.severity > known

    # Judging

    def _due(self, through: int | None) -> list[str]:
        """Cases to be verified once more: what followed them is known now, or somebody merged or split them."""
        due = []
        for id, case in self._held.items():
            later = case.last + _LATER
            known = through is not None and case.through is not None and case.through < later <= through
            if known or case.judged != case.items:
                due.append(id)
        return due

    def _drafts(self, ids: Collection[str], through: int | None) -> list[Case]:
        cases = [self._grouping.cases[id] for id in ids if id in self._grouping.cases]
        drafts = []
        for near in rounds(cases):
            materials = [self._material(case) for case in near]
            facts = self._facts.of(materials)

            def check(material: Material, facts: Facts = facts) -> Verification:
                return verify(_subject(material), facts)

            for material in materials:
                case, made = material.case, judged(material, check, self._knowledge)
                tier = made.tier
                if tier == SCREENED and audited(case.id, self._audit, self._site.hash_key):
                    tier = AUDIT
                drafts.append(
                    self._draft(material, replace(made, tier=tier), self._held.get(case.id), through)
                )
        return drafts

    def _draft(self, material: Material, made: Judged, old: Held | None, through: int | None) -> Case:
        case, now = material.case, self._clock()
        group = {
            **case.to_dict(),
            "items": len(case.items),
            "severity": max((item.severity for item in material.items), default=0),
        }
        judgement = {**made.judgement, "group": group}
        if through is not None:
            judgement["checked_through"] = through
        draft = Case(
            case.id, old.version if old else 0, OPEN, made.tier, made.level, made.priority, made.title,
            made.statement, made.entities, case.first, case.last, old.opened if old else now, now,
            assignee=old.assignee if old else "", site=case.site,
            items=tuple(sorted(case.items)), judgement=judgement,
        )  # fmt: skip
        # Once in its life, however often it falls back and comes again, and also if it gets grave enough only later.
        told = old.told if old else False
        if told or (made.tier == ACT and self._notify(draft)):
            return replace(draft, judgement={**judgement, TOLD: True})
        return draft

    def _material(self, case: OpenCase) -> Material:
        items, rows, documents = self._items(case)
        return Material(case, items, rows, documents, self._facts.assets(case.names, case.last), self._past)

    def _items(self, case: OpenCase) -> tuple[list[Item], list[dict[str, Any]], list[dict[str, Any]]]:
        """The case's items, its episodes as rows and its findings as documents."""
        by_kind: dict[str, list[str]] = {EPISODE: [], FINDING: []}
        for kind, id in sorted(case.items):
            by_kind.setdefault(kind, []).append(id)
        rows = plain_rows(self._book.episodes.get(by_kind[EPISODE]))
        rows = sorted(rows, key=lambda row: (row["last"], row["id"]))[-_LARGEST:]
        kept = [self._book.finding(id) for id in by_kind[FINDING][-_LARGEST:]]
        documents = [one.to_dict() for one in kept if one is not None]
        items = [item_of_episode(row, self._names) for row in rows]
        for document in documents:
            concerned = item_of_finding(document, self._names)
            items += ([item for item in concerned if item.names & case.names] or concerned)[:1]
        return items, rows, documents

    def _write(self, work: Work, draft: Case) -> bool:
        """Store a draft; True if it is new."""
        old = self._held.get(draft.id)
        if old is None:
            kept = work.cases.create(draft)
        elif old.digest == digest(draft):
            return False
        else:
            kept = work.cases.update(*self._rebased(work, draft, old.version), action="judge")
        if draft.judgement.get(TOLD) and not (old and old.told):
            work.record(messages=self._notify(kept))
        return old is None

    def _rebased(self, work: Work, draft: Case, version: int) -> tuple[Case, int]:
        """The draft and the version it rests on. What an analyst did to the case while it was judged (a note, a
        verdict, an assignment) takes nothing from the judgement: it is laid over what is there. Items moved or the
        case closed do: ``update`` raises Conflict, and everything is read again."""
        there = work.cases.get(draft.id)
        if there.version == version or there.state != OPEN or not set(there.items) <= set(draft.items):
            return draft, version
        return replace(draft, version=there.version, assignee=there.assignee), there.version


def _open(case: Case, names: HostNames) -> OpenCase:
    """A case of the casebook as items join it."""
    group: Mapping[str, Any] = case.judgement.get("group", {})
    known = frozenset(group.get("names") or names.of(*(value for _, value in case.entities[:1])))
    alerts = group.get("alerts")
    return OpenCase(
        case.id, case.site, case.entities[0] if case.entities else ("device", case.id), known,
        case.first_seen, case.last_seen, (alerts[0], alerts[1], alerts[2]) if alerts else None,
        set(group.get("series", ())), set(case.items), case.tier,
    )  # fmt: skip


def _subject(material: Material) -> Subject:
    case = material.case
    # What was screened out is context, not a thing to be decided about: facts know of it anyway.
    asked = [row for row in material.episodes if row["tier"] != SCREENED] or material.episodes
    own = sorted(case.names)
    addresses = tuple(name for name in own if address(name))
    hosts = tuple(dict.fromkeys([case.host[1], *(name for name in own if not address(name))]))
    return Subject(
        case.id, hosts, addresses, tuple(asked), tuple(material.findings),
        (case.first, case.last + 1), case.site,
    )  # fmt: skip
