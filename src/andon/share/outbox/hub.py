"""Reports to a DAEDALUS hub: what the own telescope saw of other members' addresses. See ``docs/hub.md``.

A parcel holds a report (``andon.hub-report/1``) or alerts of DAEDALUS (``andon.alert/1``) about addresses of the hub's
cover, which become one. The parcel's id is the report's, so a repetition counts nothing twice.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from andon.share.outbox.parcel import Parcel, Refused
from andon.share.outbox.secret import Secret

if TYPE_CHECKING:
    from andon.share.hub.client import HubClient


@dataclass(frozen=True)
class HubSink:
    """``url``: of the hub; ``member``: our name there; ``key``: signs.

    Raises ValueError for a URL or name that cannot work."""

    name: str
    url: str
    member: str
    key: Secret = field(repr=False)
    ca_file: Path | None = None
    verify: bool = True
    digest_after: int = 60

    def __post_init__(self) -> None:
        _ = self._client

    def send(self, parcel: Parcel, now: int, seconds: float) -> str:
        """Report what the parcel holds; a closed alert needs no report. Raises Unreachable, Refused."""
        from andon.share.hub import protocol as p
        from andon.share.hub.client import reports
        from andon.share.taxii.content import messages

        heard: list[p.Sighting] = []
        for document, _, _ in messages(parcel):
            if not isinstance(document, Mapping):
                raise Refused("the message is no object")
            if document.get("schema") == p.REPORT:
                try:
                    heard += p.read_report(dict(document), now).sightings
                except p.BadReport as error:
                    raise Refused(f"not a report: {error}") from error
            else:
                one = p.sighting_of(document)
                heard += [one] if one is not None else []
        made = list(reports(heard))
        if not made:
            return "nothing to report"
        for number, one_report in enumerate(made):
            again = hashlib.sha256(f"{parcel.id} {number}".encode()).hexdigest()[:32]
            self._client.report(p.report_of(one_report.sightings, again if number else parcel.id), seconds)
        return f"{sum(len(one_report.sightings) for one_report in made)} sightings"

    @cached_property
    def _client(self) -> HubClient:
        from andon.share.hub.client import HubClient

        return HubClient(self.url, self.member, self.key, self.ca_file, self.verify)
