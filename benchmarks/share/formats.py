"""How many findings, cases and intents a CPU second tells in each format, with and without the policy of a sink.

    python benchmarks/share/formats.py [--seconds 2] [--entities 8]

Documents are made here (a fixed seed): findings of ten kinds with up to 2 x ENTITIES entities, cases with checks and
verdicts, intents. "plain": everything may leave as it is; "hidden": telescope masked, people and machines of ours under
pseudonyms, ids keyed. An object of STIX is one of its objects, of MISP an event with its attributes and objects, of the
others an event. The baseline is the stix2 library building the same kind of bundle (identity, addresses, observed-data,
indicator, sighting, note).
"""

from __future__ import annotations

import argparse
import json
import os
import random
import time
from collections.abc import Callable
from ipaddress import IPv4Address, IPv4Network
from typing import Any

from andon.records.case import Case, Verdict
from andon.records.finding import Check, Entity, Evidence, Finding
from andon.records.intent import Intent, Party
from andon.share.formats.export import Told
from andon.share.formats.rules import LANGUAGES
from andon.share.formats.view import case_document, intent_document
from andon.share.policy import RED, Caution, Gate, Ground, Policy

DAY = 1_767_225_600 * 10**9
KINDS = ("known-tool", "scanner-fingerprint", "campaign", "backscatter-victim", "infected-terminal", "beacon",
         "suspected-destination", "suspected-url", "own-host-alert", "coordinated-activity")  # fmt: skip
FORMATS = ("stix", "misp", "ocsf", "ecs", "cef", "leef", "rfc5424", "thehive", "iris", "json")


def findings(number: int, entities: int, rng: random.Random) -> list[dict[str, Any]]:
    made = []
    for n in range(number):
        kind = KINDS[n % len(KINDS)]
        some = [
            Entity("ipv4-addr", str(IPv4Address(rng.randrange(0x2D000000, 0xC6000000))))
            for _ in range(rng.randint(1, 2 * entities))
        ]
        name = f"c{rng.randrange(10**6)}.example.org"
        subject = {
            "known-tool": ("tool", f"tool-{n % 40}"),
            "scanner-fingerprint": ("fingerprint", f"ip.id == {n % 500 + 1000}"),
            "campaign": ("campaign", f"cp-{n}"),
            "coordinated-activity": ("port-set", "8291/tcp"),
            "infected-terminal": ("user-account", f"user{n % 300}"),
            "beacon": ("domain-name", name),
            "suspected-destination": ("domain-name", name),
            "suspected-url": ("url", f"http://{name}/a{n}.php"),
        }.get(kind, ("ipv4-addr", some[0].value))
        if subject[0] in ("user-account", "domain-name"):
            some = [
                Entity(*subject),
                Entity("ipv4-addr", f"10.0.{n % 256}.{n % 250 + 1}"),
                Entity("domain-name", name),
                *some[:4],
            ]
        relation = f"ip.id == {n % 500 + 1000}"
        one = Finding(
            engine="livenet.proxygraph" if subject[0] in ("user-account", "domain-name") else "darknet.tools",
            engine_version=1,
            kind=kind,
            title=f"{subject[1]}: {len(some)} sources",
            confidence=0.9,
            calibration="counted",
            statement=f"{subject[1]} was seen {n} times from {some[0].value} to 203.0.113.{n % 256} "
            f"(0xcb00{n % 65536:04x}).",
            window=(DAY, DAY + 86_400 * 10**9),
            subject=subject,
            first_seen=DAY + n * 10**9,
            last_seen=DAY + (n + 60) * 10**9,
            count=n + 1,
            entities=tuple(some),
            attack=("T1595.001",),
            severity=("low", "medium", "high")[n % 3],
            evidence=(
                Evidence(
                    f"packets with {relation}",
                    Check(relation, 0.1, "tcpdump", f"ip[4:2] = {n % 500 + 1000}", n),
                ),
            ),
            attributes={"sources": len(some), "ports": [{"port": 23, "share": 0.9}], "packets": n},
        )
        made.append(one.to_dict())
    return made


def cases(number: int, of: list[dict[str, Any]]) -> list[dict[str, Any]]:
    made = []
    for n in range(number):
        finding = of[n % len(of)]
        case = Case(
            f"{n:024x}",
            2,
            "open",
            "act",
            "high",
            1.5,
            f"host{n}: shell and beacon",
            "It is real, and the host answers.",
            (("device", f"host{n}.example.org"), ("ipv4-addr", f"10.1.{n % 256}.7")),
            DAY,
            DAY + 10**12,
            DAY,
            DAY + 10**12,
            items=(("finding", finding["id"]),),
            judgement={
                "verification": {
                    "checks": [
                        {
                            "name": str(c),
                            "outcome": "passed",
                            "statement": f"check {c} of {n}",
                            "weight": 1.0,
                            "evidence": [],
                        }
                        for c in range(5)
                    ]
                },
                "attacker": {"classes": ["financial"]},
            },
        )
        verdict = Verdict(("case", case.id), "true-positive", "alice", "confirmed", time=DAY + 10**12)
        made.append(case_document(case, [verdict], [finding]))
    return made


def intents(number: int) -> list[dict[str, Any]]:
    made = []
    for n in range(number):
        host = Party(
            "host", f"host{n}", (f"10.1.{n % 256}.7", f"fd00::{n:x}"), "00:11:22:33:44:55", "sw1", n % 48
        )
        target = Party("address", f"45.1.{n % 256}.9", (f"45.1.{n % 256}.9",))
        made.append(
            intent_document(
                Intent(
                    n + 1, "block-pair", host, target, 3_600 * 10**9, "the host answers to a C2", "andon", DAY
                ),
                "verified",
                DAY + 10**9,
            )
        )
    return made


def rate(work: Callable[[], int], seconds: float) -> float:
    """What ``work`` counts, a CPU second; after one round to warm up."""
    work()
    made, begun = 0, time.process_time()
    while time.process_time() - begun < seconds:
        made += work()
    return made / (time.process_time() - begun)


def by_library(documents: list[dict[str, Any]], seconds: float) -> tuple[float, float]:
    """(findings, objects) a CPU second of the stix2 library."""
    import stix2

    source = stix2.Identity(name="Example SOC", identity_class="organization")
    objects = 0

    def work() -> int:
        nonlocal objects
        for document in documents:
            addresses = [
                stix2.IPv4Address(value=one["value"])
                for one in document["entities"]
                if one["type"] == "ipv4-addr"
            ]
            seen = stix2.ObservedData(first_observed=document["first_seen"], last_observed=document["last_seen"],
                                      number_observed=document["count"], object_refs=addresses or [source])  # fmt: skip
            indicator = stix2.Indicator(
                pattern="[ipv4-addr:value = '45.1.1.9']",
                pattern_type="stix",
                valid_from=document["first_seen"],
            )
            made = [source, *addresses, seen, indicator,
                    stix2.Sighting(sighting_of_ref=indicator, observed_data_refs=[seen], where_sighted_refs=[source]),
                    stix2.Note(content=document["statement"], object_refs=[indicator])]  # fmt: skip
            stix2.Bundle(made).serialize()
            objects += len(made)
        return len(documents)

    work()
    objects, made, begun = 0, 0, time.process_time()
    while time.process_time() - begun < seconds:
        made += work()
    spent = time.process_time() - begun
    return made / spent, objects / spent


def objects_in(text: str, format: str) -> int:
    return len(json.loads(text)["objects"]) if format == "stix" else 1


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=1.0, help="CPU seconds for each figure")
    parser.add_argument("--entities", type=int, default=8, help="entities of a finding, on average")
    parser.add_argument("--number", type=int, default=400)
    given = parser.parse_args()
    rng = random.Random(9)
    told = findings(given.number, given.entities, rng)
    corpora = {
        "findings": told,
        "cases": cases(given.number // 4, told),
        "intents": intents(given.number // 4),
    }
    ground = Ground((IPv4Network("203.0.112.0/22"),), (), bytes(range(64)), caution=Caution())
    gates = {
        "plain": Gate(Policy("bench", RED), ground),
        "hidden": Gate(Policy("bench", RED, "hide", "pseudonym"), ground),
    }
    average = sum(len(one["entities"]) for one in told) / len(told)
    print(
        f"{given.number} findings of {len(KINDS)} kinds, {average:.1f} entities each; load {os.getloadavg()[0]:.1f}"
    )
    print(
        f"{'format':10}{'what':10}{'documents/CPU s':>17}{'objects/CPU s':>15}"
        f"{'hidden: doc./s':>16}{'objects/s':>12}{'bytes':>8}"
    )
    for format in FORMATS:
        for what, documents in corpora.items():
            cells = []
            for gate in gates.values():
                made = Told(format, gate)
                texts = [made.one(document) for document in documents]
                each = sum(objects_in(text, format) for text in texts) / len(texts)

                def work(made: Told = made, documents: list[dict[str, Any]] = documents) -> int:
                    for document in documents:
                        made.one(document)
                    return len(documents)

                speed = rate(work, given.seconds)
                cells += [speed, speed * each]
            size = sum(map(len, texts)) // len(texts)
            print(
                f"{format:10}{what:10}{cells[0]:17,.0f}{cells[1]:15,.0f}{cells[2]:16,.0f}{cells[3]:12,.0f}{size:8,}"
            )
    for language in LANGUAGES:
        made = Told(language, gates["plain"])
        begun = time.process_time()
        bundle = made.all(told)
        spent = time.process_time() - begun
        print(
            f"{language:10}{'findings':10}{len(told) / spent:17,.0f}{bundle.objects / spent:15,.0f}   "
            f"({bundle.objects} rules, "
            f"{len(bundle.left)} not expressible)"
        )
    speed, objects = by_library(told[:20], given.seconds)
    print(f"{'stix2 lib':10}{'findings':10}{speed:17,.0f}{objects:15,.0f}   (baseline)")


if __name__ == "__main__":
    main()
