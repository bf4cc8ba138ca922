"""nmap's XML (``-oX``) and masscan's, which is of the same form; also of a scan that was broken off."""

from __future__ import annotations

from typing import Any, Final

from andon.observe.assets import cpe as cpes
from andon.observe.assets.devices import device_class
from andon.observe.assets.objects import number
from andon.observe.assets.places import BadAddress, Place, place
from andon.observe.assets.rows import Entry, Rows
from andon.observe.assets.scans import moment
from andon.observe.assets.source import Source
from andon.observe.jsonlines import Skipped
from andon.observe.markup import END, START, TEXT, BadMarkup, events
from andon.records.asset import SCAN

_MOST: Final = 4096  # addresses and CPE names of a host


class _Host:
    """A host as its elements come by."""

    def __init__(self, attributes: dict[str, str], line: int) -> None:
        self.attributes, self.line = attributes, line
        self.up = True
        self.addresses: list[str] = []
        self.mac = self.name = ""
        self.port: dict[str, str] = {}
        self.state = "open"
        self.banner = ""
        self.service: dict[str, str] = {}
        self.ports: list[tuple[dict[str, str], dict[str, str], str]] = []
        self.cpes: list[str] = []
        self.system: tuple[int, str, dict[str, str]] = (-1, "", {})
        self.seen: list[str] = []

    def start(self, name: str, values: dict[str, str]) -> None:
        if name == "status":
            self.up = values.get("state", "up") == "up"
        elif name == "address":
            if values.get("addrtype") == "mac":
                self.mac = values.get("addr", "")
            elif len(self.addresses) < _MOST:
                self.addresses.append(values.get("addr", ""))
        elif name == "hostname":
            self.name = self.name or values.get("name", "")
        elif name == "port":
            self.port, self.service, self.banner, self.state = values, {}, "", "open"
        elif name == "state" and self.port:
            self.state = values.get("state", "open")
        elif name == "service" and self.port:
            # masscan gives the banner as an attribute of an element for itself.
            self.service = {**values, **self.service}
            self.banner = self.banner or values.get("banner", "")
        elif name == "script" and self.port and values.get("id") == "banner":
            self.banner = values.get("output", "")
        elif name == "osmatch":
            accuracy = number(values.get("accuracy", "0"))
            if accuracy > self.system[0]:
                self.system = (accuracy, values.get("name", ""), {})
        elif name == "osclass" and not self.system[2]:
            self.system = (*self.system[:2], values)

    def end(self, name: str, text: str) -> None:
        if name == "port" and self.port:
            if self.state == "open" and len(self.ports) < _MOST:
                self.ports.append((self.port, self.service, self.banner))
            self.port = {}
        elif name == "cpe" and len(self.cpes) < _MOST:
            self.cpes.append(text.strip()[:512])


def read(source: Source, rows: Rows, skipped: Skipped) -> None:
    """Every host that was up. A document that ends too early or breaks gives the hosts before that, and a note."""
    host: _Host | None = None
    text = ""
    try:
        for event in events(source.chunks()):
            if event.kind == START:
                text = ""
                if event.name == "host":
                    host = _Host(event.attributes, event.line)
                elif host is not None:
                    host.start(event.name, event.attributes)
            elif event.kind == TEXT:
                text = (text + event.name)[:4096]
            elif event.kind == END and host is not None:
                if event.name == "host":
                    _finish(host, rows, skipped)
                    host = None
                else:
                    host.end(event.name, text)
                text = ""
    except BadMarkup as error:
        if error.cut:
            rows.note(f"the scan was broken off: {error}")
        else:
            skipped.add(0, f"XML cannot be read on: {error}"[:160])


def _finish(host: _Host, rows: Rows, skipped: Skipped) -> None:
    if not host.up:
        skipped.add(host.line, "host is down")
        return
    found: list[Place] = []
    for address in host.addresses:
        try:
            found.append(place(address))
        except BadAddress as error:
            skipped.add(host.line, f"no address: {error}"[:120])
    if not found:
        if not host.addresses:
            skipped.add(host.line, "host without an address")
        return
    start = moment(_seconds(host.attributes.get("starttime") or host.attributes.get("endtime")), rows)
    end = moment(_seconds(host.attributes.get("endtime") or host.attributes.get("starttime")), rows)
    entry = Entry(
        tuple(dict.fromkeys(found)), f"line {host.line}", basis=SCAN, valid_from=start, valid_to=end,
        hostname=host.name, mac=host.mac,
    )  # fmt: skip
    types: list[str] = []
    products: list[str] = []
    for port, service, banner in host.ports:
        shown = banner or service.get("extrainfo", "")
        entry.add_service(
            number(port.get("portid")), port.get("protocol", "tcp"), service.get("name", ""), shown
        )
        types.append(service.get("devicetype", ""))
        products.append(service.get("product", ""))
    _, name, system = host.system
    best = cpes.best(list(host.cpes))
    if best is not None and best.part != "a":
        # The product beside a hardware CPE is the device's; elsewhere it is that of a program.
        told = [product for product in products if product]
        mine = [product for product in told if product.lower().startswith(best.vendor.lower())]
        entry.vendor, entry.product = cpes.split(mine[0] if mine else best.product, best)
        entry.version, entry.cpe = best.version, best.text
    entry.device = next(filter(None, map(device_class, [*types, system.get("type", "")])), "")
    entry.os = name or next(filter(None, (service.get("ostype", "") for _, service, _ in host.ports)), "")
    rows.add(entry)


def _seconds(text: str | None) -> Any:
    return int(text) if text and text.isdigit() and len(text) < 19 else None
