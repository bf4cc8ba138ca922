"""Leases as four DHCP servers write them."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from andon.observe.assets import assets, recognise, said
from andon.observe.jsonlines import Skipped

Told = list[tuple[str, str, str | None, str | None]]

ISC = """# The format of this file is documented in the dhcpd.leases(5) manual page.
authoring-byte-order little-endian;
lease 192.0.2.10 {
  starts 0 2026/03/01 00:00:00;
  ends 0 2026/03/01 12:00:00;
  cltt 0 2026/03/01 00:00:00;
  binding state active;
  next binding state free;
  hardware ethernet 00:11:22:33:44:55;
  client-hostname "cam1";
}
lease 192.0.2.10 {
  starts 0 2026/03/01 06:00:00;
  ends 0 2026/03/01 18:00:00;
  binding state active;
  hardware ethernet 00:11:22:33:44:55;
}
lease 192.0.2.10 {
  starts 0 2026/03/01 06:00:00;
  ends 0 2026/03/01 09:00:00;
  binding state free;
  hardware ethernet 00:11:22:33:44:55;
}
lease 192.0.2.10 {
  starts 0 2026/03/01 10:00:00;
  ends 0 2026/03/01 22:00:00;
  binding state active;
  hardware ethernet 66:77:88:99:aa:bb;
}
lease 192.0.2.11 {
  starts epoch 1772323200; # Sun Mar 01 00:00:00 2026
  ends never;
  binding state active;
  hardware ethernet 0:1:2:3:4:5;
  uid "x1";
}
lease 192.0.2.12 {
  starts 9 not/a/date 00:00:00;
  binding state active;
}
lease nonsense {
  binding state active;
}
lease 192.0.2.13 {
  starts 0 2026/03/01 00:00:00;
"""
KEA = """address,hwaddr,client_id,valid_lifetime,expire,subnet_id,fqdn_fwd,fqdn_rev,hostname,state,user_context,pool_id
192.0.2.10,00:11:22:33:44:55,01:00,3600,1772326800,1,0,0,cam1,0,,0
192.0.2.10,00:11:22:33:44:55,01:00,3600,1772328600,1,0,0,cam1,0,,0
192.0.2.10,66:77:88:99:aa:bb,01:01,3600,1772330400,1,0,0,,0,,0
192.0.2.11,aa:bb:cc:dd:ee:ff,,4294967295,6067290495,1,0,0,,0,,0
192.0.2.12,aa:bb:cc:dd:ee:00,,3600,1772326800,1,0,0,,1,,0
192.0.2.13,aa:bb:cc:dd:ee:01,,x,1772326800,1,0,0,,0,,0
"""
WINDOWS = """\t\tMicrosoft DHCP Service Activity Log


Event ID  Meaning
10\tA new IP address was leased to a client.
11\tA lease was renewed by a client.

ID,Date,Time,Description,IP Address,Host Name,MAC Address,User Name, TransactionID, QResult,Probationtime
24,03/01/26,00:00:01,Database Cleanup Begin,,,,,0,6,,
10,03/01/26,00:00:00,Assign,192.0.2.10,cam1.example,001122334455,,1,0,,
11,03/01/26,04:00:00,Renew,192.0.2.10,cam1.example,001122334455,,1,0,,
12,03/01/26,05:00:00,Release,192.0.2.10,cam1.example,001122334455,,1,0,,
10,03/01/26,06:00:00,Assign,192.0.2.10,nas,66778899AABB,,1,0,,
10,99/99/99,06:00:00,Assign,192.0.2.11,nas,66778899AABB,,1,0,,
30,03/01/26,08:00:00,DNS Update Request,10.2.0.192,nas,,,0,6,,
"""
DNSMASQ = (
    "1772326800 00:11:22:33:44:55 192.0.2.10 cam1 01:00:11:22:33:44:55\n0 66:77:88:99:aa:bb 192.0.2.11 * *\n"
)


def _told(path: Path, skipped: Skipped) -> Told:
    rows: list[dict[str, Any]] = assets(path, skipped).to_pylist()
    assert all(row["basis"] == "lease" for row in rows)
    found: Told = []
    for row in sorted(rows, key=lambda row: (row["address"], str(row["valid_from"]))):
        times = (
            None if row[name] is None else f"{row[name]:%d %H:%M}" for name in ("valid_from", "valid_to")
        )
        found.append((row["address"], row["asset"], *times))  # type: ignore[arg-type]
    return found


@pytest.mark.parametrize(
    ("kind", "body", "expected", "left_out"),
    [
        ("dhcpd", ISC, [
            ("192.0.2.10", "00:11:22:33:44:55", "01 00:00", "01 09:00"),
            ("192.0.2.10", "66:77:88:99:aa:bb", "01 10:00", "01 22:00"),
            ("192.0.2.11", "x1", "01 00:00", None),
        ], 3),
        ("kea", KEA, [
            ("192.0.2.10", "00:11:22:33:44:55", "01 00:00", "01 01:00"),
            ("192.0.2.10", "66:77:88:99:aa:bb", "01 01:00", "01 02:00"),
            ("192.0.2.11", "aa:bb:cc:dd:ee:ff", "01 00:00", None),
        ], 2),
        ("windows-dhcp", WINDOWS, [
            ("192.0.2.10", "00:11:22:33:44:55", "01 00:00", "01 05:00"),
            ("192.0.2.10", "66:77:88:99:aa:bb", "01 06:00", "01 08:00"),
        ], 1),
        ("dnsmasq", DNSMASQ, [
            ("192.0.2.10", "00:11:22:33:44:55", None, "01 01:00"),
            ("192.0.2.11", "66:77:88:99:aa:bb", None, None),
        ], 0),
    ],
)  # fmt: skip
def test_leases(tmp_path: Path, kind: str, body: str, expected: Told, left_out: int) -> None:
    path = tmp_path / "leases"
    path.write_text(body)
    assert recognise(body.encode(), "leases") == kind
    skipped = Skipped()
    assert _told(path, skipped) == expected
    assert skipped.lines == left_out, skipped.reasons


def test_windows_says_no_zone(tmp_path: Path) -> None:
    path = tmp_path / "DhcpSrvLog-Sun.log"
    path.write_text(WINDOWS)
    assert "times without a zone, taken as UTC" in said(assets(path, Skipped()))[1]


def test_no_two_leases_of_an_address_overlap(tmp_path: Path) -> None:
    """A server that lost its clock or its memory gives the same address twice; the later word cuts the earlier."""
    lines = [KEA.splitlines()[0]]
    for n in range(40):
        expire = 1772326800 + 600 * n
        lines.append(f"192.0.2.10,00:11:22:33:44:{n % 3:02x},,3600,{expire},1,0,0,,0,,0")
    path = tmp_path / "kea.csv"
    path.write_text("\n".join(lines) + "\n")
    rows = assets(path, Skipped()).to_pylist()
    assert len(rows) == 40
    ordered = sorted((row["valid_from"], row["valid_to"]) for row in rows)
    assert all(one[1] <= two[0] for one, two in pairwise(ordered))
