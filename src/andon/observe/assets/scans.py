"""Shodan, Censys, runZero, OCSF Device Inventory Info and masscan's JSON: one object after another.

Shapes: Shodan banners (a service a line; those of one address within 30 days are one system); Censys Search v2 (``ip``,
``services``) and Platform (``host`` or ``resource``); runZero asset export; OCSF 1.x class 5001; masscan ``-oJ``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from andon.observe.assets import cpe as cpes
from andon.observe.assets.devices import device_class
from andon.observe.assets.objects import dig, items, number, objects
from andon.observe.assets.places import BadAddress, Place, places
from andon.observe.assets.rows import Entry, Rows, first_of
from andon.observe.assets.source import Source
from andon.observe.assets.times import BadTime, when
from andon.observe.jsonlines import Skipped
from andon.records.asset import SCAN

_MONTH: Final = 30 * 86_400 * 10**9
_OPEN: Final = 100_000  # systems that further lines may belong to
NO_ZONE: Final = "times without a zone, taken as UTC"
NO_TIME: Final = "times that are none, left out"


def shape(found: dict[str, Any]) -> str | None:
    """Which of the formats an object is of."""
    if "ip_str" in found and "port" in found:
        return "shodan"
    if found.get("class_uid") == 5001 or found.get("class_name") == "Device Inventory Info":
        return "ocsf"
    if isinstance(found.get("addresses"), list) and {"services", "alive", "hw", "macs"} & found.keys():
        return "runzero"
    host = _host(found)
    if "ip" in host and isinstance(host.get("services"), list):
        return "censys"
    ports = found.get("ports")
    if (
        "ip" in found
        and isinstance(ports, list)
        and ports
        and isinstance(ports[0], dict)
        and "port" in ports[0]
    ):
        return "masscan-json"
    return None


def read(source: Source, rows: Rows, skipped: Skipped) -> None:
    """Every object of a file; those of none of the formats are skipped and counted."""
    makers: dict[str, Callable[[dict[str, Any], str, Rows], Entry | None]] = {
        "censys": _censys, "runzero": _runzero, "ocsf": _ocsf,
    }  # fmt: skip
    services = _Services(rows)
    for where, found in objects(source, skipped):
        line = number(where.removeprefix("line "))
        kind = shape(found)
        try:
            if kind is None:
                # masscan ends its list with {finished: 1}, and scans have summaries between the hosts.
                skipped.add(line, "an object of no format that is known")
            elif kind in makers:
                entry = makers[kind](found, where, rows)
                if entry is not None:
                    rows.add(entry)
            else:
                services.add(kind, found, where)
        except BadAddress as error:
            skipped.add(line, f"no address: {error}"[:120])
    services.finish()


def moment(value: Any, rows: Rows) -> int | None:
    """A time, None where there is none; what is not said and what is wrong is noted."""
    try:
        found = when(value)
    except BadTime:
        rows.note(NO_TIME)
        return None
    if not found.zoned:
        rows.note(NO_ZONE)
    return found.ns


def _somewhere(values: list[Any]) -> tuple[Place, ...]:
    found = [place for value in values for place in places(str(value))]
    if not found:
        raise BadAddress("none given")
    return tuple(dict.fromkeys(found))


class _Services:
    """Formats with a service a line: folded by address while the times are within 30 days."""

    def __init__(self, rows: Rows) -> None:
        self._rows = rows
        self._open: dict[tuple[Place, ...], Entry] = {}

    def add(self, kind: str, found: dict[str, Any], where: str) -> None:
        at = moment(found.get("timestamp"), self._rows)
        place = _somewhere([found.get("ip_str") or found.get("ip") or ""])
        entry = self._open.get(place)
        if entry is not None and (_far(at, entry.valid_from) or _other(kind, found, entry)):
            self._rows.add(self._open.pop(place))
            entry = None
        if entry is None:
            if len(self._open) >= _OPEN:
                oldest = next(iter(self._open))
                self._rows.add(self._open.pop(oldest))
            entry = self._open[place] = Entry(place, where, valid_from=at, valid_to=at, basis=SCAN)
        if at is not None:
            entry.valid_from = min(at, entry.valid_from or at)
            entry.valid_to = max(at, entry.valid_to or at)
        if kind == "shodan":
            _shodan(found, entry)
            return
        for item in items(found.get("ports")):
            if isinstance(item, dict) and item.get("status", "open") == "open":
                entry.add_service(
                    number(item.get("port")), str(item.get("proto", "tcp")),
                    str(dig(item, "service", "name") or ""), str(dig(item, "service", "banner") or ""),
                )  # fmt: skip

    def finish(self) -> None:
        for entry in self._open.values():
            self._rows.add(entry)
        self._open.clear()


def _far(one: int | None, other: int | None) -> bool:
    return one is not None and other is not None and abs(one - other) > _MONTH


def _other(kind: str, found: dict[str, Any], entry: Entry) -> bool:
    """Another system behind the same address: the same port once more, with another product."""
    if kind != "shodan" or not entry.product:
        return False
    best = cpes.best([*items(found.get("cpe23")), *items(found.get("cpe"))])
    if best is None or best.part == "a":
        return False
    same = any(service["port"] == number(found["port"]) for service in entry.services)
    return same and cpes.split(str(found.get("product") or ""), best)[1].lower() != entry.product.lower()


def _shodan(found: dict[str, Any], entry: Entry) -> None:
    protocol = str(dig(found, "_shodan", "module") or "")
    entry.add_service(
        number(found["port"]), str(found.get("transport", "tcp")), protocol, str(found.get("data") or "")
    )
    best = cpes.best([*items(found.get("cpe23")), *items(found.get("cpe"))])
    product = str(found.get("product") or "")
    # A web server's name is no product of the device.
    if best is not None and best.part != "a":
        vendor, product = cpes.split(product, best)
        entry.vendor, entry.product = entry.vendor or vendor, entry.product or product
        entry.version = entry.version or str(found.get("version") or best.version)
        entry.cpe = entry.cpe or best.text
    entry.device = entry.device or device_class(str(found.get("devicetype") or ""))
    entry.os = entry.os or str(found.get("os") or "")
    entry.hostname = entry.hostname or first_of(items(found.get("hostnames")))
    entry.mac = entry.mac or first_of(dig(found, "mac") or ())


def _host(found: dict[str, Any]) -> dict[str, Any]:
    for name in ("host", "resource"):
        inner = found.get(name)
        if isinstance(inner, dict) and "ip" in inner:
            return inner
    inner = dig(found, "host_v1", "resource")
    return inner if isinstance(inner, dict) else found


def _censys(found: dict[str, Any], where: str, rows: Rows) -> Entry:
    host = _host(found)
    entry = Entry(_somewhere([host["ip"]]), where, basis=SCAN)
    times: list[int] = []
    software: list[dict[str, Any]] = [item for item in items(host.get("hardware")) if isinstance(item, dict)]
    for service in items(host.get("services")):
        if not isinstance(service, dict):
            continue
        entry.add_service(
            number(service.get("port")), str(service.get("transport_protocol") or "tcp"),
            str(service.get("service_name") or service.get("protocol") or ""), str(service.get("banner") or ""),
        )  # fmt: skip
        inner = [*items(service.get("hardware")), *items(service.get("software"))]
        software += [item for item in inner if isinstance(item, dict)]
        seen = moment(service.get("observed_at") or service.get("scan_time"), rows)
        times += [] if seen is None else [seen]
    times += [t for t in (moment(host.get("last_updated_at"), rows),) if t is not None and not times]
    system = host.get("operating_system")
    for item in sorted(software, key=lambda item: str(item.get("part", "a")) != "h"):
        best = cpes.parse(item.get("uniform_resource_identifier") or item.get("cpe"))
        part = str(item.get("part") or (best.part if best else "a"))
        if part == "h" and not entry.product:
            entry.vendor, entry.product = str(item.get("vendor") or ""), str(item.get("product") or "")
            entry.version = str(item.get("version") or "")
            entry.cpe = best.text if best else ""
            entry.device = device_class(first_of([*items(item.get("type")), dig(item, "other", "device")]))
        elif part == "o" and system is None:
            system = item
    if isinstance(system, dict):
        entry.os = " ".join(str(system[n]) for n in ("vendor", "product", "version") if system.get(n))
    names = dig(host, "dns", "names") or dig(host, "dns", "reverse_dns", "names")
    entry.hostname = first_of(items(names))
    if times:
        entry.valid_from, entry.valid_to = min(times), max(times)
    return entry


def _runzero(found: dict[str, Any], where: str, rows: Rows) -> Entry:
    addresses = [*items(found.get("addresses")), *items(found.get("addresses_extra"))]
    entry = Entry(
        _somewhere(addresses), where, asset=str(found.get("id") or ""), basis=SCAN,
        valid_from=moment(found.get("first_seen"), rows), valid_to=moment(found.get("last_seen"), rows),
        hostname=first_of(items(found.get("names"))), mac=first_of(items(found.get("macs"))),
        vendor=str(found.get("hw_vendor") or ""), product=str(found.get("hw_product") or ""),
        version=str(found.get("hw_version") or ""), device=device_class(str(found.get("type") or "")),
        os=str(found.get("os") or ""), owner=first_of(items(found.get("owner"))),
    )  # fmt: skip
    if not entry.product and found.get("hw"):
        hw = str(found["hw"])
        vendor = entry.vendor
        entry.product = hw[len(vendor) :].strip() if vendor and hw.lower().startswith(vendor.lower()) else hw
    services = found.get("services")
    for key, service in list(services.items())[:4096] if isinstance(services, dict) else []:
        _, _, rest = str(key).partition("/")
        port, _, transport = rest.partition("/")
        inner = service if isinstance(service, dict) else {}
        entry.add_service(
            number(inner.get("port", port)), str(inner.get("transport") or transport),
            str(inner.get("protocol") or ""), str(inner.get("banner") or inner.get("http.head.server") or ""),
        )  # fmt: skip
    return entry


# OCSF 1.3, object device, type_id; 7 (IOT), 0 and 99 say nothing.
_OCSF_TYPES: Final = {
    1: "Server", 2: "Desktop", 3: "Laptop", 4: "Tablet", 5: "Mobile Phone", 6: "Server", 8: "", 9: "Firewall",
    10: "Switch", 11: "Hub", 12: "Router", 13: "IDS", 14: "IPS", 15: "Load Balancer",
}  # fmt: skip


def _ocsf(found: dict[str, Any], where: str, rows: Rows) -> Entry:
    device = found.get("device")
    if not isinstance(device, dict):
        raise BadAddress("no device in it")
    seen = moment(found.get("time"), rows)
    interfaces = [item for item in items(device.get("network_interfaces")) if isinstance(item, dict)]
    addresses = [*items(device.get("ip")), *(item["ip"] for item in interfaces if item.get("ip"))]
    first, last = moment(device.get("first_seen_time"), rows), moment(device.get("last_seen_time"), rows)
    entry = Entry(
        _somewhere(addresses), where, asset=first_of([device.get("uid"), device.get("instance_uid")]), basis=SCAN,
        valid_from=first if first is not None else seen, valid_to=last if last is not None else seen,
        hostname=first_of([device.get("hostname"), device.get("name")]),
        mac=first_of([device.get("mac"), *(item.get("mac") for item in interfaces)]),
        vendor=first_of([device.get("vendor_name"), dig(device, "hw_info", "vendor_name")]),
        product=first_of([device.get("model"), dig(device, "hw_info", "model")]),
        device=device_class(str(device.get("type") or "")) or _OCSF_TYPES.get(number(device.get("type_id")), ""),
        owner=first_of([dig(device, "org", "name"), dig(device, "owner", "name")]),
        contact=first_of([dig(device, "owner", "email_addr")]),
    )  # fmt: skip
    system = device.get("os")
    if isinstance(system, dict):
        entry.os = first_of([system.get("name"), system.get("type")])
        entry.cpe = first_of([system.get("cpe_name")])
    return entry
