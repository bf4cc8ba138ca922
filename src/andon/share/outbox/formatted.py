"""A parcel in another format: its body, or the bodies that a digest carries, through the sink's gate.

What is withheld of a digest is left out and said in the remark; if all of it is, the parcel is.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from andon.records.finding import timestamp
from andon.share.formats import cef, leef, rfc5424
from andon.share.formats.export import Told
from andon.share.formats.view import View
from andon.share.outbox.parcel import Parcel, Withheld
from andon.share.policy import PLAIN, Gate

MESSAGE = "message"  # the envelope of ours, andon.message/1


def bodies(parcel: Parcel) -> Iterator[tuple[Any, str, int, str, str, str]]:
    """(body, kind, created in ns, subject, text, id) of a parcel, or of each message of a digest."""
    if not parcel.is_digest or not parcel.lines:
        yield parcel.data(), parcel.kind, parcel.created, parcel.subject, parcel.text, parcel.id
        return
    for line in parcel.lines.splitlines():
        one = json.loads(line)
        yield one["body"], one["kind"], parcel.created, one["subject"], one["text"], one["id"]


def views(told: Told, parcel: Parcel) -> tuple[list[tuple[View, str, str, str, int]], str]:
    """([(view, TLP, text for people, id of the message, ns)], remark) of what may leave. Raises Withheld if nothing
    may."""
    made, withheld = [], []
    shown = unchanged(told.gate)
    for body, kind, created, subject, text, id in bodies(parcel):
        try:
            # The subject and the text are prose with names in it: they leave only where nothing is hidden.
            found, level = told.view(body, kind, timestamp(created), subject if shown else "")
        except Withheld as error:
            withheld.append(str(error))
            continue
        if not found.id and told.format in ("stix", "misp"):
            found.id = id
        made.append((found, level, text if shown else "", id, created))
    if not made:
        raise Withheld(withheld[0] if withheld else "there is nothing in it")
    remark = f"{len(withheld):,} of {len(withheld) + len(made):,} withheld: {withheld[0]}" if withheld else ""
    return made, remark


def admit(gate: Gate | None, parcel: Parcel) -> None:
    """See that a parcel may leave as it is. Raises Withheld."""
    if gate is not None:
        for body, kind, *_ in bodies(parcel):
            gate.admit(body if isinstance(body, Mapping) else {}, kind)


def unchanged(gate: Gate) -> bool:
    """Whether a gate lets documents pass as they are."""
    return gate.policy.telescope == "show" and gate.policy.people == PLAIN


def line(told: Told, one: tuple[View, str, str, str, int], version: str) -> str:
    """The text of one view, with the message's id and time in formats that have a place for them."""
    view, level, text, id, created = one
    if told.format == "cef":
        return cef.cef(view, version, text or None, id, created)
    if told.format == "leef":
        return leef.leef(view, version, text or None, id, created)
    if told.format == "rfc5424":
        return rfc5424.message(view, text, id, created).decode()
    return told.text(view, level)
