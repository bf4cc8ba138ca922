"""What an intent would do, and whether it may: written again, in another way than the guard, from the texts alone.

The oracle knows nothing of the guard's code. It has lists of addresses and names that must not be cut, writes down
every address by which each of them can be reached (``forms``), and asks of the networks that an intent names
(``ipaddress``) whether one of these is in them. Names are compared as a resolver, a browser and a proxy would each read
them, so a host that only one of them understands counts. What it says is *not* allowed the guard must not allow; the
other direction is counted, and is no error.
"""

from __future__ import annotations

import socket
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Any
from urllib.parse import unquote

import guard_site as site

from andon.records.intent import Intent, Party

MINUTE = 60 * site.SECOND
CUTS = {"block-pair", "sinkhole", "block", "quarantine"}
LIVE = {"accepted", "applied", "verified", "failed", "dry-run"}

ADDRESSES = [
    "10.0.9.0", "10.0.9.7", "10.0.9.15", "2001:db8:10::10",  # critical
    "10.0.255.2", "10.0.255.3", "10.0.255.9", "2001:db8:10:ff::2",  # control path
    "10.0.0.1", "10.0.1.1", "2001:db8:10::1", "10.0.0.53", "10.0.0.123",
    "203.0.113.200", "203.0.113.203",
    "10.0.0.0", "10.0.0.255", "10.0.1.0", "10.0.1.255",  # of the networks
    "10.0.3.5", "2001:db8:10::305", "10.0.3.6",  # PLC and directory, by the asset list
    "198.51.100.0", "198.51.100.77", "198.51.100.127", "203.0.113.99",  # warning lists
    "2001:db8:cd::", "2001:db8:cd:1::5", "2001:db8:cd:ffff:ffff:ffff:ffff:ffff",
    "8.8.8.8", "1.1.1.1", "9.9.9.9", "198.41.0.4", "2001:4860:4860::8888", "104.16.5.5",  # public
    "127.0.0.1", "127.255.255.254", "0.0.0.0", "255.255.255.255", "224.0.0.251", "239.1.1.1", "169.254.3.4",
    "240.0.0.1", "::", "::1", "ff02::1", "ff0e::5", "fe80::1", "febf::9",
]  # fmt: skip
OWN_NAMES = ["dc.corp.example", "andon.corp.example", "ns.corp.example", "www.partner.example"]
SHARED_NAMES = ["cdn.example", "dns.google", "one.one.one.one", "ntp.org", "root-servers.net"]
EXACT_NAMES = ["login.cloud.example"]
HOST_NAMES = {"plc1.corp.example", "dc01.corp.example", *OWN_NAMES}
SUFFIXES = {"com", "example", "net", "org", "co.uk", "github.io", "co.jp", "corp", "local"}
MACS = {0x020000000001, 0x020000000305}
PORTS = {("sw1", 1), ("sw1", 2), ("sw1", 7), ("sw2", 9)}
CROWDED = {("sw1", 22): 2}
INSIDE = [ip_network(text) for text in site.INSIDE]
EVIDENCE = {"darknet", "livenet", "intel", "malware"}
SPECIAL = [
    ip_network(text)
    for text in (
        "0.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16", "224.0.0.0/3", "ff00::/8", "fe80::/10", "::1/128", "::/128",
    )
]  # fmt: skip


def forms(text: str) -> list[IPv4Address | IPv6Address]:
    """Every address that leads to the same place."""
    address = ip_address(text)
    if isinstance(address, IPv6Address):
        return [address]
    dotted, (a, b, c, d) = str(address), address.packed
    high, low = f"{a:02x}{b:02x}", f"{c:02x}{d:02x}"
    written = [
        f"::ffff:{dotted}", f"::{dotted}", f"::ffff:0:{dotted}", f"64:ff9b::{dotted}", f"64:ff9b:1::{dotted}",
        f"64:ff9b:1:7:8:9:{high}:{low}", f"2002:{high}:{low}::", f"2002:{high}:{low}::1",
        f"2002:{high}:{low}:9:8:7:6:5",
        f"2001:0:{high}:{low}::", f"2001:0:{high}:{low}:0:1:2:3", f"2001:db8:64::{dotted}",
        f"2001:0:{high}:{low}:8000:ffff:3fff:fdfe",  # a client that is nobody special behind that server
        f"2001:0:c000:201:0:4444:{0xFFFF ^ int(high, 16):x}:{0xFFFF ^ int(low, 16):x}",
        f"2001:db8:10:5:0:5efe:{dotted}", f"2001:db8:77::200:5efe:{dotted}",
    ]  # fmt: skip
    return [address, *(IPv6Address(one) for one in written)]


FORMS = [form for text in ADDRESSES for form in forms(text)]


@dataclass(frozen=True)
class Effect:
    """What one party names. ``hosts``: (name, whether all below it is meant, whether only a path of it)."""

    nets: tuple[Any, ...]
    hosts: tuple[tuple[str, bool, bool], ...]
    mac: int
    place: tuple[str, int] | None
    called: str
    blind: bool  # nothing is named


def _loose_address(text: str) -> str:
    """What a resolver or a browser makes an address of: 0x7f.1, 2130706433, 0177.0.0.1."""
    try:
        return socket.inet_ntoa(socket.inet_aton(text)) if text and not any(c.isspace() for c in text) else ""
    except (OSError, ValueError):  # no address; or a text that no resolver is ever given
        return ""


def _net(text: str) -> list[Any]:
    text = text.partition("%")[0].strip()
    try:
        return [ip_network(text, strict=False)]
    except ValueError:
        loose = _loose_address(text)
        return [ip_network(loose)] if loose else []


def _readings(text: str) -> set[str]:
    """A host name as different programs read it."""
    made = set()
    for one in {text, unquote(text)}:
        folded = unicodedata.normalize("NFKC", one).casefold()
        folded = "".join(c for c in folded if unicodedata.category(c) not in ("Cf", "Cc"))
        for dot in "。．｡":
            folded = folded.replace(dot, ".")
        made.add(folded.strip().strip(".").removeprefix("*.").strip("[]"))
    return made - {""}


def _url_hosts(text: str) -> set[str]:
    body = text.strip().replace("\\", "/")
    body = "".join(c for c in body if c not in "\t\r\n")
    body = body.partition("://")[2] if "://" in body else body.lstrip("/")
    found = set()
    for end in ("/?#", "/"):
        authority = body
        for mark in end:
            authority = authority.partition(mark)[0]
        for part in (authority, authority.rpartition("@")[2], authority.partition("@")[0]):
            host = part[: part.rindex("]") + 1] if "]" in part else part.partition(":")[0]
            found |= _readings(host)
    return found


def _path(text: str) -> bool:
    body = text.partition("://")[2] or text
    return len(body.partition("/")[2]) > 0 or "?" in body or "#" in body


@lru_cache(100_000)
def effect(party: Party) -> Effect:
    nets: list[Any] = []
    hosts: list[tuple[str, bool, bool]] = []
    if party.kind in ("address", "prefix", "host"):
        nets += _net(party.value)
    elif party.kind == "domain":
        hosts += [(host, True, False) for host in _readings(party.value)]
    else:
        hosts += [(host, False, _path(party.value)) for host in _url_hosts(party.value)]
    for host, _, _ in hosts:
        nets += _net(host)
    for text in party.addresses:
        nets += _net(text)
    digits = party.mac.replace(":", "").replace("-", "").replace(".", "").strip()
    hardware = int(digits, 16) if digits and all(c in "0123456789abcdefABCDEF" for c in digits) else -1
    place = (party.switch, party.port) if party.port else None
    called = party.value.strip().casefold().rstrip(".") if party.kind == "host" else ""
    return Effect(
        tuple(nets), tuple(hosts), hardware, place, called, not (nets or hosts or hardware >= 0 or place)
    )  # fmt: skip


@lru_cache(100_000)
def untouchable(party: Party) -> str:
    """Why nobody may cut a party."""
    seen = effect(party)
    for net in seen.nets:
        if net.num_addresses > (256 if net.version == 4 else 1 << 64):
            return "wide"
        if any(form in net for form in FORMS if form.version == net.version):
            return "protected address"
        if any(net.overlaps(other) for other in SPECIAL if other.version == net.version):
            return "special address"
        if net.version == 6 and _carries_wide(net):
            return "wide inside"
    for host, whole, page in seen.hosts:
        if _name_hit(host, OWN_NAMES, whole):
            return "protected name"
        if not page and (_name_hit(host, SHARED_NAMES, whole) or host in EXACT_NAMES):
            return "shared name"
        if whole and (host in SUFFIXES or any(name.endswith("." + host) for name in EXACT_NAMES)):
            return "suffix or above a shared name"
    # The built-in classes: by name and by prefix, and as whoever resolved it said.
    first = seen.called.partition(".")[0]
    if (
        party.asset_class == "critical"
        or (first[:2] == "dc" and first[2:3].isdigit())
        or "scada" in seen.called
    ):
        return "protected class"
    if seen.called in HOST_NAMES or any(seen.called.endswith("." + name) for name in OWN_NAMES):
        return "name of a protected host"
    if seen.mac >= 0 and (
        seen.mac in MACS or seen.mac >> 40 & 1 or seen.mac == 0 or seen.mac >> 8 == 0x00005E0001
    ):
        return "hardware address"
    if seen.place is not None and (seen.place in PORTS or not 0 < seen.place[1] < 0xFFFFFF00):
        return "port"
    return "nothing named" if seen.blind else ""


_WHOLE_4 = [
    IPv6Network(text)
    for text in ("::/96", "::ffff:0:0/96", "::ffff:0:0:0/96", "64:ff9b::/96", "2001::/32", "2001:db8:64::/96")
]


def _carries_wide(net: IPv6Network) -> bool:
    """A /64 around a translation prefix is the whole of IPv4."""
    return any(other.subnet_of(net) for other in _WHOLE_4) or (
        net.prefixlen < 96 and net.overlaps(IPv6Network("64:ff9b:1::/48"))
    )


def _name_hit(host: str, names: Iterable[str], whole: bool) -> bool:
    return any(
        host == name or host.endswith("." + name) or (whole and name.endswith("." + host)) for name in names
    )


@cache
def inside(party: Party) -> bool:
    seen = effect(party)
    if seen.hosts:
        return False
    own = all(any(n.version == net.version and net.subnet_of(n) for n in INSIDE) for net in seen.nets)
    return own if seen.nets else not seen.blind


def _person(text: str) -> str:
    made = unicodedata.normalize("NFKC", text).casefold()
    return " ".join("".join(c for c in made if unicodedata.category(c) not in ("Cf", "Cc", "Mn")).split())


def automatic(intent: Intent) -> bool:
    return _person(intent.requested_by) in ("", "andon")


def _touch(a: Party, b: Party) -> bool:
    one, two = effect(a), effect(b)
    if any(n.version == m.version and n.overlaps(m) for n in one.nets for m in two.nets):
        return True
    if one.mac >= 0 and one.mac == two.mac:
        return True
    if (one.place is not None and one.place == two.place) or (one.called and one.called == two.called):
        return True
    return any(
        h == k or (deep and k.endswith("." + h)) or (too and h.endswith("." + k))
        for h, deep, _ in one.hosts
        for k, too, _ in two.hosts
    )


def forbidden(intent: Intent, held: Sequence[Any], now: int) -> str:
    """Why nobody may do it, whoever agrees; "" if nothing is known."""
    sides = [intent.subject] + ([intent.target] if intent.target else [])
    if not site.SECOND <= intent.ttl <= 7 * 24 * site.HOUR:
        return "ttl"
    if intent.created + intent.ttl <= now:
        return "over"
    if intent.created > now + 5 * MINUTE:
        return "from the future"
    if intent.action in CUTS or intent.action == "proxy":
        for side in sides:
            if why := untouchable(side):
                return why
        for one in held:
            other = one.intent
            if other.action != "allow" or one.state not in LIVE or other.created + other.ttl <= now:
                continue
            if _is_exempt(intent, other):
                return "exempt"
        if intent.target and _touch(intent.subject, intent.target):
            return "itself"
        if intent.action == "quarantine" and not inside(intent.subject):
            return "nobody of ours"
    else:
        for side in sides:
            if any(n.num_addresses > (256 if n.version == 4 else 1 << 64) for n in effect(side).nets):
                return "wide"
            if effect(side).blind:
                return "nothing named"
    return ""


def _is_exempt(intent: Intent, other: Intent) -> bool:
    def cut(a: Party, b: Party | None) -> bool:
        if not _touch(intent.subject, a):
            return False
        return b is None or intent.target is None or _touch(intent.target, b)

    if other.target is None:
        return cut(other.subject, None) or bool(intent.target and _touch(intent.target, other.subject))
    return cut(other.subject, other.target) or cut(other.target, other.subject)


@lru_cache(100_000)
def used(party: Party) -> int:
    """How many of our hosts use it."""
    seen = effect(party)
    total = 0
    for text, count in site.USERS.items():
        try:
            found = ip_address(text)
            # An IPv4 destination behind an IPv6 spelling of it is the same destination.
            hit = any(form in net for form in forms(text) for net in seen.nets if form.version == net.version)
            total += (
                count if hit or any(found in net for net in seen.nets if net.version == found.version) else 0
            )
        except ValueError:
            total += count if any(text == h or text.endswith("." + h) for h, _, _ in seen.hosts) else 0
    return total


def needs_human(intent: Intent, held: Sequence[Any], now: int) -> str:
    """Why it must not happen without somebody who agrees; "" if nothing is known."""
    auto, cuts = automatic(intent), intent.action in CUTS
    if intent.approvals:
        return "policy"
    if auto and intent.action == "allow":
        return "exemption"
    if intent.action == "mirror":
        for side in [intent.subject] + ([intent.target] if intent.target else []):
            if any(
                ip_address(a) in n
                for a in ("10.0.255.2", "10.0.255.3", "10.0.255.9")
                for n in effect(side).nets
                if n.version == 4
            ):
                return "copy of the control path"
    sides = [intent.subject] + ([intent.target] if intent.target else [])
    if cuts or intent.action == "proxy":
        for side in sides:
            if "(doubtful" in side.basis:
                return "doubtful"
            mine = side.kind == "host" or (effect(side).nets and inside(side))
            if mine and (auto or side.resolved) and abs(now - side.resolved) > 15 * MINUTE:
                return "stale"
            named = bool(effect(side).hosts)
            if named and any(
                n.version == m.version and n.overlaps(m) for n in effect(side).nets for m in INSIDE
            ):
                return "a name of ours or not"
            if len(side.addresses) > 32:
                return "many addresses"
            if (side.switch, side.port) in CROWDED:
                return "crowd"
    if cuts:
        fields = {" ".join(g.field.casefold().split()) for g in intent.grounds}
        seen = {f for f in fields if f in EVIDENCE or (f.startswith("alerts:") and f != "alerts:")}
        # Flows are Zeek's here: they tell nothing new beside Zeek's alerts, nor beside what was found in flows.
        zeek = any(f.startswith("alerts:") and "zeek" in f for f in seen)
        checked = any(g.kind == "check" and g.field == "flows" for g in intent.grounds)
        told = {
            " ".join(g.field.casefold().split()) for g in intent.grounds if not g.forgeable
        }  # by somebody who is known
        other = checked and not zeek and "livenet" not in seen
        sure = any(g.kind == "check" and g.field == "flows" and not g.forgeable for g in intent.grounds)
        anybody = bool(seen - told) or (other and not sure)
        count = len(seen & told) + (other and sure) + anybody
        words = any(g.kind == "analyst" for g in intent.grounds)
        if auto and count < 2:
            return "evidence"
        if not auto and count == 0 and not words:
            return "evidence"
        aim = intent.target or intent.subject
        for host, _, page in effect(aim).hosts:
            if page and (_name_hit(host, SHARED_NAMES, False) or host in EXACT_NAMES):
                return "page of a shared site"
    if auto:
        if cuts and not inside(intent.subject):
            return "outside"
        if cuts and not intent.level:
            return "unjudged"
        if intent.action != "allow" and intent.ttl > 24 * site.HOUR:
            return "long"
        mirror = intent.action == "mirror"
        recent = [
            one
            for one in held
            if one.automatic
            and one.state not in ("proposed", "refused", "waiting")
            and one.intent.created > now - MINUTE
            and (one.intent.action == "mirror") is mirror
        ]
        if len(recent) >= 10:
            return "rate"
    if cuts and (why := _many(intent, held, now)):
        return why
    if cuts and any(used(one) > 20 for one in sides if not inside(one)):  # 5 % of 400
        return "many use it"
    return ""


def _many(intent: Intent, held: Sequence[Any], now: int) -> str:
    """More than 8 hosts (2 % of 400) cut off at once."""

    def ours(one: Intent) -> Party | None:
        if inside(one.subject):
            return one.subject
        return one.target if one.target and inside(one.target) else None

    mine = ours(intent)
    if mine is None:
        return ""
    theirs = []
    for one in held:
        other = one.intent
        live = one.state in LIVE and other.created + other.ttl > now and other.id != intent.replaces
        if live and other.action in CUTS and (party := ours(other)) is not None:
            theirs.append(party)
    if _hosts_in(mine) == 1 and any(_touch(mine, one) for one in theirs):
        return ""  # cut off already
    groups: list[Party] = []
    for one in theirs:
        if not any(_touch(one, before) for before in groups):
            groups.append(one)
    return "share" if sum(map(_hosts_in, groups)) + _hosts_in(mine) > 8 else ""


@lru_cache(100_000)
def _hosts_in(party: Party) -> int:
    known = 0
    for net in effect(party).nets:
        if net.num_addresses > 1:
            known = max(
                known,
                sum(ip_address(text) in net for text in _known() if ("." in text) == (net.version == 4)),
            )
    if (party.switch, party.port) in CROWDED:
        known = max(known, CROWDED[party.switch, party.port])
    return max(known, 1)


@cache
def _known() -> tuple[str, ...]:
    return tuple(site.site_assets().column("address").to_pylist())
