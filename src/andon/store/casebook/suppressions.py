"""Suppressions: what is not to be shown, until when, on whose word and why.

A suppressed episode is stored and counted, only never put in the queue. A suppression by source hides an episode
only if every source of it is meant: one other source, or more sources than the episode lists, and it is shown.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc
from sqlalchemy import Row, func, insert, select, update

from andon.records.case import Suppression
from andon.store.casebook.basics import CHUNK, clean, write_audit
from andon.store.casebook.case_records import EpisodeFilter, Missing, NotAllowed, Preview
from andon.store.casebook.episodes import Episodes
from andon.store.casebook.records import AuditEntry
from andon.store.casebook.schema_cases import HOST, PRODUCT, RULE, SITE, case_items, suppressions, verdicts
from andon.store.casebook.session import Session

LONGEST_LIFE: Final = 365 * 86_400 * 1_000_000_000  # ns
LISTED_SOURCES: Final = 16  # of an episode: with so many there may be more (records.triage)
_PAGE = 2_000


class Suppressions:
    """``book.suppressions``, or ``work.suppressions`` within one transaction."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def add(self, new: Suppression, now: int | None = None) -> Suppression:
        """Store one; it comes back with its number. Raises ValueError without owner, reason, end or scope, for a life
        of more than LONGEST_LIFE, and for a source that is neither an address nor a network."""
        when = self._session.now(now)
        made = checked(new, when)
        scope = {name: getattr(made, name) for name in _SCOPE}
        with self._session.write() as connection:
            values = {"owner": made.owner, "reason": made.reason, "created": when, "expires": made.expires}
            added = connection.execute(
                insert(suppressions).values(**values, **scope, hits=0)
            ).inserted_primary_key
            id = int(added[0]) if added is not None else 0
            told = {**{k: v for k, v in scope.items() if v}, "expires": made.expires, "reason": made.reason}
            write_audit(connection, AuditEntry(when, made.owner, "suppress", str(id), told))
        return replace(made, id=id)

    def revoke(self, id: int, actor: str = "", reason: str = "", now: int | None = None) -> Suppression:
        """End one before its time. Raises Missing, NotAllowed if it is over already."""
        who, when = self._session.actor(actor), self._session.now(now)
        s = suppressions.c
        with self._session.write() as connection:
            row = connection.execute(select(suppressions).where(s.id == id)).first()
            if row is None:
                raise Missing(f"there is no suppression {id}")
            if row.revoked is not None or row.expires <= when:
                raise NotAllowed(f"suppression {id} is over already")
            connection.execute(update(suppressions).where(s.id == id).values(revoked=when))
            write_audit(connection, AuditEntry(when, who, "unsuppress", str(id), {"reason": clean(reason)}))
        return replace(_suppression(row), revoked=when)

    def get(self, id: int) -> Suppression:
        """Raises Missing."""
        with self._session.read() as connection:
            row = connection.execute(select(suppressions).where(suppressions.c.id == id)).first()
        if row is None:
            raise Missing(f"there is no suppression {id}")
        return _suppression(row)

    def active(self, at: int) -> list[Suppression]:
        """Those that hold at a time (ns), oldest first."""
        s = suppressions.c
        query = select(suppressions).where(s.created <= at, s.expires > at)
        query = query.where(s.revoked.is_(None) | (s.revoked > at)).order_by(s.id)
        with self._session.read() as connection:
            return [_suppression(row) for row in connection.execute(query)]

    def all(self, limit: int = 1000) -> list[Suppression]:
        """Newest first, those that are over too."""
        query = select(suppressions).order_by(suppressions.c.id.desc()).limit(limit)
        with self._session.read() as connection:
            return [_suppression(row) for row in connection.execute(query)]

    def match(self, table: pa.Table, at: int) -> list[int]:
        """For each episode of a table (EPISODES) the first suppression that holds at a time and hides it, or 0."""
        return matching(self.active(at), table)

    def preview(self, new: Suppression, since: int | None = None, until: int | None = None) -> Preview:
        """What it would have hidden of the episodes there are (last alert in ``since`` <= time < ``until``)."""
        made = checked(replace(new, owner=new.owner or "-", reason=new.reason or "-"), None)
        wanted = EpisodeFilter(
            site=made.site or None,
            host=made.host,
            product=made.product,
            rule=made.rule,
            since=since,
            until=until,
        )
        episodes, before = Episodes(self._session), None
        total = alerts = inspected = 0
        first: int | None = None
        last: int | None = None
        said: dict[int, str] = {}
        while True:
            page = episodes.page(wanted, _PAGE, before)
            if not page.num_rows:
                break
            before = (page["last"][-1].value, page["seq"][-1].as_py())
            hidden = page.filter(
                pa.array([hit != 0 for hit in matching([replace(made, id=1)], page)], pa.bool_())
            )
            total += hidden.num_rows
            if not hidden.num_rows:
                continue
            alerts += pc.sum(hidden["alerts"]).as_py()
            begin, end = pc.min(hidden["first"]).value, pc.max(hidden["last"]).value
            first = begin if first is None else min(first, begin)
            last = end if last is None else max(last, end)
            shown, told = self._shown(hidden)
            inspected += shown
            said.update(told)
        labels = sorted(said.values())
        return Preview(
            total,
            alerts,
            inspected,
            first,
            last,
            {label: labels.count(label) for label in dict.fromkeys(labels)},
        )

    def _shown(self, hidden: pa.Table) -> tuple[int, dict[int, str]]:
        """How many of these episodes are in a case, and what analysts said of them or of their cases, by number of the
        verdict."""
        ids = hidden["id"].to_pylist()
        i, v = case_items.c, verdicts.c
        shown, said = 0, dict[int, str]()
        with self._session.read() as connection:
            for at in range(0, len(ids), CHUNK):
                part = ids[at : at + CHUNK]
                held = (i.kind == "episode", i.item.in_(part))
                shown += int(connection.execute(select(func.count()).where(*held)).scalar_one())
                of_episodes = select(v.id, v.label).where(v.kind == "episode", v.subject.in_(part))
                inside = select(i.case_id).where(*held)
                of_cases = select(v.id, v.label).where(v.kind == "case", v.subject.in_(inside))
                for query in (of_episodes, of_cases):
                    said.update((int(id), str(label)) for id, label in connection.execute(query))
        return shown, said


_SCOPE: Final = ("site", "host", "product", "rule", "source")


def checked(new: Suppression, now: int | None) -> Suppression:
    """A suppression that may be stored, its source in its usual form. ``now``: None leaves its life unchecked."""
    owner, reason = clean(new.owner).strip(), clean(new.reason).strip()
    if not owner or not reason:
        raise ValueError("a suppression has an owner and a reason")
    if not any(getattr(new, name) for name in _SCOPE):
        raise ValueError(
            f"a suppression names at least one of {', '.join(_SCOPE)}: this one would hide everything"
        )
    if now is not None and not now < new.expires <= now + LONGEST_LIFE:
        raise ValueError("a suppression ends in the future, after at most 365 days")
    source = clean(new.source).strip()
    if source:
        try:
            network = ip_network(source, strict=False)
        except ValueError as error:
            raise ValueError(
                f"source {source!r} is neither an address nor a network (192.0.2.0/24)"
            ) from error
        source = str(network.network_address) if network.prefixlen == network.max_prefixlen else str(network)
    for name, length in (("site", SITE), ("host", HOST), ("product", PRODUCT), ("rule", RULE)):
        if len(getattr(new, name)) > length:
            raise ValueError(f"the {name} of a suppression has at most {length} characters")
    return replace(
        new,
        owner=owner[:128],
        reason=reason,
        created=now or new.created,
        source=source,
        site=clean(new.site),
        host=clean(new.host),
        product=clean(new.product),
        rule=clean(new.rule),
    )


@dataclass(frozen=True)
class _Network:
    """A source to look for."""

    network: IPv4Network | IPv6Network

    def all(self, sources: Sequence[str]) -> bool:
        if not sources or len(sources) >= LISTED_SOURCES:
            return False
        for text in sources:
            try:
                address = ip_address(text)
            except ValueError:
                return False
            if address not in self.network:
                return False
        return True


def matching(active: Sequence[Suppression], table: pa.Table) -> list[int]:
    """For each episode the id of the first suppression that hides it, or 0: equal in all that the suppression names,
    and all its sources in ``source``."""
    hits = [0] * table.num_rows
    if not table.num_rows:
        return hits
    for one in active:
        mask: Any = None
        for name in ("site", "host", "product", "rule"):
            value = getattr(one, name)
            if value:
                equal = pc.equal(table[name], value)
                mask = equal if mask is None else pc.and_(mask, equal)
        named = range(table.num_rows) if mask is None else pc.indices_nonzero(mask).to_pylist()
        network = _Network(ip_network(one.source)) if one.source else None
        sources = (
            table["sources"].take(pa.array(named, pa.int64())).to_pylist() if network is not None else []
        )
        for at, row in enumerate(named):
            if not hits[row] and (network is None or network.all(sources[at] or [])):
                hits[row] = one.id
    return hits


def _suppression(row: Row[Any]) -> Suppression:
    return Suppression(**row._mapping)
