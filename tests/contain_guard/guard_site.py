"""A made-up site with everything that a guard has to look after, and the means to ask it for wrong things."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa

from andon.contain.guard import Terrain, terrain_of
from andon.contain.policy import Policy, load_policy
from andon.contain.resolve import Resolver
from andon.records.asset import ASSET
from andon.records.inside import Inside

SECOND = 1_000_000_000
HOUR = 3600 * SECOND
NOW = 1_775_606_400 * SECOND
INSIDE = ("10.0.0.0/16", "2001:db8:10::/48")
HOSTS = 400

POLICY = """\
version: 1
protect:
  critical: [10.0.9.0/28, "2001:db8:10::10", dc.corp.example]
  control: [10.0.255.2, 10.0.255.3, "2001:db8:10:ff::2", andon.corp.example]
  gateways: [10.0.0.1, 10.0.1.1, "2001:db8:10::1"]
  resolvers: [10.0.0.53, ns.corp.example]
  time: [10.0.0.123]
  others: [www.partner.example, 203.0.113.200/30]
  macs: ["02:00:00:00:00:01"]
  ports: {sw1: [1, 2]}
  networks: [10.0.0.0/24, 10.0.1.0/24]
  nat64: ["2001:db8:64::/96"]
  warning_lists: [shared.json, exact.json]
  flows: [zeek]
"""
SHARED = '{"name": "shared", "type": "cidr", "list": ["198.51.100.0/25", "2001:db8:cd::/48", "cdn.example"]}'
EXACT = '{"name": "exact", "type": "string", "list": ["login.cloud.example", "203.0.113.99"]}'

# destination -> how many of our hosts used it
USERS = {
    "192.0.2.50": 300,
    "192.0.2.51": 2,
    "popular.example.net": 390,
    "a.wide.example.net": 15,
    "b.wide.example.net": 12,
    "rare.example.net": 1,
    "2001:db8:bad::50": 250,
}
PLACES = {
    "10.0.1.20": ("sw1", 20, ""),
    "10.0.1.21": ("sw1", 21, ""),
    "10.0.1.22": ("sw1", 22, ""),
    "10.0.1.23": ("sw1", 22, ""),  # two behind one port
    "10.0.0.53": ("sw1", 7, ""),  # a resolver
    "plc1.corp.example": ("sw2", 9, ""),  # by its name of a protected class
}


def asset_row(address: str, **more: Any) -> dict[str, Any]:
    """A row of the asset list; a list unless said otherwise."""
    row: dict[str, Any] = {f.name: "" for f in ASSET if pa.types.is_string(f.type)}
    parts = address.split(".")
    number = -1 if ":" in address else int.from_bytes(bytes(map(int, parts)), "big")
    row |= {"address": address, "first": number, "last": number, "valid_from": None, "valid_to": None}
    return row | {"basis": "list", "services": [], **more}


def asset_table(rows: list[dict[str, Any]]) -> pa.Table:
    columns = []
    for one in ASSET:
        values = [row[one.name] for row in rows]
        made = (
            pa.array(values, pa.int64()).cast(one.type)
            if pa.types.is_timestamp(one.type)
            else pa.array(values, one.type)
        )
        columns.append(made)
    return pa.Table.from_arrays(columns, schema=ASSET)


def site_assets() -> pa.Table:
    rows = [
        asset_row(
            f"10.0.1.{n}" if n < 250 else f"10.0.2.{n - 249}",
            hostname=f"pc{n}.corp.example",
            device="Desktop",
        )
        for n in range(10, 10 + HOSTS - 3)
    ]
    rows.append(asset_row("10.0.3.5", hostname="plc1.corp.example", device="PLC", mac="02:00:00:00:03:05"))
    rows.append(
        asset_row("2001:db8:10::305", hostname="plc1.corp.example", device="PLC", mac="02:00:00:00:03:05")
    )
    rows.append(asset_row("10.0.3.6", hostname="dc01.corp.example"))
    rows.append(asset_row("10.0.3.7", hostname="srv7.corp.example", device="Server"))
    return asset_table(rows)


def site(folder: Path) -> tuple[Policy, Terrain, Resolver]:
    """The site's policy (its files are written to ``folder``), terrain and resolver."""
    (folder / "policy.yaml").write_text(POLICY)
    (folder / "shared.json").write_text(SHARED)
    (folder / "exact.json").write_text(EXACT)
    policy = load_policy(folder / "policy.yaml")
    assets = site_assets()
    terrain = terrain_of(policy, INSIDE, assets, USERS, PLACES, ("10.0.255.9",), NOW)
    return policy, terrain, Resolver(assets, Inside(INSIDE), policy, PLACES)
