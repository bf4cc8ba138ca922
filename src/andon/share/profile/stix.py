"""Profiles as a STIX 2.1 bundle.

For each family there are a ``malware`` object, ``indicator`` objects that *indicate* it (patterns over what a
network shows; a header relation as BPF, see ``share.stix``), ``vulnerability`` objects that it *exploits*,
``infrastructure`` objects for the devices that it *targets*, the servers that *host* it and those that it
*beacons-to*, ``report`` objects, and ``sighting`` objects with counts. Ids are UUIDv5 of what an object says, so
that the same thing is the same object on another day. Values stand as they are, for programs.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from andon.share.formats.stix_ids import NAMESPACE, host_observable
from andon.share.profile.model import COPIES, MOST, Profile, bpf, device


class _Bundle:
    """Objects by id, in the order in which they came."""

    def __init__(self) -> None:
        self.objects: dict[str, dict[str, Any]] = {}

    def add(self, kind: str, key: str, created: str, modified: str, **fields: Any) -> str:
        number = f"{kind}--{uuid.uuid5(NAMESPACE, f'{kind} {key}')}"
        if number in self.objects:
            held = self.objects[number]
            held["created"], held["modified"] = min(held["created"], created), max(held["modified"], modified)
            return number
        body = {
            "type": kind,
            "spec_version": "2.1",
            "id": number,
            "created": created,
            "modified": max(created, modified),
        }
        self.objects[number] = body | {
            name: value for name, value in fields.items() if value not in (None, [], "", {})
        }
        return number

    def relate(self, source: str, verb: str, target: str, created: str, modified: str, **fields: Any) -> None:
        self.add("relationship", f"{source} {verb} {target}", created, modified, relationship_type=verb,
        source_ref=source,
                 target_ref=target, **fields)  # fmt: skip


def bundle(every: Sequence[Profile]) -> dict[str, Any]:
    """A STIX 2.1 bundle of all profiles."""
    made = _Bundle()
    reporter = made.add("identity", "andon", _EPOCH, _EPOCH, name="Andon", identity_class="system")
    for one in every:
        _family(made, one, reporter)
    number = uuid.uuid5(
        NAMESPACE, " ".join(f"{o['id']}{o.get('modified', '')}" for o in made.objects.values())
    )
    return {"type": "bundle", "id": f"bundle--{number}", "objects": list(made.objects.values())}


_EPOCH: Final = "2020-01-01T00:00:00.000Z"  # of what has no time of its own


def _stamp(value: datetime) -> str:
    return f"{value.astimezone(UTC):%Y-%m-%dT%H:%M:%S}.{value.microsecond // 1000:03d}Z"


def _clean(text: str, most: int = 1000) -> str:
    return "".join(c if c.isprintable() else "\ufffd" for c in text)[:most]


def _family(made: _Bundle, one: Profile, reporter: str) -> None:
    row = one.row
    times = [row[name] for name in ("first_darknet", "first_honeypot") if row[name].timestamp() > 0]
    seen = [day["day"] for day in one.curve if day["darknet"] or day["honeypot"] or day["loaders"]]
    first = min([*times, *seen], default=datetime.fromtimestamp(1_577_836_800, UTC))
    last = max(seen, default=first)
    begin, end = _stamp(first), _stamp(max(first, last))
    malware = made.add(
        "malware", str(row["series"]), begin, end, name=_clean(one.name, 250), is_family=True,
        aliases=[_clean(alias, 250) for alias in row["aliases"]], malware_types=["bot"],
        first_seen=begin, last_seen=end, confidence=round(100 * row["probability"]), created_by_ref=reporter,
        description=f"State: {row['state']}. Ports: {'; '.join(row['port_sets'][:8]) or 'not known'}. {COPIES}",
        kill_chain_phases=[{"kill_chain_name": "andon-attack-steps",
        "phase_name": step} for step in one.details.get("steps", {})],
        labels=[f"state:{row['state']}", *(f"token:{_clean(token, 60)}" for token in row["tokens"][:MOST])],
    )  # fmt: skip
    sightings: list[tuple[str, int]] = []
    counts = {
        "darknet": sum(day["darknet"] for day in one.curve),
        "sessions": sum(day["sessions"] for day in one.curve),
    }
    for pattern, kind, name, count in _patterns(row):
        number = made.add(
            "indicator", f"{row['series']} {pattern}", begin, end, name=_clean(name, 250), pattern=pattern,
            pattern_type=kind,
            indicator_types=["malicious-activity"], valid_from=begin, confidence=round(100 * row["probability"]),
            created_by_ref=reporter,
        )  # fmt: skip
        made.relate(number, "indicates", malware, begin, end)
        # Source-days in the darknet, or sessions at honeypots; where nothing was counted, no count is given.
        sightings.append((number, counts.get(count, 0)))
    for cve in row["cves"]:
        if re.fullmatch(r"CVE-\d{4}-\d{4,}", cve):
            number = made.add("vulnerability", cve, _EPOCH, _EPOCH, name=cve,
                              external_references=[{"source_name": "cve", "external_id": cve}])  # fmt: skip
            basis = ", ".join(one.details.get("basis", {}).get(cve, ()))
            made.relate(
                malware, "exploits", number, begin, end, description=f"Known from: {basis}" if basis else None
            )
    for target in row["targets"]:
        number = made.add("infrastructure", f"device {target}", _EPOCH, _EPOCH, name=_clean(device(target), 250),
                          infrastructure_types=["routers-switches"] if "outer" in target else ["unknown"])  # fmt: skip
        made.relate(malware, "targets", number, begin, end)
    servers = [(value, "hosting-malware") for value in row["loaders"]]
    servers += [(value, "command-and-control") for value in row["controllers"]]
    for value, kind in servers:
        _server(made, malware, value, kind, (begin, end))
    for number, seen_times in sightings:
        made.add(
            "sighting", f"{number} {begin}", begin, end, first_seen=begin, last_seen=end,
            count=min(seen_times, 999_999_999) or None, sighting_of_ref=number, where_sighted_refs=[reporter],
            summary=True,
        )  # fmt: skip
    for report in one.reports:
        published = _stamp(report["published"])
        made.add(
            "report", f"{report['report']} {row['series']}", published, end,
            name=_clean(report["title"] or report["report"], 250),
            published=published, report_types=["malware"], object_refs=[malware], created_by_ref=reporter,
            description=_clean(f"Speaks of it by {report['why']}; {report['score']:g} bits, chance "
                               f"{report['chance']:.3f}"),
            external_references=[{"source_name": "report", "external_id": _clean(report["report"], 200)}],
        )  # fmt: skip


def _server(made: _Bundle, malware: str, value: str, kind: str, times: tuple[str, str]) -> None:
    """An infrastructure object that *consists-of* its address, and the malware's relation to it."""
    host, _, port = value.partition(":")
    observed = host_observable(host)
    if observed is None:
        return
    number = made.add(
        "infrastructure", f"{kind} {value}", *times, name=_clean(value, 250), infrastructure_types=[kind]
    )
    made.objects.setdefault(observed["id"], observed)
    made.relate(number, "consists-of", observed["id"], *times)
    # The relations that STIX 2.1 has between these (4.8, 4.11): one "downloads" files, not from servers.
    made.relate(malware, "communicates-with", observed["id"], *times)
    if kind == "command-and-control":
        made.relate(malware, "beacons-to", number, *times, description=f"Port {port}" if port else None)
    else:
        made.relate(number, "hosts", malware, *times)


def _text(value: str) -> str:
    return _clean(value).replace("\\", "\\\\").replace("'", "\\'")


def _patterns(row: Mapping[str, Any]) -> list[tuple[str, str, str, str]]:
    """(pattern, its language, name, which counts its sightings have)."""
    made: list[tuple[str, str, str, str]] = []
    for fingerprint in row["fingerprints"][:MOST]:
        text = bpf(fingerprint)
        if text:
            made.append((text, "x-bpf", f"Scans with {fingerprint}", "darknet"))
    for digest in row["payloads"]:
        kind = {32: "MD5", 40: "'SHA-1'", 64: "'SHA-256'"}.get(len(digest))
        if kind and re.fullmatch(r"[0-9a-f]+", digest):
            made.append((f"[file:hashes.{kind} = '{digest}']", "stix", f"Payload {digest[:16]}", ""))
    for loader in row["loaders"]:
        found = host_observable(loader)
        if found is not None:
            made.append((f"[{found['type']}:value = '{found['value']}']", "stix", f"Loader {loader}", ""))
    for server in row["controllers"]:
        found = host_observable(server.partition(":")[0])
        if found is not None:
            made.append(
                (f"[{found['type']}:value = '{found['value']}']", "stix", f"Command and control {server}", "")
            )
    for token in row["tokens"]:
        command = _text(f"/bin/busybox {token}")
        made.append((f"[process:command_line = '{command}']", "stix", f"Token {token}", "sessions"))
    for base in row["url_bases"]:
        like = _text(base.replace("%", "").replace("_", "")) if "<" not in base else ""
        if len(base) > 4 and like:
            made.append((f"[url:value LIKE '%{_text(base)}%']", "stix", f"URL base {base}", "sessions"))
    return made
