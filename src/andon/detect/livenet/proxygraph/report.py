"""Findings: who is infected for certain, who and what is suspected, and which entries of the lists are doubted."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from andon.detect.livenet.proxygraph import words
from andon.detect.livenet.proxygraph.black import CROWDED, families
from andon.detect.livenet.proxygraph.columns import SEPARATOR
from andon.detect.livenet.proxygraph.judge import Judged
from andon.detect.livenet.proxygraph.tables import Ranked, touched
from andon.records.contract import Context
from andon.records.finding import Check, Entity, Evidence, Finding, address_type, sql_text
from andon.records.neutral import neutral

_NANO: Final = 1_000_000_000
_NAMED: Final = 5
_ENTITIES: Final = 100
_CALIBRATION: Final = (
    "probability of the model, scaled on 13 generated organisations: of 620 destinations given 0.5 or more 95 % were "
    "bad, of 425 terminals 99 % infected (docs/proxygraph.md); no field data stand behind it"
)


# Why a terminal is certain (``black.proof``), as the beginning of a sentence.
_PROOF: Final = {
    "a contact to black": "It was at a black destination",
    "a contact by a fresh entry": "One of these entries is fresh",
    "two independent contacts to black": "Two of these are independent of each other",
}
DOUBTFUL: Final = 0.5  # below it a terminal is more probably clean: told as something to look at


@dataclass(frozen=True)
class Telling:
    """``most`` findings of each kind, ``certain`` of infected terminals; from which probability on a terminal and a
    destination are told; ``proof``."""

    engine: tuple[str, int]
    proof: str
    most: int
    certain: int
    terminal: float
    destination: float


def findings(judged: Judged, ranked: Ranked, how: Telling, ctx: Context[Any]) -> tuple[Finding, ...]:
    told = _Report(judged, ranked, how, ctx)
    return (*told.infected(), *told.suspected(), *told.destinations(), *told.doubted())


class _Report:
    def __init__(self, judged: Judged, ranked: Ranked, how: Telling, ctx: Context[Any]) -> None:
        self.judged, self.ranked, self.how, self.ctx = judged, ranked, how, ctx
        self.memory = judged.memory
        self.touched = touched(judged)
        aside = np.zeros(len(judged.infected), np.bool_)
        aside[list(judged.black.clean)] = True
        self.certain = judged.black.certain & ~aside
        self.aside = aside

    def terminal(self, u: int) -> str:
        return str(self.memory.terminals.texts["name"][u].as_py())

    def destination(self, d: int) -> str:
        return str(self.memory.destinations.texts["name"][d].as_py())

    def infected(self) -> Iterator[Finding]:
        chosen = [u for u in self.ranked.terminals.tolist() if self.certain[u]]
        all_of = int(self.certain.sum())
        plain = int(((self.judged.black.contacts > 0) & ~self.aside).sum())
        for number, u in enumerate(chosen[: self.how.certain], 1):
            last = number == min(len(chosen), self.how.certain)
            yield self._infected(
                u, number, self._more(all_of, "infected terminals", "terminals") if last else "", plain
            )

    def _infected(self, u: int, number: int, more: str, plain: int) -> Finding:
        memory, black = self.memory, self.judged.black
        held = memory.edges
        mine = black.edges[held.terminal[black.edges] == u]
        mine = mine[np.lexsort((held["first"][mine], -held["count"][mine]))]
        places = memory.destinations
        name = self.terminal(u)
        said = []
        for e in mine[:_NAMED].tolist():
            d = int(held.destination[e])
            listed = places.texts["lists"][d].as_py().split(SEPARATOR)
            doubt = ", doubted" if d in black.doubted else ""
            span = words.contacts(*(int(held[column][e]) for column in ("count", "first", "last", "refused")))
            entry = neutral(words.entries(listed, self.destination(d)), "domain")
            said.append(f"{neutral(self.destination(d), 'domain')} ({span}; {entry or 'black'}{doubt})")
        fresh = places["fresh"][held.destination[mine]] & ~np.isin(
            held.destination[mine], list(black.doubted)
        )
        doubtful = (
            " It was there once only, and few of such terminals are infected: look before you act."
            if self.judged.infected[u] < 0.5
            else ""
        )
        rule = (
            f"{_PROOF.get(black.proof[u], black.proof[u])}, which proves infection by the rule in force "
            f"(livenet.proxygraph.proof = {self.how.proof}; it holds for "
            f"{words.counted(int(self.certain.sum()), 'terminal')}, the plain rule, any contact with black, for "
            f"{plain:,}).{doubtful}"
        )
        kinds = sorted(
            set().union(*(families(places.texts["lists"][int(d)].as_py()) for d in held.destination[mine]))
        )
        contacts = int(held["count"][mine].sum())
        return self._finding(
            "infected-terminal",
            f"{neutral(name)} {'is' if self.judged.infected[u] >= DOUBTFUL else 'may be'} infected: "
            f"{words.counted(contacts, 'contact')} with {words.counted(len(mine), 'black destination')}",
            f"{neutral(name)} asked for {_list(said, len(mine))}. {rule} {more}",
            float(self.judged.infected[u]),
            (_who(name), name),
            held["first"][mine],
            held["last"][mine],
            contacts,
            [
                *self._terminal_entities(u, contacts),
                *(
                    (self.destination(int(held.destination[e])), int(held["count"][e]))
                    for e in mine[:_ENTITIES]
                ),
            ],
            [
                self._check(
                    f"{neutral(name)} stands with {len(mine):,} black destinations",
                    "livenet_proxygraph_black",
                    terminal=name,
                ),
                *self._today(mine, u),
            ],
            {
                "rank": number,
                "probability": float(self.judged.infected[u]),
                "proof": self.how.proof,
                "why": black.proof[u],
                "black": [self.destination(int(d)) for d in held.destination[mine[:_NAMED]]],
                "families": kinds[:20],
                "fresh": int(fresh.sum()),
            },
            severity="" if self.judged.infected[u] >= 0.5 else "medium",
        )

    def suspected(self) -> Iterator[Finding]:
        chosen = [
            u
            for u in self.ranked.terminals.tolist()
            if not self.certain[u] and not self.aside[u] and self.judged.infected[u] >= self.how.terminal
        ]
        every = (self.judged.infected >= self.how.terminal) & ~self.certain & ~self.aside
        for number, u in enumerate(chosen[: self.how.most], 1):
            last = number == min(len(chosen), self.how.most)
            yield self._suspected(
                u, number, self._more(int(every.sum()), "suspected terminals", "terminals") if last else ""
            )

    def _suspected(self, u: int, number: int, more: str) -> Finding:
        judged, graph = self.judged, self.judged.graph
        name = self.terminal(u)
        edges, added = judged.blame(u)
        edges, added = edges[added > 0.01], added[added > 0.01]
        said = []
        for e, add in zip(edges[:_NAMED].tolist(), added, strict=False):
            d = int(graph.destination[e])
            listed = self.memory.destinations.texts["lists"][d].as_py().split(SEPARATOR)
            what = (
                f"on no list, {words.percent(judged.probability[d])} malicious"
                if judged.ledger.evidence.gray[d]
                else f"black: {neutral(words.entries(listed, self.destination(d)), 'domain')}"
            )
            span = words.contacts(*(int(judged.edges[column][e]) for column in ("count", "first", "last")))
            said.append(
                f"{neutral(self.destination(d), 'domain')} ({what}; {span}; {add / added.sum():.0%} of the suspicion)"
            )
        once = ""
        if self.touched[u]:
            once = (
                "That it was at a black destination is proof by the plain rule only (livenet.proxygraph.proof = any); "
                "the rule in force asks for a second, independent one or a fresh entry. "
            )
        p = float(judged.infected[u])
        return self._finding(
            "suspected-terminal",
            f"{neutral(name)} {'is suspected to be' if p >= DOUBTFUL else 'may be'} infected ({words.percent(p)})",
            f"{neutral(name)} {'asked for' if self.touched[u] else 'never touched a black destination, but asked for'} "
            f"what infected terminals share or what is suspicious itself: {_list(said, len(edges))}. {once}{more}",
            p,
            (_who(name), name),
            judged.edges["first"][edges],
            judged.edges["last"][edges],
            int(judged.edges["count"][edges].sum()),
            [
                *self._terminal_entities(u, int(judged.edges["count"][edges].sum())),
                *(
                    (self.destination(int(graph.destination[e])), int(judged.edges["count"][e]))
                    for e in edges[:_ENTITIES]
                ),
            ],
            [
                self._check(
                    f"Destinations that speak against {neutral(name)}",
                    "livenet_proxygraph_blame",
                    terminal=name,
                ),
                *self._today_graph(edges, u),
            ],
            {
                "rank": number,
                "probability": p,
                "black": int(self.touched[u]),
                "reasons": [
                    {"destination": self.destination(int(graph.destination[e])), "adds": round(float(add), 4)}
                    for e, add in zip(edges[:_NAMED], added, strict=False)
                ],
            },
            severity="" if p >= DOUBTFUL else "low",
        )

    def destinations(self) -> Iterator[Finding]:
        judged = self.judged
        chosen = [d for d in self.ranked.gray.tolist() if judged.probability[d] >= self.how.destination]
        every = int((judged.judged & (judged.probability >= self.how.destination)).sum())
        for number, d in enumerate(chosen[: self.how.most], 1):
            last = number == min(len(chosen), self.how.most)
            yield self._destination(
                d, number, self._more(every, "suspected destinations", "gray") if last else ""
            )

    def _destination(self, d: int, number: int, more: str) -> Finding:
        judged = self.judged
        name = self.destination(d)
        shown = neutral(name, "domain")
        parts, edges, said = judged.readings(d)
        order = np.argsort(-said, kind="stable")
        edges, said = edges[order], said[order]
        people = [self.terminal(int(u)) for u in judged.graph.visitor[edges[:_NAMED]]]
        certain = self.certain[judged.graph.visitor[edges]]
        for_it = int((said > 0).sum())
        p = float(judged.probability[d])
        landing = bool(judged.landing[d])
        visits = ", ".join(
            f"{neutral(person)}{' (infected)' * bool(sure)} {value:+.1f}"
            for person, value, sure in zip(people, said, certain, strict=False)
        )
        if len(said) > _NAMED:
            visits += f", {len(said) - _NAMED:,} more {said[_NAMED:].sum():+.1f}"
        against, innocent = words.parts(parts)
        kind = (
            "It looks like a landing page: infected terminals were there shortly before they first met malware."
            if landing
            else "It looks malicious itself, not like a page on the way."
        )
        sums = (
            f"Visitors: {visits}. "
            + (f"Against it besides: {against}. " if against else "")
            + (f"For it: {innocent}. " if innocent else "")
            + f"Begun at {parts.get('base', 0.0):+.1f}, as any destination on no list, that makes "
            f"{judged.log_odds[d]:+.1f} in log-odds; scaled, {words.percent(p)}."
        )
        return self._finding(
            "suspected-destination",
            f"{shown} is suspected ({words.percent(p)}): {words.visitors(for_it, len(edges))}",
            f"{kind} {sums} {more}",
            p,
            (_type(name), name),
            judged.edges["first"][edges],
            judged.edges["last"][edges],
            int(judged.edges["count"][edges].sum()),
            [
                (name, int(judged.edges["count"][edges].sum())),
                *(
                    (self.terminal(int(judged.graph.visitor[e])), int(judged.edges["count"][e]))
                    for e in edges[:_ENTITIES]
                ),
            ],
            [
                self._check(
                    f"Visitors of {shown}, each with what it adds",
                    "livenet_proxygraph_reasons",
                    destination=name,
                    part="visit",
                )
            ],
            {
                "rank": number,
                "probability": p,
                "log_odds": float(judged.log_odds[d]),
                "reading": "landing page" if landing else "malicious",
                "visitors": len(edges),
                "suspects": for_it,
                "prior": {part: round(value, 4) for part, value in parts.items()},
                "reasons": [
                    {"terminal": person, "log_odds": round(float(value), 4)}
                    for person, value in zip(people, said, strict=False)
                ],
            },
        )

    def doubted(self) -> Iterator[Finding]:
        memory, black = self.memory, self.judged.black
        held = memory.edges
        by_visitors = []
        for d, why in black.doubted.items():
            mine = black.edges[held.destination[black.edges] == d]
            by_visitors.append((-len(mine), self.destination(d), d, why, mine))
        for visitors, name, d, why, mine in sorted(by_visitors, key=lambda row: row[:2])[: self.how.most]:
            shown = neutral(name, "domain")
            share = -visitors / max(len(memory.terminals), 1)
            reason = (
                f"{-visitors:,} terminals ({share:.0%}) went there and have no more other black contacts than the "
                "rest: a content network or shared host on the list by mistake, or an outbreak that nothing else shows"
                if why == CROWDED
                else f"{-visitors:,} terminals fetched it, nearly all of them in one go and with no other black "
                "contact: an image in an e-mail or on a popular page, or a poisoning of the lists"
            )
            listed = neutral(
                ", ".join(memory.destinations.texts["lists"][d].as_py().split(SEPARATOR)[:_NAMED]), "domain"
            )
            yield self._finding(
                "suspected-destination",
                f"The black-list entry for {shown} is doubted",
                f"{reason}. So the entry ({listed or 'black'}) proves nothing here; it is judged like a gray "
                f"destination, with the list as evidence ({self.judged.probability[d]:.0%} bad). Look at one of its "
                "visitors, then take the entry off the list or treat them as infected.",
                0.5,
                (_type(name), name),
                held["first"][mine],
                held["last"][mine],
                int(held["count"][mine].sum()),
                [
                    (name, int(held["count"][mine].sum())),
                    *((self.terminal(int(u)), 1) for u in held.terminal[mine[:_ENTITIES]]),
                ],
                [self._check(f"Visitors of {shown}", "livenet_proxygraph_black", destination=name)],
                {"doubted": why, "visitors": -visitors, "probability": float(self.judged.probability[d])},
                severity="low",
                aspect="doubted",
            )

    def _terminal_entities(self, u: int, contacts: int) -> list[tuple[str, int]]:
        addresses = self.memory.terminals.texts["addresses"][u].as_py().split(SEPARATOR)
        return [(text, contacts) for text in dict.fromkeys([self.terminal(u), *addresses]) if text]

    def _today(self, mine: np.ndarray, u: int) -> list[Evidence]:
        held = self.memory.edges
        at = [(int(held.destination[e]), int(held["last"][e])) for e in mine.tolist()]
        return self._edges_of(u, at)

    def _today_graph(self, edges: np.ndarray, u: int) -> list[Evidence]:
        judged = self.judged
        at = [(int(judged.graph.destination[e]), int(judged.edges["last"][e])) for e in edges.tolist()]
        return self._edges_of(u, at)

    def _edges_of(self, u: int, at: list[tuple[int, int]]) -> list[Evidence]:
        """One check over the edges of today, for the first destination that was asked for today."""
        for d, last in at:
            if last * _NANO >= self.ctx.start:
                name = self.destination(d)
                return [
                    self._check(
                        f"{neutral(self.terminal(u))} asked for {neutral(name, 'domain')} today",
                        "livenet_edges_edges",
                        terminal=self.terminal(u),
                        destination=name,
                    )
                ]
        return []

    def _check(self, statement: str, table: str, **equal: str) -> Evidence:
        where = " AND ".join(f"{column} = {sql_text(text)}" for column, text in equal.items())
        return Evidence(
            f"{statement}: rows of {table}",
            Check("", 0.0, tool="sql", expression=f"SELECT count(*) FROM {table} WHERE {where}"),
        )

    def _more(self, number: int, what: str, table: str) -> str:
        more = number - self.how.most
        if more <= 0:
            return ""
        return (
            f"{more:,} more {what} are not told (setting livenet.proxygraph.findings); see the table "
            f"livenet.proxygraph:{table}."
        )

    def _finding(
        self,
        kind: str,
        title: str,
        statement: str,
        confidence: float,
        subject: tuple[str, str],
        first: np.ndarray,
        last: np.ndarray,
        count: int,
        entities: list[tuple[str, int]],
        evidence: list[Evidence],
        attributes: dict[str, Any],
        severity: str = "",
        aspect: str = "",
    ) -> Finding:
        return Finding(
            engine=self.how.engine[0],
            engine_version=self.how.engine[1],
            kind=kind,
            title=title,
            statement=statement.strip(),
            confidence=min(max(confidence, 0.0), 1.0),
            calibration=_CALIBRATION,
            window=(self.ctx.start, self.ctx.end),
            subject=subject,
            first_seen=int(first.min(initial=2**33)) * _NANO if len(first) else self.ctx.start,
            last_seen=int(last.max(initial=0)) * _NANO if len(last) else self.ctx.end - 1,
            count=count,
            entities=tuple(
                # A terminal's finding has it first, then addresses and destinations; a destination's the other way.
                Entity(_who(name) if (place == 0) == kind.endswith("terminal") else _type(name), name, n)
                for place, (name, n) in enumerate(entities)
            ),
            evidence=tuple(evidence),
            attack=("T1071.001",),
            severity=severity,
            attributes=attributes,
            aspect=aspect or kind,
        )


def _type(name: str) -> str:
    return address_type(name, "domain-name")


def _who(name: str) -> str:
    return address_type(name, "user-account")


def _list(said: list[str], number: int) -> str:
    more = number - len(said)
    return "; ".join(said) + (f" and {more:,} more" if more > 0 else "")
