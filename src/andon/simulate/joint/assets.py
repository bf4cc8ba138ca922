"""Partners' lists: which system had which address. Leases are right, most lists are snapshots and grow stale.

``assets.csv`` and ``dhcpd.leases`` hold leases; ``assets_ja.csv`` (CP932), nmap, Shodan, Censys, runZero and OCSF lists
were made when the scenario began. A few per cent of the rows of each snapshot are wrong from the start: the address is
that of an earlier system.
"""

from __future__ import annotations

import json
import random
from datetime import UTC, datetime
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any, Final
from xml.sax.saxutils import quoteattr

import numpy as np

from andon.records.contract import SECOND

from .catalogue import PRODUCTS, Product
from .infections import Infections
from .leases import World
from .logs import iso
from .scenario import DAY, Scenario

LISTED: Final = 0.25  # share of lines with an infected device that a partner has on its list
STALE: Final = 0.03
SNAPSHOTS: Final = {"ja": 400, "nmap": 300, "shodan": 500, "censys": 300, "runzero": 400, "ocsf": 400}
_JAPANESE: Final = {
    "Router": "ルーター", "Broadband Router": "ブロードバンドルーター", "DVR": "録画装置",
    "IP Camera": "ネットワークカメラ",
    "NAS": "NAS", "WAP": "無線アクセスポイント", "Printer": "複合機", "VoIP": "IP電話", "Server": "サーバー",
}  # fmt: skip
_NMAP: Final = {
    "Router": "router", "Broadband Router": "broadband router", "DVR": "media device", "IP Camera": "webcam",
    "NAS": "storage-misc", "WAP": "WAP", "Printer": "printer", "VoIP": "VoIP adapter", "Server": "general purpose",
}  # fmt: skip
_OCSF: Final = {"Router": 12, "Broadband Router": 12, "Server": 1, "IP Camera": 7, "DVR": 7}


class Assets:
    """``number[i]`` is the place of asset i's device among the world's devices."""

    def __init__(self, scenario: Scenario, world: World, cases: Infections) -> None:
        rng = scenario.rng("assets")
        # Whoever lists one system of a line lists all of them: it is one household, or one office.
        ill = np.zeros(len(world.pool), bool)
        ill[world.line[: world.infected]] = True
        listed = ~ill | (rng.random(len(world.pool)) < LISTED)
        self.scenario, self.world, self.cases = scenario, world, cases
        self.number = rng.permutation(np.flatnonzero(listed[world.line]))
        self.draw = random.Random(f"{scenario.seed} assets")

    @property
    def ids(self) -> list[str]:
        return [f"A{i:05d}" for i in range(len(self.number))]

    def product(self, asset: int) -> Product:
        return PRODUCTS[int(self.cases.product[self.number[asset]])]

    def leases(self, asset: int) -> slice:
        line = int(self.world.line[self.number[asset]])
        return slice(int(self.world.offset[line]), int(self.world.offset[line + 1]))

    def snapshot(self, first: int, count: int) -> list[tuple[int, str]]:
        """(asset, address at the beginning) of some assets; a few addresses are wrong."""
        found = []
        for asset in range(first, min(first + count, len(self.number))):
            at = self.leases(asset).start
            if self.draw.random() < STALE:
                at = self.draw.randrange(len(self.world.address))
            found.append((asset, str(IPv4Address(int(self.world.address[at])))))
        return found

    def write(self, out: Path) -> None:
        """All lists. Which assets are on which list is drawn by where the list begins."""
        self._csv(out / "assets.csv")
        self._dhcpd(out / "dhcpd.leases")
        n = len(self.number)
        begin = 0
        for name, most in SNAPSHOTS.items():
            count = min(most, n // 4)
            rows = self.snapshot(begin % max(1, n - count), count)
            begin += count
            getattr(self, f"_{name}")(out, rows)

    def _csv(self, path: Path) -> None:
        world = self.world
        with path.open("w", encoding="utf-8", newline="") as file:
            file.write("asset_id,ip,lease_start,lease_end,device,vendor,product\n")
            for asset, number in enumerate(self.ids):
                p = self.product(asset)
                for i in range(*self.leases(asset).indices(len(world.address))):
                    file.write(
                        f"{number},{IPv4Address(int(world.address[i]))},{iso(int(world.begin[i]))},"
                        f"{iso(int(world.end[i]))},{p.device},{p.vendor},{p.product}\n"
                    )

    def _dhcpd(self, path: Path) -> None:
        """ISC dhcpd's lease file of one pool whose addresses change hands, in order of the leases' beginning."""
        world = self.world
        free = np.flatnonzero(~world.carrier & np.isfinite(world.held))
        if not len(free):
            free = np.flatnonzero(~world.carrier)
        chosen = int(free[0]) if len(free) else 0
        rows: list[tuple[int, int, int, str, int]] = []
        served: set[int] = (
            set()
        )  # the server knows one device a line: what is behind it has addresses of its own
        for asset, number in enumerate(self.ids):
            line = int(world.line[self.number[asset]])
            if world.pool[line] == chosen and line not in served:
                served.add(line)
                rows += [
                    (int(world.begin[i]), int(world.end[i]), int(world.address[i]), number, asset)
                    for i in range(*self.leases(asset).indices(len(world.address)))
                ]
        rows.sort()
        with path.open("w", encoding="ascii") as file:
            file.write("# The format of this file is documented in the dhcpd.leases(5) manual page.\n")
            for begin, end, address, number, asset in rows:
                device = int(self.number[asset])
                mac = ":".join(f"{b:02x}" for b in (2, 0, *device.to_bytes(4, "big")))
                file.write(
                    f"lease {IPv4Address(address)} {{\n  starts {_isc(begin)};\n  ends {_isc(end)};\n"
                    f'  binding state free;\n  hardware ethernet {mac};\n  client-hostname "{number}";\n}}\n'
                )

    def _ja(self, out: Path, rows: list[tuple[int, str]]) -> None:
        lines = ["資産番号,IPアドレス,機器種別,メーカー,型番,設置場所,管理部署"]
        for asset, address in rows:
            p = self.product(asset)
            floor = self.draw.randrange(1, 10)
            lines.append(
                f"{self.ids_of(asset)},{address},{_JAPANESE[p.device]},{p.vendor},{p.product},本社{floor}階,情報システム部"
            )
        (out / "assets_ja.csv").write_bytes(("\r\n".join(lines) + "\r\n").encode("cp932"))

    def ids_of(self, asset: int) -> str:
        return f"A{asset:05d}"

    def _nmap(self, out: Path, rows: list[tuple[int, str]]) -> None:
        begin = self.scenario.begin // SECOND
        lines = [
            '<?xml version="1.0" encoding="UTF-8"?>', "<!DOCTYPE nmaprun>",
            f'<nmaprun scanner="nmap" args="nmap -sV -oX - -iL list" start="{begin}" version="7.94" '
            'xmloutputversion="1.05">',
        ]  # fmt: skip
        for asset, address in rows:
            p = self.product(asset)
            lines.append(
                f'<host starttime="{begin}" endtime="{begin + 60}"><status state="up" reason="syn-ack"/>'
                f'<address addr="{address}" addrtype="ipv4"/><hostnames/><ports><port protocol="tcp" '
                f'portid="{p.port}"><state state="open" reason="syn-ack"/><service name="{p.service}" '
                f"product={quoteattr(f'{p.vendor} {p.product}')} extrainfo={quoteattr(p.banner)} "
                f"devicetype={quoteattr(_NMAP[p.device])} "
                f'method="probed" conf="10"><cpe>{_cpe(p)}</cpe></service></port></ports></host>'
            )
        lines.append(f'<runstats><finished time="{begin + 600}"/></runstats></nmaprun>')
        (out / "assets_nmap.xml").write_text("\n".join(lines) + "\n", encoding="utf-8")

    def _shodan(self, out: Path, rows: list[tuple[int, str]]) -> None:
        stamp = iso(self.scenario.begin, "")
        _lines(out / "assets_shodan.jsonl", [
            {
                "ip_str": address, "ip": int(IPv4Address(address)), "port": p.port, "transport": "tcp",
                "timestamp": stamp, "data": _answer(p), "product": p.product, "hostnames": [], "domains": [],
                "org": "partner", "isp": "partner", "asn": "AS64500", "cpe23": [_cpe23(p)],
                "_shodan": {"module": p.service}, "location": {"country_code": "JP"},
            }
            for asset, address in rows for p in (self.product(asset),)
        ])  # fmt: skip

    def _censys(self, out: Path, rows: list[tuple[int, str]]) -> None:
        stamp = iso(self.scenario.begin)
        _lines(out / "assets_censys.jsonl", [
            {
                "ip": address,
                "services": [{
                    "port": p.port, "service_name": p.service.upper(), "transport_protocol": "TCP", "banner": p.banner,
                    "software": [{"vendor": p.vendor, "product": p.product, "part": "h"}], "observed_at": stamp,
                }],
                "autonomous_system": {"asn": 64500, "name": "PARTNER"}, "operating_system": None,
                "last_updated_at": stamp,
            }
            for asset, address in rows for p in (self.product(asset),)
        ])  # fmt: skip

    def _runzero(self, out: Path, rows: list[tuple[int, str]]) -> None:
        begin = self.scenario.begin // SECOND
        _lines(out / "assets_runzero.jsonl", [
            {
                "id": f"{self.draw.getrandbits(64):016x}", "addresses": [address], "names": [], "type": p.device,
                "os": "", "hw": f"{p.vendor} {p.product}", "hw_vendor": p.vendor, "hw_product": p.product, "macs": [],
                "tags": {}, "first_seen": begin - 30 * DAY // SECOND, "last_seen": begin, "alive": True,
                "services": {f"{address}/{p.port}/tcp": {
                    "address": address, "port": str(p.port), "transport": "tcp", "protocol": p.service,
                    "banner": p.banner,
                }},
            }
            for asset, address in rows for p in (self.product(asset),)
        ])  # fmt: skip

    def _ocsf(self, out: Path, rows: list[tuple[int, str]]) -> None:
        _lines(out / "assets_ocsf.jsonl", [
            {
                "activity_id": 2, "activity_name": "Collect", "category_uid": 5, "category_name": "Discovery",
                "class_uid": 5001, "class_name": "Device Inventory Info", "type_uid": 500102, "severity_id": 1,
                "time": self.scenario.begin // 1_000_000,
                "metadata": {"version": "1.3.0", "product": {"name": "inventory", "vendor_name": "partner"}},
                "device": {
                    "uid": self.ids_of(asset), "ip": address, "type_id": _OCSF.get(p.device, 0),
                    "type": p.device if p.device in ("Router", "Server") else "IOT", "vendor_name": p.vendor,
                    "model": p.product,
                },
            }
            for asset, address in rows for p in (self.product(asset),)
        ])  # fmt: skip


def _lines(path: Path, rows: list[dict[str, Any]]) -> None:
    with path.open("w", encoding="utf-8") as file:
        file.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def _isc(ns: int) -> str:
    """A time as ISC dhcpd writes it: day of the week, then UTC."""
    when = datetime.fromtimestamp(ns // SECOND, UTC)
    return f"{when.isoweekday() % 7} {when:%Y/%m/%d %H:%M:%S}"


def _answer(p: Product) -> str:
    return f"HTTP/1.1 200 OK\r\n{p.banner}\r\n\r\n" if p.service == "http" else p.banner + "\r\n"


def _cpe(p: Product) -> str:
    return f"cpe:/h:{p.vendor.lower().replace(' ', '_')}:{p.product.lower().replace(' ', '_')}"


def _cpe23(p: Product) -> str:
    return f"cpe:2.3:h:{p.vendor.lower()}:{p.product.lower().replace(' ', '_')}:*:*:*:*:*:*:*:*"
