"""Findings, cases and intents as STIX 2.1 (OASIS standard, 10 June 2021), plain dictionaries.

A finding gives

* ``observed-data`` with the observables it names (at most the hundred of its JSON form),
* an ``indicator`` where there is something to look for: a header relation as BPF (``pattern_type`` x-bpf, see
  ``share.stix``), or the hostile addresses, names and URLs as a STIX pattern, if no warning list names them; it ends
  after ``HOLDS`` days, since addresses change hands,
* a ``sighting`` of the indicator, else of the malware, tool or technique that is known, with the count,
* ``malware`` or ``tool``, ``attack-pattern``, ``infrastructure`` (what terminals asked for), and the relationships that
  say what indicates what,
* a ``note`` with the statement, the evidence and how to check it.

A case is a ``grouping`` of its observables and of the notes of its findings, with a note of what was checked and an
``opinion`` for each verdict. An intent is a ``course-of-action`` that mitigates an indicator of what is cut.

Ids are made of what an object says (``stix_ids``), so that a repetition, or a later revision, is the same object with a
later ``modified`` (end of the window, and a millisecond for each revision). All objects carry the TLP 2.0 marking
(extension of the OASIS CTI committee of 1 October 2022). What we do differently from most exporters: the
address of a survey, or one that a spoofed packet bore, is no indicator.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any, Final

from andon.records.expression import ExpressionError, NotExpressible, parse, to_bpf
from andon.share.formats.stix_ids import EPOCH, NAMESPACE, named, observed, quoted, stamp
from andon.share.formats.techniques import name_of
from andon.share.formats.view import BLACK, CASE, DESTINATION, FINDING, INTENT, ROLES, Thing, View, view
from andon.share.policy import AMBER, CLEAR, GREEN, RED, STRICT, Caution

__all__ = ["NAMESPACE", "Writer", "bundle", "objects_of"]

HOLDS: Final = 30  # days that an indicator of addresses holds
_MOST: Final = 999_999_999  # of counts (STIX 2.1, 4.14 and 5.2)
_TEXT: Final = 20_000
_VALUES: Final = 100  # of one pattern
_MARKINGS: Final[Mapping[str, str]] = {
    CLEAR: "94868c89-83c2-464b-929b-a1a8aa3c8487", GREEN: "bab4a63c-aed9-4cf5-a766-dfca5abac2bb",
    AMBER: "55d920b0-5e8b-4f79-9ee9-91f868d9b421", STRICT: "939a9414-2ddd-4d32-a0cd-375ea402b003",
    RED: "e828b379-4e03-4974-9ac4-e53a884c97c1",
}  # fmt: skip
_TLP: Final = "extension-definition--60a3c5c5-0d10-413e-aab3-9e08dde9e88d"
_ORDER: Final = {f"marking-definition--{number}": at for at, number in enumerate(_MARKINGS.values())}
_OPINIONS: Final[Mapping[str, str]] = {
    "true-positive": "strongly-agree", "benign-positive": "disagree", "false-positive": "strongly-disagree",
    "unsure": "neutral",
}  # fmt: skip
_TECHNIQUE: Final = re.compile(r"T\d{4}(?:\.\d{3})?")
_MALWARE: Final = frozenset(("malware", "attack", "botnet", "worm"))
_ENCODE: Final = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode
# An eighth of the time goes into looking for circles, which no document has.
_ENCODE_TREE: Final = json.JSONEncoder(
    ensure_ascii=False, allow_nan=False, check_circular=False, separators=(",", ":")
).encode
Object = dict[str, Any]


def marking(level: str) -> Object:
    """The standard's marking-definition of a TLP 2.0 level."""
    return {
        "type": "marking-definition", "spec_version": "2.1", "id": f"marking-definition--{_MARKINGS[level]}",
        "created": "2022-10-01T00:00:00.000Z", "name": f"TLP:{level.upper()}",
        "extensions": {_TLP: {"extension_type": "property-extension", "tlp_2_0": level}},
    }  # fmt: skip


class Writer:
    """Makes objects. ``organisation``: who says it. Pure: the same view gives the same objects.

    >>> from andon.records.finding import Entity, Finding
    >>> one = Finding("darknet.tools", 1, "known-tool", "Mirai", "One source.", 0.9, "", (0, 10**9), ("tool", "mirai"),
    ...               0, 10**9, 7, (Entity("ipv4-addr", "203.0.114.9"),))
    >>> [made["type"] for made in Writer("Example SOC").objects(view(one.to_dict()), GREEN)][:4]
    ['identity', 'marking-definition', 'ipv4-addr', 'observed-data']
    """

    def __init__(self, organisation: str = "Andon", caution: Caution | None = None) -> None:
        self.caution = caution or Caution()
        self.identity: Object = {
            "type": "identity",
            "spec_version": "2.1",
            "id": named("identity", f"identity {organisation}"),
            "created": EPOCH,
            "modified": EPOCH,
            "name": organisation[:250],
            "identity_class": "organization",
        }
        self._by: str = self.identity["id"]
        self._marks = {level: marking(level) for level in _MARKINGS}

    def objects(self, told: View, level: str = AMBER) -> list[Object]:
        """All objects of one view, the identity and the marking first. Raises ValueError for a view without an id."""
        if not told.id:
            raise ValueError("what has no id cannot be told in STIX")
        made = {FINDING: self._finding, CASE: self._case, INTENT: self._intent}[told.what](told)
        mark = self._marks[level]
        marked = [mark["id"]]
        found: dict[str, Object] = {self._by: self.identity, mark["id"]: mark}
        for one in made:
            one["object_marking_refs"] = marked
            found.setdefault(one["id"], one)
        return list(found.values())

    def _object(self, kind: str, key: str, created: str, modified: str, **fields: Any) -> Object:
        return {
            "type": kind, "spec_version": "2.1", "id": named(kind, f"{kind} {key}"), "created_by_ref": self._by,
            "created": created, "modified": max(created, modified), **fields,
        }  # fmt: skip

    def _finding(self, told: View) -> list[Object]:
        begun, ended = stamp(told.first or told.issued), stamp(told.last or told.issued)
        ended = max(begun, ended)
        issued = max(_later(stamp(told.issued), milliseconds=told.revision - 1), begun)
        reference = _reference(told)
        sure = {} if told.confidence is None else {"confidence": round(100 * told.confidence)}
        made: list[Object] = list(_observables([told.subject, *told.entities]))
        seen: list[str] = []
        if made:
            data = self._object(
                "observed-data", told.id, begun, issued, first_observed=begun, last_observed=ended,
                number_observed=min(max(1, told.count), _MOST), object_refs=[one["id"] for one in made],
                external_references=reference,
            )  # fmt: skip
            made.append(data)
            seen = [data["id"]]
        indicator = self._indicator(told, begun, ended, issued, reference, sure)
        causes = [*self._software(told, begun, issued), *map(self._technique, _techniques(told))]
        made += causes
        sighted: list[str] = []
        if indicator is not None:
            made.append(indicator)
            sighted = [indicator["id"]]
            for cause in causes:
                made.append(self._relation(indicator["id"], "indicates", cause["id"], begun, issued, **sure))
            made += self._infrastructure(told, indicator["id"], begun, issued, sure)
        for what in sighted or [cause["id"] for cause in causes]:
            made.append(
                self._object(
                    "sighting", f"{told.id} {what}", begun, issued, first_seen=begun, last_seen=ended,
                    sighting_of_ref=what, where_sighted_refs=[self._by], summary=told.count > 1, **sure,
                    **({"count": min(told.count, _MOST)} if told.count else {}),
                    **({"observed_data_refs": seen} if seen else {}),
                )
            )  # fmt: skip
        about = seen + sighted or [cause["id"] for cause in causes] or [self._by]
        made.append(self._note(told, begun, issued, about))
        return made

    def _note(self, told: View, created: str, modified: str, about: list[str]) -> Object:
        lines = [told.statement, *(f"- {_evidence(*one)}" for one in told.evidence)]
        fields: Object = {
            "abstract": _clean(told.title, 250) or told.kind, "content": _clean("\n".join(lines), _TEXT) or told.kind,
            "object_refs": about, "labels": [told.kind or told.what], "external_references": _reference(told),
        }  # fmt: skip
        if told.severity:
            fields["labels"].append(f"severity-{told.severity}")
        if told.confidence is not None:
            fields["confidence"] = round(100 * told.confidence)
        return self._object("note", told.id, created, modified, **fields)

    def _indicator(
        self, told: View, begun: str, ended: str, issued: str, reference: list[Object], sure: Object
    ) -> Object | None:
        pattern, kind, key = "", "stix", ""
        if told.telling and (check := told.relation):
            pattern, kind, key = bpf(check), "x-bpf", check
        until: Object = {}
        if not pattern:
            kind, pattern = "stix", self.pattern(told.hostile)
            key = f"indicator {self._by} {pattern}"
            until = {"valid_until": _later(ended, HOLDS)}
        if not pattern:
            return None
        return {
            "type": "indicator", "spec_version": "2.1", "id": named("indicator", key), "created_by_ref": self._by,
            "created": begun, "modified": issued, "name": _clean(told.title, 250) or told.kind,
            "description": _clean(told.statement, 2000) or told.kind,
            "indicator_types": ["anomalous-activity" if kind == "x-bpf" else "malicious-activity"],
            "pattern": pattern, "pattern_type": kind, "valid_from": begun, **until, **sure,
            "labels": [told.kind], "external_references": reference,
        }  # fmt: skip

    def pattern(self, hostile: Iterable[Thing]) -> str:
        """A STIX pattern over what no warning list names; "" if nothing is left."""
        values: dict[str, list[str]] = {}
        for kind, value in hostile:
            if self.caution.holds(kind, value) or sum(map(len, values.values())) >= _VALUES:
                continue
            values.setdefault(kind, []).append(value)
        parts = []
        for kind, some in values.items():
            bare = [one for one in some if kind != "url" or "://" in one]
            if len(bare) == 1:
                parts.append(f"{kind}:value = {quoted(bare[0])}")
            elif bare:
                parts.append(f"{kind}:value IN ({', '.join(map(quoted, bare))})")
            # Logs of proxies often lack the scheme: whichever it is.
            parts += [
                f"url:value MATCHES {quoted(f'^https?://{re.escape(one)}$')}"
                for one in some
                if one not in bare
            ]
        return f"[{' OR '.join(parts)}]" if parts else ""

    def _software(self, told: View, begun: str, issued: str) -> list[Object]:
        """Malware or tool that the finding knows by name."""
        name = str(told.attributes.get("family") or "")
        malware = bool(name)
        if told.kind == "known-tool":
            name = str(told.attributes.get("tool") or told.subject[1])
            malware = str(told.attributes.get("purpose", "")) in _MALWARE
        elif told.subject[0] == "malware":
            name, malware = told.subject[1], True
        if not name:
            return []
        name = _clean(name, 250)
        if malware:
            more: Object = {"is_family": True, "malware_types": ["unknown"]}
            return [self._object("malware", f"{self._by} {name}", EPOCH, EPOCH, name=name, **more)]
        more = {"tool_types": ["information-gathering"]}
        return [self._object("tool", f"{self._by} {name}", EPOCH, EPOCH, name=name, **more)]

    def _infrastructure(
        self, told: View, indicator: str, begun: str, issued: str, sure: Object
    ) -> list[Object]:
        """What terminals of ours asked for and is hostile: infrastructure, of a type that we do not know."""
        if ROLES.get(told.kind) not in (DESTINATION, BLACK):
            return []
        told_of = list(_observables(one for one in told.hostile if not self.caution.holds(*one)))
        if not told_of:
            return []
        names = ", ".join(value for _, value in told.hostile)
        made = self._object(
            "infrastructure", f"{self._by} {names}", begun, issued, name=_clean(names, 250),
            infrastructure_types=["unknown"], first_seen=begun, last_seen=max(begun, stamp(told.last)),
        )  # fmt: skip
        return [
            made,
            *(self._relation(made["id"], "consists-of", one["id"], begun, issued) for one in told_of),
            self._relation(indicator, "indicates", made["id"], begun, issued, **sure),
        ]

    def _technique(self, technique: str) -> Object:
        return self._object(
            "attack-pattern", technique, EPOCH, EPOCH, name=name_of(technique),
            external_references=[{"source_name": "mitre-attack", "external_id": technique}],
        )  # fmt: skip

    def _relation(
        self, source: str, verb: str, target: str, created: str, modified: str, **more: Any
    ) -> Object:
        return self._object(
            "relationship", f"{source} {verb} {target}", created, modified, relationship_type=verb,
            source_ref=source, target_ref=target, **more,
        )  # fmt: skip

    def _case(self, told: View) -> list[Object]:
        body = told.body
        begun = stamp(str(body.get("opened") or told.first or told.issued))
        issued = max(begun, stamp(told.issued))
        made = list(_observables(told.entities))
        items = body.get("items")
        notes = [
            named("note", f"note {one['id']}")
            for one in (items if isinstance(items, list) else ())
            if isinstance(one, Mapping) and one.get("kind") == "finding" and isinstance(one.get("id"), str)
        ]
        causes = list(map(self._technique, _techniques(told)))
        refs = list(dict.fromkeys([*(one["id"] for one in made), *(one["id"] for one in causes), *notes]))
        classes = body.get("attacker")
        labels = [f"state-{told.state}", *([f"severity-{told.severity}"] if told.severity else [])]
        labels += (
            [f"attacker-{one}" for one in classes if isinstance(one, str)]
            if isinstance(classes, list)
            else []
        )
        group = self._object(
            "grouping", f"case {told.id}", begun, issued, name=_clean(told.title, 250) or "case",
            description=_clean(told.statement, _TEXT) or "case", context="suspicious-activity",
            object_refs=refs or [self._by], labels=labels, external_references=_reference(told),
        )  # fmt: skip
        made += [*causes, group, self._note(told, begun, issued, [group["id"]])]
        verdicts = body.get("verdicts")
        for one in verdicts if isinstance(verdicts, list) else ():
            if isinstance(one, Mapping) and one.get("label") in _OPINIONS:
                made.append(self._opinion(told, one, group["id"]))
        return made

    def _opinion(self, told: View, verdict: Mapping[str, Any], group: str) -> Object:
        when, who = stamp(str(verdict.get("time", ""))), _clean(str(verdict.get("analyst", "")), 250)
        why = ": ".join(str(verdict[key]) for key in ("label", "reason", "note") if verdict.get(key))
        return self._object(
            "opinion", f"{told.id} {who} {when} {verdict['label']}", when, when, explanation=_clean(why, 2000),
            opinion=_OPINIONS[str(verdict["label"])], object_refs=[group], **({"authors": [who]} if who else {}),
        )  # fmt: skip

    def _intent(self, told: View) -> list[Object]:
        begun = stamp(told.first or told.issued)
        issued = max(begun, stamp(told.issued))
        made = list(_observables(told.entities))
        action = self._object(
            "course-of-action", told.id, begun, issued, name=_clean(told.title, 250),
            description=_clean(
                f"{told.statement} State: {told.state}. Until {told.last}, whatever happens.", _TEXT
            ),
            labels=[f"action-{told.kind}", f"state-{told.state}"], external_references=_reference(told),
        )  # fmt: skip
        made.append(action)
        pattern = self.pattern(told.hostile)
        if pattern:
            indicator: Object = {
                "type": "indicator",
                "spec_version": "2.1",
                "id": named("indicator", f"indicator {self._by} {pattern}"),
                "created_by_ref": self._by,
                "created": begun,
                "modified": issued,
                "name": _clean(told.title, 250),
                "description": _clean(told.statement, 2000) or told.kind,
                "indicator_types": ["malicious-activity"],
                "pattern": pattern,
                "pattern_type": "stix",
                "valid_from": begun,
                "valid_until": _later(max(begun, stamp(told.last)), 0 if told.last > told.first else 1),
            }
            made += [indicator, self._relation(action["id"], "mitigates", indicator["id"], begun, issued)]
        ours = {one["id"] for one in _observables(told.ours)}
        made += [self._relation(action["id"], "related-to", one, begun, issued) for one in sorted(ours)]
        about = [action["id"]]
        made.append(self._note(told, begun, issued, about))
        return made


def bundle(objects: Iterable[Object]) -> Object:
    """A bundle: each object once, its latest version, under the strictest marking it came with. The id follows from
    what is in it."""
    found: dict[str, Object] = {}
    for one in objects:
        held = found.get(one["id"])
        if held is None:
            found[one["id"]] = one
        elif held != one:
            newer = one if str(one.get("modified", "")) >= str(held.get("modified", "")) else held
            marks = [*held.get("object_marking_refs", ()), *one.get("object_marking_refs", ())]
            first = min(str(held.get("created", "")), str(one.get("created", "")))
            found[one["id"]] = {**newer, **({"created": first} if first else {})}
            if marks:
                found[one["id"]]["object_marking_refs"] = [max(marks, key=lambda mark: _ORDER.get(mark, 0))]
    identity = named("bundle", " ".join(f"{one['id']}{one.get('modified', '')}" for one in found.values()))
    return {"type": "bundle", "id": identity, "objects": list(found.values())}


def objects_of(document: Mapping[str, Any], level: str = AMBER, organisation: str = "Andon") -> list[Object]:
    """Objects of a finding's, alert's, case's or intent's JSON form. Raises ValueError for what has no id."""
    return _writer(organisation).objects(view(document), level)


@lru_cache(maxsize=8)
def _writer(organisation: str) -> Writer:
    return Writer(organisation)


def _observables(things: Iterable[Thing]) -> Iterable[Object]:
    """Each once, in order. Also values that the defanged forms of texts hold are given as they are."""
    found: dict[str, Object] = {}
    for kind, value in things:
        made = observed(kind, value)
        if made is not None:
            found.setdefault(made["id"], dict(made))
    return found.values()


def _techniques(told: View) -> list[str]:
    return [one for one in told.attack if _TECHNIQUE.fullmatch(one)]


def _reference(told: View) -> list[Object]:
    return [{"source_name": "andon", "external_id": told.id, "description": told.what}]


def _evidence(statement: str, check: Mapping[str, Any]) -> str:
    text = check.get("expression") or check.get("relation")
    if not text:
        return statement
    expected = check.get("expected")
    count = "" if expected is None else f" (expected: {expected})"
    return f"{statement} Check with {check.get('tool', 'a tool')}{count}: {text}"


@lru_cache(maxsize=1 << 13)
def bpf(check: str) -> str:
    """A relation as a tcpdump filter; "" where it cannot be said."""
    try:
        return to_bpf(parse(check))
    except (ExpressionError, NotExpressible, ValueError, RecursionError):
        return ""


@lru_cache(maxsize=1 << 13)
def _later(time: str, days: int = 0, milliseconds: int = 0) -> str:
    if not days and not milliseconds:
        return time
    moment = datetime.fromisoformat(time.replace("Z", "+00:00")).astimezone(UTC)
    moment += timedelta(days=days, milliseconds=min(milliseconds, 1 << 31))
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03d}Z"


def _clean(text: str, most: int) -> str:
    if not text.isprintable() and not text.replace("\n", "").isprintable():
        text = "".join(c if c.isprintable() or c == "\n" else "\ufffd" for c in text)
    return text[:most]


def dumps(value: Any) -> str:
    """JSON in one line, as the outbox and files hold it. Raises ValueError for a number that JSON has not, and for
    what holds itself."""
    try:
        return _ENCODE_TREE(value)
    except RecursionError:
        return _ENCODE(value)  # says what is wrong with it
