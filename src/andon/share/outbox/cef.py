"""A parcel as a CEF event: what ``share.formats.cef`` makes of its body, with the parcel's id, time and text."""

from __future__ import annotations

from andon.share.formats import cef as form
from andon.share.formats.view import view
from andon.share.outbox.parcel import Parcel

SEVERITY = form.SEVERITY


def cef(parcel: Parcel, version: str) -> str:
    """One event. The body's own names decide: a finding (``andon.finding/1``), an alert (``andon.alert/1``), whose
    details stand at the top, a case, an intent."""
    told = view(parcel.data(), parcel.kind, title=parcel.subject)
    return form.cef(told, version, parcel.text, parcel.id, parcel.created)
