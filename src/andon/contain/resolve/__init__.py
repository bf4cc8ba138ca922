"""Whom a name or an address means now: all addresses of that system, its hardware address, where it is plugged in.

Somebody is cut off for what was seen under a name or an address some time ago; it must be the system that was meant. So
a host is looked up in leases, lists and scans for the moment at hand, and every address that it has by them is taken,
of both versions. What is not certain is said in ``Party.basis`` behind "(doubtful: ", and the guard asks a
human then. A name's addresses come from what was observed here: nothing is ever looked up outside.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final, Protocol

import pyarrow as pa

from andon.contain.policy.fields import spoken
from andon.contain.policy.model import DAY, Policy
from andon.contain.resolve.assets import LEASE, LIST, SCAN, Assets, Row
from andon.contain.shield import Shield, special
from andon.contain.spelling import Unreadable, mac, name, plain, spans, url
from andon.records.intent import ADDRESS, DOMAIN, HOST, PREFIX, SHORTEST, URL, Intent, Party

DOUBTFUL: Final = "(doubtful: "
GIVEN: Final = "given"
OBSERVED: Final = "observed"
_OLD_SCAN: Final = 7 * DAY
_OLD_NAME: Final = DAY  # a name's addresses of yesterday are somebody else's today
_MOST: Final = 64  # addresses of a name
_MOST_NAMES: Final = 32  # under which a host is looked for
_LONGEST_NAME: Final = 255

Place = tuple[str, int, str]  # switch (name of the enforcer), port, hardware address


class InsideLike(Protocol):
    def has(self, text: str) -> bool: ...


class Resolver:
    """``inside``: which addresses are ours (``records.inside.Inside``). ``places``: where systems are plugged in, by
    hardware address, address or name. ``observed``: name -> (address, when it was last seen, ns) of the site's own
    DNS answers or logs."""

    def __init__(
        self,
        assets: pa.Table | None,
        inside: InsideLike,
        policy: Policy,
        places: Mapping[str, Place] | None = None,
        observed: Mapping[str, Sequence[tuple[str, int]]] | None = None,
    ) -> None:
        self._assets = Assets(assets)
        self._inside, self._policy = inside, policy
        self._shield = Shield(policy.protect)
        self._places = {_key(key): value for key, value in (places or {}).items()}
        self._observed = {_key(key): value for key, value in (observed or {}).items()}

    def party(
        self, kind: str, value: str, at_ns: int, also: Iterable[str] = (), seen_ns: int | None = None
    ) -> Party:
        """``kind`` of ``records.intent.PARTIES``. ``also``: other names and addresses under which a host is known to
        go (those of its case). ``seen_ns``: when it was last seen under these; who had an address then is looked for,
        and what addresses that system has at ``at_ns``. Raises ValueError for a text that cannot be that kind.

        >>> from andon.contain.policy import load_policy
        >>> from andon.records.inside import Inside
        >>> resolver = Resolver(None, Inside(()), load_policy(None))
        >>> resolver.party("host", "10.0.0.7", 0).addresses
        ('10.0.0.7',)
        """
        if kind == HOST:
            return self._host(
                value.strip()[:_LONGEST_NAME], at_ns, also, at_ns if seen_ns is None else seen_ns
            )
        if kind == ADDRESS:
            return self._single(plain(value), at_ns)
        if kind == PREFIX:
            text = spans(value)[0].text
            return Party(PREFIX, text, asset_class=self._class((text,)), basis=GIVEN, resolved=at_ns)
        if kind == DOMAIN:
            return self._domain(DOMAIN, name(value), name(value), at_ns)
        if kind == URL:
            seen = url(value)
            if seen.address:
                return Party(URL, value, basis=GIVEN, resolved=at_ns)
            return self._domain(URL, value, seen.host, at_ns)
        raise ValueError(f"a party is a host, an address, a prefix, a domain or a URL, not {kind!r}")

    def again(self, party: Party, at_ns: int) -> Party:
        """The same host as it is now. It is known by its hardware address, else by its name, else by who had its
        addresses when it was resolved: an address that it was called by may be another's since."""
        known = [party.mac, "" if _address(party.value) else party.value, *party.addresses]
        return self._host(party.value, at_ns, (), party.resolved, [one for one in known if one])

    def lost(self, party: Party, at_ns: int) -> str:
        """An address of a host that a lease gives to another system now; "" if there is none."""
        known = [party.mac, "" if _address(party.value) else party.value, *party.addresses]
        rows, _ = self._known([one for one in known if one], party.resolved, [])
        mine = {id(row) for row in self._assets.same(rows)}
        for address in party.addresses:
            held = self._assets.holders(address, at_ns)
            leased = [row for row in held if row.basis == LEASE]
            if leased and not any(id(row) in mine or (row.mac and row.mac == party.mac) for row in leased):
                return address
        return ""

    def _single(self, address: str, at: int) -> Party:
        """One address and no other, as somebody asked for it."""
        if not self._inside.has(address):
            return Party(ADDRESS, address, (address,), basis=GIVEN, resolved=at)
        held = self._assets.holders(address, at)
        basis = held[0].basis if held else GIVEN
        if len(self._assets.systems(held)) > 1:
            basis += f" {DOUBTFUL}several systems have {address})"
        switch, port, there = self._place_of((address,), [row.mac for row in held if row.mac], ())
        where = self._class(
            (address,),
            [row.hostname for row in held],
            [word for row in held for word in row.device],
            [row.asset for row in held],
        )
        return Party(ADDRESS, address, (address,), there, switch, port, where, basis, at)

    def _host(
        self, value: str, at: int, also: Iterable[str], seen: int, known: Sequence[str] | None = None
    ) -> Party:
        doubts: list[str] = []
        rows, loose = self._known([value, *also] if known is None else known, seen, doubts)
        systems = self._assets.systems(rows)
        if len(systems) > 1:
            doubts.append(f"{len(systems)} systems are called {value}")
        mine = self._assets.same(rows)
        addresses, basis = self._current(mine, at, doubts)
        if not rows and loose:
            # An address is its own name while it is fresh; what was seen long ago may be somebody else's by now.
            addresses, basis = [one for one in loose if not special(spans(one))], GIVEN
            if at - seen > self._policy.protect.limits.fresh:
                doubts.append(f"seen {spoken(at - seen)} ago, and no lease, list or scan says who it is now")
        if not addresses:
            doubts.append(f"no current address of {value} is known")
        hardware = sorted({row.mac for row in mine if row.mac and row.valid(at)})
        if len(hardware) > 1:
            doubts.append(f"{len(hardware)} hardware addresses")
        names = list(dict.fromkeys([*(row.hostname for row in mine if row.hostname), value]))
        switch, port, there = self._place_of(addresses, hardware, names)
        if there and hardware and there not in hardware:
            doubts.append(f"at its port is {there}, its lease or list says {hardware[0]}")
            switch, port = "", 0
        where = self._class(
            addresses, names, [word for row in mine for word in row.device], [row.asset for row in mine]
        )
        said = basis + (f" {DOUBTFUL}{'; '.join(dict.fromkeys(doubts))})" if doubts else "")
        own = hardware[0] if len(hardware) == 1 else there if not hardware else ""
        return Party(HOST, value, tuple(addresses), own, switch, port, where, said.strip(), at)

    def _known(self, names: Sequence[str], seen: int, doubts: list[str]) -> tuple[list[Row], list[str]]:
        """Rows of the host, by the first of its names that has any, and its inside addresses as they were given."""
        rows: list[Row] = []
        loose: list[str] = []
        for text in list(dict.fromkeys(one for one in names if one))[:_MOST_NAMES]:
            address = _address(text)
            if address and not self._inside.has(address):
                if text == names[0]:
                    doubts.append(f"{address} is not inside")
                    loose.append(address)
                continue
            if address:
                loose.append(address)
            if not rows:
                rows = self._assets.holders(address, seen) if address else self._assets.called(text)
        return rows, list(dict.fromkeys(loose))

    def _current(self, rows: list[Row], at: int, doubts: list[str]) -> tuple[list[str], str]:
        """Addresses that these rows give now, the best known first, and by what."""
        rows = sorted(rows, key=lambda one: (one.version, one.low, one.mac))
        leased = [row for row in rows if row.basis == LEASE and row.valid(at) and row.single]
        versions = {row.version for row in leased}
        others = [
            row for row in rows
            if row.basis != LEASE and row.valid(at) and row.single and row.version not in versions
        ]  # fmt: skip
        ended = [row for row in rows if row.basis == LEASE and not row.valid(at)]
        if ended and not leased and not others:
            doubts.append("its lease has ended")
        made: list[str] = []
        bases: list[str] = []
        for row in (*leased, *sorted(others, key=lambda one: one.basis != LIST)):
            if special(spans(row.address)):
                continue
            if row.basis != LEASE:
                taken = [one for one in self._assets.holders(row.address, at) if one.basis == LEASE]
                if taken and not {id(one) for one in taken} & {id(one) for one in rows}:
                    doubts.append(f"{row.address} is leased to another system now")
                    continue
            else:
                rivals = self._assets.holders(row.address, at)
                if any(
                    one.mac != row.mac or one.hostname != row.hostname
                    for one in rivals
                    if one.mac or one.hostname
                ):
                    doubts.append(f"{row.address} is leased to several systems at once")
            if row.basis == SCAN and (row.begin is None or at - row.begin > _OLD_SCAN):
                doubts.append("known by an old scan only")
            made.append(row.address)
            bases.append(row.basis)
        made = list(dict.fromkeys(made))
        return made, bases[0] if bases else ""

    def _domain(self, kind: str, value: str, host: str, at: int) -> Party:
        kept: list[str] = []
        shared = 0
        for address, last in sorted(self._observed.get(host, ()), key=lambda one: -one[1]):
            text = _address(address)
            if not text or at - last > _OLD_NAME or self._inside.has(text):
                continue
            if self._shield.why_not(text):
                shared += 1  # cutting it would cut others: the name alone is cut
            else:
                kept.append(text)
        made = tuple(dict.fromkeys(kept))
        basis = OBSERVED if made else GIVEN
        if shared or len(made) > _MOST:
            basis += f"; {shared + max(len(made) - _MOST, 0)} shared or surplus addresses left out"
        return Party(kind, value, made[:_MOST], basis=basis, resolved=at)

    def _place_of(
        self, addresses: Sequence[str], hardware: Sequence[str], names: Sequence[str]
    ) -> tuple[str, int, str]:
        for key in (*hardware, *addresses, *names):
            if (found := self._places.get(_key(key))) is not None:
                switch, port, there = found
                return switch, port, mac(there) if there else ""
        return "", 0, ""

    def _class(
        self,
        addresses: Sequence[str],
        names: Sequence[str] = (),
        devices: Sequence[str] = (),
        assets: Sequence[str] = (),
    ) -> str:
        return self._policy.classes.of(addresses, names, devices, assets)[0]


def moved(intent: Intent, resolver: Resolver, now: int) -> str:
    """Why an intent's hosts are to be resolved anew: their addresses, hardware addresses or places are others by now;
    "" if they are the same."""
    for side in (intent.subject, intent.target):
        if side is None or side.kind != HOST:
            continue
        fresh = resolver.again(side, now)
        if not fresh.addresses and side.addresses:
            return f"no current address of {side.value} is known any more"
        if set(fresh.addresses) != set(side.addresses):
            before = ", ".join(side.addresses) or "no address"
            return f"{side.value} had {before} and has {', '.join(fresh.addresses)} now"
        if fresh.mac != side.mac and fresh.mac and side.mac:
            return f"{side.value} had the hardware address {side.mac} and has {fresh.mac} now"
        if (fresh.switch, fresh.port) != (side.switch, side.port) and fresh.switch:
            before = f"{side.switch}:{side.port}" if side.switch else "an unknown port"
            return f"{side.value} was at {before} and is at {fresh.switch}:{fresh.port} now"
    return ""


def taken(intent: Intent, resolver: Resolver, now: int) -> str:
    """Which address of an intent's hosts is somebody else's by now, in words: holding it cuts off the wrong one;
    "" if none is known to be."""
    for side in (intent.subject, intent.target):
        if side is not None and side.kind == HOST and (address := resolver.lost(side, now)):
            return f"{address}, which {side.value} had, is leased to another system now"
    return ""


def renewed(intent: Intent, resolver: Resolver, now: int, new_id: int) -> Intent | None:
    """The intent with its hosts resolved anew, for the rest of its time, where ``moved`` says so; None otherwise, or if
    its time is over. It goes through the guard like any other."""
    why = moved(intent, resolver, now)
    rest = intent.until - now
    if not why or rest < SHORTEST:
        return None
    target = intent.target
    if target is not None and target.kind == HOST:
        target = resolver.again(target, now)
    return intent.with_(
        id=new_id, subject=resolver.again(intent.subject, now) if intent.subject.kind == HOST else intent.subject,
        target=target, created=now, ttl=rest, replaces=intent.id, reason=f"{intent.reason}; resolved anew: {why}",
    )  # fmt: skip


def _address(text: str) -> str:
    try:
        return plain(text)
    except Unreadable:
        return ""


def _key(text: str) -> str:
    """One spelling of an address, a hardware address or a name."""
    for read in (plain, mac):
        try:
            return read(text)
        except Unreadable:
            continue
    return text.strip().casefold().rstrip(".")
