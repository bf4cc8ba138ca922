"""Scoring suspected assets: at the level of devices, where a lease supports it, and at the level of addresses."""

from __future__ import annotations

import csv
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np

from .joint.evidence import DAY, Evidence, opened, seconds, table

SIGHTINGS: Final = 3  # of a family's fingerprint, from a device that has its address for itself
KIND: Final = "asset-suspected-infected"


@dataclass
class AssetScore:
    """Counts of distinct assets (``devices``) and of distinct addresses."""

    devices_said: int = 0
    devices_right: int = 0
    devices_linkable: int = 0
    devices_found: int = 0
    addresses_said: int = 0
    addresses_right: int = 0
    addresses_linkable: int = 0
    addresses_found: int = 0
    wrong: list[str] = field(default_factory=list)
    missed: list[str] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        def share(part: int, whole: int) -> float | None:
            return part / whole if whole else None

        return {
            "devices": [self.devices_linkable, self.devices_said, self.devices_right, self.devices_found],
            "device_precision": share(self.devices_right, self.devices_said),
            "device_recall": share(self.devices_found, self.devices_linkable),
            "addresses": [self.addresses_linkable, self.addresses_said, self.addresses_right, self.addresses_found],
            "address_precision": share(self.addresses_right, self.addresses_said),
            "address_recall": share(self.addresses_found, self.addresses_linkable),
            "wrong": self.wrong[:20], "missed": self.missed[:20],
        }  # fmt: skip


class _Truth:
    """Infections and addresses of the devices that get infected; leases of the lists."""

    def __init__(self, evidence: Evidence) -> None:
        folder = evidence.folder
        self.infections: defaultdict[int, list[tuple[float, float, str]]] = defaultdict(list)
        for row in table(folder, "infections").to_pylist():
            self.infections[row["device"]].append(
                (seconds(row["infected_from"]), seconds(row["infected_to"]), row["family"])
            )
        self.device: dict[str, int | None] = {
            row["asset_id"]: row["device"] for row in table(folder, "assets").to_pylist()
        }
        self.by_address: defaultdict[int, list[tuple[float, float, int]]] = defaultdict(list)
        self.shared: set[int] = set()  # addresses behind which a carrier has many
        for row in table(folder, "addresses").to_pylist():
            address = number(row["ip"])
            self.by_address[address].append((seconds(row["from"]), seconds(row["to"]), row["device"]))
            if row.get("shared"):
                self.shared.add(address)
        self.leases = list(leases(folder))

    def ill(self, device: int | None, begin: float, end: float) -> bool:
        """Whether a device was infected at some time between."""
        return device is not None and any(
            a <= end and b >= begin for a, b, _ in self.infections.get(device, ())
        )

    def ill_at(self, address: int, begin: float, end: float) -> bool:
        """Whether a device that had the address was infected while it had it, at some time between."""
        return any(
            a <= end and b >= begin and self.ill(device, max(a, begin), min(b, end))
            for a, b, device in self.by_address.get(address, ())
        )


def score_assets(
    evidence: Evidence, findings: Sequence[Mapping[str, Any]]
) -> tuple[AssetScore, list[float], list[bool]]:
    """(score, stated probabilities, whether they were right) of the findings about assets."""
    truth = _Truth(evidence)
    result = AssetScore()
    devices: dict[str, bool] = {}
    addresses: dict[int, bool] = {}
    stated: list[float] = []
    true: list[bool] = []
    for finding in findings:
        if finding["kind"] != KIND:
            continue
        begin, end = seconds(finding["first_seen"]) - DAY, seconds(finding["last_seen"]) + DAY
        asset, places = claimed(finding)
        if asset:
            good = truth.ill(truth.device.get(asset), begin, end)
            devices[asset] = devices.get(asset, False) or good
        else:
            good = any(truth.ill_at(place, begin, end) for place in places)
            for place in places:
                addresses[place] = addresses.get(place, False) or truth.ill_at(place, begin, end)
        stated.append(float(finding["confidence"]))
        true.append(good)
        if not good:
            result.wrong.append(f"{asset or '-'} {finding['title']}")
    can, everywhere = _linkable(evidence, truth)
    result.devices_said, result.devices_right = len(devices), sum(devices.values())
    result.devices_linkable, result.devices_found = len(can), len(can & set(devices))
    result.addresses_said, result.addresses_right = len(addresses), sum(addresses.values())
    named = set(addresses) | {place for f in findings if f["kind"] == KIND for place in claimed(f)[1]}
    result.addresses_linkable, result.addresses_found = len(everywhere), len(everywhere & named)
    result.missed = sorted(can - set(devices))
    return result, stated, true


def claimed(finding: Mapping[str, Any]) -> tuple[str, list[int]]:
    """(asset, or "" where the claim is about an address; its addresses) of a finding."""
    attributes = finding["attributes"]
    asset = str(attributes.get("asset") or "") if attributes.get("level") == "device" else ""
    found = [attributes["address"]] if attributes.get("address") else []
    found += [e["value"] for e in finding["entities"] if e["type"] == "ipv4-addr"]
    return asset, sorted({number(text) for text in found})


def _linkable(evidence: Evidence, truth: _Truth) -> tuple[set[str], set[int]]:
    """(assets that can be found at device level, addresses that can be found on the lists)."""
    d = evidence.darknet
    marks = {
        f["family"]: d.marks.index(f["fingerprint"]) for f in evidence.families if f["fingerprint"] in d.marks
    }
    linked = {evidence.families[i]["family"] for i, _, _ in evidence.linkable}
    linked |= {evidence.families[i]["family"] for i, _ in evidence.linkable_reports()}
    order = np.lexsort((d.at, d.src))
    at, src, mark = d.at[order], d.src[order], d.mark[order]
    holders: defaultdict[int, list[tuple[float, float]]] = defaultdict(list)
    for _, address, begin, end in truth.leases:
        holders[address].append((begin, end))
    counts: defaultdict[str, int] = defaultdict(int)
    places: defaultdict[int, int] = defaultdict(int)
    for asset, address, begin, end in truth.leases:
        device = truth.device.get(asset)
        if device is None:
            continue
        low, high = np.searchsorted(src, address), np.searchsorted(src, address, "right")
        if low == high:
            continue
        others = sum(a < end and b > begin for a, b in holders[address]) - 1
        alone = not others and address not in truth.shared
        for ill, well, family in truth.infections[device]:
            if family not in marks or family not in linked:
                continue
            times = at[low:high][mark[low:high] == marks[family]]
            seen = int(((times >= max(begin, ill)) & (times < min(end, well))).sum())
            counts[asset] += seen if alone else 0
            places[address] += seen
    return (
        {asset for asset, n in counts.items() if n >= SIGHTINGS},
        {address for address, n in places.items() if n >= SIGHTINGS},
    )


def leases(folder: Path) -> Iterable[tuple[str, int, float, float]]:
    """(asset, address, begin, end) of the list with leases."""
    file = opened(folder, "assets.csv")
    if file is None:
        return
    with file:
        for row in csv.DictReader(file):
            yield row["asset_id"], number(row["ip"]), seconds(row["lease_start"]), seconds(row["lease_end"])


def number(text: str) -> int:
    """An IPv4 address as a number."""
    a, b, c, d = text.split(".")
    return int(a) << 24 | int(b) << 16 | int(c) << 8 | int(d)
