"""The six lists and the leases of the shared scenario, against its truth and against each other."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

from andon.observe.assets import assets, recognise, said
from andon.observe.jsonlines import Skipped
from andon.records.device import same_class

pytestmark = pytest.mark.real_data
KINDS = {
    "assets.csv.zst": "csv", "assets_ja.csv": "csv", "assets_nmap.xml.zst": "nmap", "assets_shodan.jsonl.zst": "shodan",
    "assets_censys.jsonl.zst": "censys", "assets_runzero.jsonl.zst": "runzero", "assets_ocsf.jsonl.zst": "ocsf",
}  # fmt: skip
Read = Callable[[str], pa.Table]


@pytest.fixture(scope="module")
def folder(andon_data: Path) -> Path:
    found = andon_data / "joint" / "scenario"
    if not found.is_dir():
        pytest.skip("no joint data")
    return found


@pytest.fixture(scope="module")
def read(folder: Path) -> Read:
    tables: dict[str, pa.Table] = {}

    def one(name: str) -> pa.Table:
        if name not in tables:
            skipped = Skipped()
            tables[name] = assets(folder / name, skipped)
            assert skipped.lines == 0, (name, skipped.reasons)
        return tables[name]

    return one


def _plain(folder: Path, name: str) -> str:
    data = (folder / name).read_bytes()
    if name.endswith(".zst"):
        data = zstandard.ZstdDecompressor(max_window_size=1 << 27).decompressobj().decompress(data)
    return data.decode("cp932" if "_ja" in name else "utf-8")


def _ns(text: str) -> int:
    return int(pa.scalar(text).cast(pa.timestamp("ns", tz="UTC")).value)


@pytest.mark.parametrize(("name", "kind"), KINDS.items())
def test_formats_are_recognised_from_their_first_bytes(
    folder: Path, name: str, kind: str, read: Read
) -> None:
    head = (folder / name).read_bytes()[:65536]
    assert recognise(head, str(folder / name)) == kind
    assert said(read(name))[0] == kind


def test_every_lease_is_read_exactly(folder: Path, read: Read) -> None:
    table = read("assets.csv.zst")
    rows = list(csv.DictReader(io.StringIO(_plain(folder, "assets.csv.zst"))))
    assert table.num_rows == len(rows) == 40_465
    for name, heading in (("asset", "asset_id"), ("address", "ip"), ("device", "device"), ("vendor", "vendor"),
                          ("product", "product")):  # fmt: skip
        assert table[name].to_pylist() == [row[heading] for row in rows]
    for name, heading in (("valid_from", "lease_start"), ("valid_to", "lease_end")):
        assert table[name].cast(pa.int64()).to_pylist() == [_ns(row[heading]) for row in rows]
    assert set(table["basis"].to_pylist()) == {"lease"}


def test_leases_agree_with_the_truth_of_the_addresses(folder: Path, read: Read) -> None:
    """Assets that are a device of the scenario have exactly its addresses and times."""
    owners = {
        row["asset_id"]: row["device"]
        for row in pq.read_table(folder / "truth" / "assets.parquet").to_pylist()
        if row["device"] is not None
    }
    truth: dict[int, set[tuple[str, int, int]]] = {}
    for row in pq.read_table(folder / "truth" / "addresses.parquet").to_pylist():
        truth.setdefault(row["device"], set()).add((row["ip"], _ns(row["from"]), _ns(row["to"])))
    table = read("assets.csv.zst").select(["asset", "address", "valid_from", "valid_to"])
    found: dict[str, set[tuple[str, int, int]]] = {}
    starts, ends = (table[n].cast(pa.int64()).to_pylist() for n in ("valid_from", "valid_to"))
    for asset, address, start, end in zip(
        table["asset"].to_pylist(), table["address"].to_pylist(), starts, ends, strict=True
    ):
        found.setdefault(asset, set()).add((address, start, end))
    checked = 0
    for asset, device in owners.items():
        if asset in found:
            checked += 1
            assert found[asset] == truth[device], asset
    assert checked > 1000


def _of_shodan(row: dict[str, Any]) -> tuple[str, str, str]:
    return row["ip_str"], row["cpe23"][0].split(":")[3].replace("_", " "), row["product"]


def _of_censys(row: dict[str, Any]) -> tuple[str, str, str]:
    software = row["services"][0]["software"][0]
    return row["ip"], software["vendor"], software["product"]


def _of_runzero(row: dict[str, Any]) -> tuple[str, str, str]:
    return row["addresses"][0], row["hw_vendor"], row["hw_product"]


def _of_ocsf(row: dict[str, Any]) -> tuple[str, str, str]:
    return row["device"]["ip"], row["device"]["vendor_name"], row["device"]["model"]


SHAPES = {
    "assets_shodan.jsonl.zst": _of_shodan, "assets_censys.jsonl.zst": _of_censys,
    "assets_runzero.jsonl.zst": _of_runzero, "assets_ocsf.jsonl.zst": _of_ocsf,
}  # fmt: skip


@pytest.mark.parametrize("name", SHAPES)
def test_every_object_of_the_json_lists_is_one_asset(folder: Path, name: str, read: Read) -> None:
    expected = sorted(
        (address, vendor.lower(), product)
        for address, vendor, product in (
            SHAPES[name](json.loads(line)) for line in _plain(folder, name).splitlines()
        )
    )
    table = read(name)
    vendors = [vendor.lower() for vendor in table["vendor"].to_pylist()]
    got = sorted(zip(table["address"].to_pylist(), vendors, table["product"].to_pylist(), strict=True))
    assert got == expected


@pytest.mark.parametrize("name", [name for name in KINDS if name != "assets.csv.zst"])
def test_the_lists_agree_with_the_leases(read: Read, name: str) -> None:
    """What a list says of an address, some lease of that address says too; classes as far as the list names them."""
    known: dict[str, set[tuple[str, str]]] = {}
    classes: dict[str, set[str]] = {}
    leases = read("assets.csv.zst")
    columns = [leases[n].to_pylist() for n in ("address", "vendor", "product", "device")]
    for address, vendor, product, device in zip(*columns, strict=True):
        known.setdefault(address, set()).add((vendor.lower(), product))
        classes.setdefault(product, set()).add(device)
    table = read(name)
    assert table.num_rows == {"assets_ja.csv": 400, "assets_nmap.xml.zst": 500, "assets_shodan.jsonl.zst": 500,
                              "assets_censys.jsonl.zst": 300, "assets_runzero.jsonl.zst": 400,
                              "assets_ocsf.jsonl.zst": 400}[name]  # fmt: skip
    for row in table.select(["address", "vendor", "product", "device"]).to_pylist():
        assert (row["vendor"].lower(), row["product"]) in known[row["address"]], row
        if row["device"]:
            assert any(same_class(row["device"], device) for device in classes[row["product"]]), row


def test_japanese_headings_and_words(read: Read) -> None:
    table = read("assets_ja.csv")
    first = table.slice(0, 1).to_pylist()[0]
    assert (first["asset"], first["address"], first["device"]) == ("A00000", "100.64.1.36", "IP Camera")
    assert first["contact"] == "情報システム部"
    assert set(table["device"].to_pylist()) == {
        "IP Camera", "DVR", "Router", "Broadband Router", "NAS", "WAP", "Multifunction Device",
    }  # fmt: skip
    assert "column not used: 設置場所" in said(table)[1]


def test_times_without_a_zone_are_said(read: Read) -> None:
    assert said(read("assets_shodan.jsonl.zst"))[1]["times without a zone, taken as UTC"] == 500
    assert "times without a zone, taken as UTC" not in said(read("assets.csv.zst"))[1]
