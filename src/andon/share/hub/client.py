"""A member's side of the hub: reports go there, sightings of the own addresses come back."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlencode

from andon.share.hub import protocol as p
from andon.share.outbox.dial import Deadline
from andon.share.outbox.http import Endpoint
from andon.share.outbox.parcel import Refused, Unreachable, one_line
from andon.share.outbox.secret import Secret
from andon.share.outbox.webhook import sign

_MOST: Final = 4 << 20
_REFUSED: Final = frozenset({400, 409, 413, 422})
_PAGES: Final = 10_000
_LOCAL: Final = ("localhost", "127.0.0.1", "::1")


class HubClient:
    """Speaks for ``member`` with the hub at ``url`` (with its path, as https://cert.example.org/hub).

    Raises ValueError for a URL or name that cannot work. Methods raise Unreachable (nothing can be had there now) and
    Refused (this one request is not taken)."""

    def __init__(
        self,
        url: str,
        member: str,
        key: Secret,
        ca_file: Path | None = None,
        verify: bool = True,
        clock: Callable[[], int] = time.time_ns,
    ) -> None:
        self._endpoint = Endpoint(url, ca_file, verify, "hub")
        if not self._endpoint.secure and self._endpoint.host not in _LOCAL:
            raise ValueError("a hub is spoken to over https")
        self._url, self._member, self._key = url.rstrip("/"), p.member_name(member), key
        self._clock = clock

    def report(self, report: p.Report, seconds: float = 30.0) -> bool:
        """Send a report; returns when the hub has it on disk. False if it had it already."""
        answer = self._ask("POST", "/v1/reports", report.to_json().encode(), seconds)
        if answer.get("schema") != p.RECEIPT or answer.get("id") != report.id:
            raise Unreachable(f"{self._endpoint.host}: this receipt is not for our report")
        return not answer.get("repeated")

    def cover(self, seconds: float = 30.0) -> list[p.Network]:
        """Prefixes that hold every registered one."""
        listed = self._ask("GET", "/v1/cover", b"", seconds).get("prefixes")
        try:
            return [ip_network(str(text)) for text in listed] if isinstance(listed, list) else []
        except ValueError as error:
            raise Unreachable(
                f"{self._endpoint.host}: its cover holds what is no prefix ({error})"
            ) from error

    def sightings(self, since: int = 0, seconds: float = 30.0) -> Iterator[tuple[list[dict[str, Any]], int]]:
        """What others saw of our addresses after a cursor, a page at a time, each with the cursor behind it."""
        for _ in range(_PAGES):
            answer = self._ask("GET", f"/v1/sightings?{urlencode({'since': since})}", b"", seconds)
            cursor, found = answer.get("cursor"), answer.get("sightings")
            if not isinstance(cursor, int) or not isinstance(found, list):
                raise Unreachable(f"{self._endpoint.host}: this is no page of sightings")
            if answer.get("more") and cursor <= since:
                raise Unreachable(f"{self._endpoint.host}: its pages do not go on")
            yield [one for one in found if isinstance(one, dict)], cursor
            since = cursor
            if not answer.get("more"):
                return

    def account(self, seconds: float = 30.0) -> dict[str, Any]:
        """How we stand there: prefixes, quota, share, disputes."""
        return self._ask("GET", "/v1/account", b"", seconds)

    def dispute(self, sighting: str, reason: str, seconds: float = 30.0) -> None:
        """Say that a sighting of our address is false."""
        body = {"schema": p.DISPUTE, "sighting": sighting, "reason": reason}
        self._ask("POST", "/v1/disputes", json.dumps(body).encode(), seconds)

    def withdraw(self, seconds: float = 30.0) -> None:
        """Leave the hub: all that we reported and all that is known of our addresses is deleted there."""
        self._ask("POST", "/v1/withdraw", b"", seconds)

    def _ask(self, method: str, target: str, body: bytes, seconds: float) -> dict[str, Any]:
        now = self._clock() // 10**9
        headers = {
            "Accept": "application/json",
            "Content-Type": "application/json",
            "User-Agent": "andon",
            "X-Andon-Member": self._member,
            "X-Andon-Signature": sign(self._key.read().encode(), p.signed_bytes(method, target, body), now),
        }
        where = self._endpoint
        place = where.within(self._url + target)
        with Deadline(seconds) as deadline:
            said_body = body if method == "POST" else None
            answer = where.request(method, deadline, headers, said_body, _MOST, place)
        said = one_line(self._key.hide(_reason(answer.text(1000))))
        text = f"{where.host} answered {answer.status}: {said}"
        if answer.status in _REFUSED:
            raise Refused(text)
        if not answer.good:
            raise Unreachable(text, answer.retry_after)
        try:
            made = json.loads(answer.body) if answer.whole else None
        except (ValueError, RecursionError):
            made = None
        if not isinstance(made, dict):
            raise Unreachable(f"{where.host} does not answer as a hub does")
        return made


def _reason(text: str) -> str:
    """What a hub says is wrong, of its answer; the answer as it is where it is none of a hub.

    >>> _reason('{"error": "suspended", "status": 403}'), _reason("<html>")
    ('suspended', '<html>')
    """
    try:
        made = json.loads(text)
    except (ValueError, RecursionError):
        return text
    return str(made["error"]) if isinstance(made, dict) and "error" in made else text


def reportable(
    sightings: Iterable[p.Sighting], cover: Sequence[p.Network], own: Sequence[p.Network] = ()
) -> Iterator[p.Sighting]:
    """Those that may concern another member: in the hub's cover, and not our own. The rest never leaves the house."""
    for one in sightings:
        address = ip_address(one.source)
        if any(address in block for block in cover) and not any(address in block for block in own):
            yield one


def reports(sightings: Iterable[p.Sighting]) -> Iterator[p.Report]:
    """Reports of at most a thousand sightings, those of one address, kind and hour added up."""
    sums: dict[tuple[str, str, int], p.Sighting] = {}
    for one in sightings:
        key = (one.source, one.kind, one.hour)
        held = sums.get(key)
        sums[key] = one if held is None else _together(held, one)
    kept = [sums[key] for key in sorted(sums)]
    for at in range(0, len(kept), p.MOST):
        yield p.report_of(kept[at : at + p.MOST])


def _together(a: p.Sighting, b: p.Sighting) -> p.Sighting:
    ports: dict[tuple[str, int], int] = {}
    for proto, port, n in (*a.ports, *b.ports):
        ports[proto, port] = ports.get((proto, port), 0) + n
    most = sorted(ports.items(), key=lambda item: (-item[1], item[0]))[: p.PORTS]
    listed = tuple((proto, port, n) for (proto, port), n in most)
    return p.Sighting(a.source, a.kind, a.hour, a.packets + b.packets, listed, a.tool or b.tool)
