"""What a parcel says in STIX, or as MISP events, once the sink's gate has let it through.

A document of ours (finding, alert, case, intent) goes through the gate, which takes out what must not leave, and is
mapped by ``share.formats``. What is STIX already is taken as made for others: only its markings are looked at.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from andon.records.finding import timestamp
from andon.share.outbox.parcel import Parcel, Refused, Withheld
from andon.share.taxii.wire import LEVELS, NotStix, Stix, stix

if TYPE_CHECKING:
    from andon.share.formats.export import Told
    from andon.share.policy import Gate


def messages(parcel: Parcel) -> Iterator[tuple[Any, str, str]]:
    """(body, kind, time) of a parcel, or of each message that a digest carries. Raises Refused."""
    created = timestamp(parcel.created)
    try:
        if not parcel.is_digest:
            yield parcel.data(), parcel.kind, created
            return
        for line in parcel.lines.splitlines():
            one = json.loads(line)
            yield one["body"], str(one.get("kind", "")), str(one.get("created", created))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise Refused(f"the message holds no JSON ({type(error).__name__})") from error


def stix_of(parcel: Parcel, gate: Gate | None = None, unmarked: str = "amber") -> tuple[list[Stix], str]:
    """(its objects, each (id, version) once; a remark). ``unmarked``: TLP of ready-made objects without a marking.

    Raises Refused for a parcel without any or with a bad one, Withheld if nothing of it may leave."""
    found: dict[tuple[str, int], Stix] = {}
    withheld: list[str] = []
    for body, kind, created in messages(parcel):
        try:
            ready = _ready(body)
            if ready is None:
                made, level = _mapped("stix", gate, body, kind, created)
                ready, default = made.get("objects", ()), level
            else:
                default = unmarked
            objects = [stix(item, LEVELS.index(default)) for item in ready]
        except Withheld as error:
            withheld.append(str(error))
            continue
        except NotStix as error:
            raise Refused(f"not a STIX object: {error}") from error
        for one in objects:
            if gate is not None and one.tlp > LEVELS.index(gate.policy.tlp):
                withheld.append(f"TLP:{LEVELS[one.tlp].upper()} is above TLP:{gate.policy.tlp.upper()}")
                continue
            held = found.get((one.id, one.version))
            if held is None or one.tlp < held.tlp:
                found[one.id, one.version] = one
    if not found and withheld:
        raise Withheld(withheld[0])
    if not found:
        raise Refused("the message holds nothing that can be said in STIX")
    return list(found.values()), f"{len(withheld):,} withheld: {withheld[0]}" if withheld else ""


def events_of(parcel: Parcel, gate: Gate | None = None) -> tuple[list[dict[str, Any]], str]:
    """(MISP events of a parcel; a remark). Raises Refused, Withheld."""
    made: list[dict[str, Any]] = []
    withheld: list[str] = []
    for body, kind, created in messages(parcel):
        if isinstance(body, Mapping) and isinstance(body.get("Event"), Mapping):
            made.append(dict(body["Event"]))
            continue
        try:
            made.append(dict(_mapped("misp", gate, body, kind, created)[0]["Event"]))
        except Withheld as error:
            withheld.append(str(error))
    if not made:
        raise Withheld(withheld[0] if withheld else "there is nothing in it")
    return made, f"{len(withheld):,} withheld: {withheld[0]}" if withheld else ""


def _ready(body: Any) -> Iterable[Any] | None:
    """The objects of what is STIX already; None for a document of ours."""
    if isinstance(body, list):
        return body
    if not isinstance(body, Mapping):
        raise Refused("the message is no object")
    if body.get("type") == "bundle" or set(body) == {"objects"}:
        inner = body.get("objects")
        return inner if isinstance(inner, list) else ()
    return (body,) if isinstance(body.get("type"), str) and "--" in str(body.get("id", "")) else None


def _mapped(
    form: str, gate: Gate | None, body: Any, kind: str, created: str
) -> tuple[Mapping[str, Any], str]:
    if not isinstance(body, Mapping):
        raise Refused("the message is no object")
    told = _told(form, gate)
    try:
        found, level = told.view(body, kind, created)
        return told.object(found, level), level
    except (ValueError, KeyError, TypeError) as error:
        name = str(body.get("schema", "without a schema"))
        raise Refused(f"a document {name[:60]!r} is not understood ({str(error)[:120]})") from error


@lru_cache(maxsize=32)
def _told(form: str, gate: Gate | None) -> Told:
    from andon.share.formats.export import Told

    return Told(form, gate)
