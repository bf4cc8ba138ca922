"""What a scenario's files show together with its truth: which links are there to be found at all.

Nothing of the engines is used: logs are read as plain JSON lines, and a token is looked for as the text it is. So the
yardstick stands before a run, and is the same for our engines and for others.

*Linkable* (``docs/joint.md``) is a pair (mark, behaviour) of one family, if addresses of three /24s or more show the
mark at the telescope and the behaviour at a honeypot within a day. The mark is the fingerprint; for a family without
one, its ports. How much evidence there is, k * log2(n / n_f) bits for k such addresses, of n that were seen on both
sides within a day, n_f of them with the mark, is kept beside it: it tells how hard a link is, not whether it counts.
"""

from __future__ import annotations

import io
import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from .catalogue import EXPLOITS

DAY: Final = 86400.0
LEAST: Final = 3
USUAL_PORTS: Final = frozenset((21, 22, 23, 80, 443, 445, 2323, 3389, 8080))


@dataclass(frozen=True)
class Shown:
    """Honeypot side: (time s, source, kind, value) rows; ``values`` are (kind, value)."""

    at: np.ndarray
    src: np.ndarray
    value: np.ndarray  # place in values
    values: list[tuple[str, str]]


@dataclass(frozen=True)
class Darknet:
    """Telescope side: rows in order of time (s since 1970)."""

    at: np.ndarray
    src: np.ndarray
    port: np.ndarray
    mark: np.ndarray  # place in marks
    marks: list[str]


class Evidence:
    """The files of a scenario and its truth, read once. Raises OSError."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        truth = folder / "truth"
        self.families: list[dict[str, Any]] = json.loads((truth / "families.json").read_text())
        said = truth / "scenario.json"
        self.parameters: dict[str, Any] = json.loads(said.read_text()) if said.exists() else {}
        self.darknet = _darknet(folder)
        self.shown = _shown(folder, self.families)
        self.reports = {r["id"]: r for r in reports(folder)}
        self._first: dict[int, float] = {}
        self.linkable = self._linkable()

    @property
    def offset(self) -> float:
        """Seconds to take from the honeypots' times."""
        shift = -200 * DAY if self.parameters.get("null") == "shift" else 0.0
        return float(self.parameters.get("clock_offset", 0.0)) + shift

    def mark_rows(self, family: dict[str, Any]) -> np.ndarray:
        """Which rows of the darknet show a family's mark (bool)."""
        d = self.darknet
        if family["fingerprint"]:
            return np.asarray(d.mark == d.marks.index(family["fingerprint"]) if family["fingerprint"] in d.marks
                              else np.zeros(len(d.at), bool))  # fmt: skip
        none = d.mark == d.marks.index("")
        inside = np.isin(d.port, family["ports"])
        # A source that asks for other ports as well shows another set of ports.
        stray = np.unique(d.src[none & ~inside])
        return np.asarray(none & inside & ~np.isin(d.src, stray))

    def _linkable(self) -> dict[tuple[int, str, str], float]:
        """(family, kind, value) -> bits, of what can be linked."""
        d, s = self.darknet, self.shown
        everywhere = _near(d.at, d.src, s.at - self.offset, s.src)
        n = len(np.unique(s.src[everywhere]))
        found: dict[tuple[int, str, str], float] = {}
        for number, family in enumerate(self.families):
            rows = self.mark_rows(family)
            near = _near(d.at[rows], d.src[rows], s.at - self.offset, s.src)
            with_mark = len(np.unique(s.src[near]))
            if not with_mark:
                continue
            for kind, value in self.values(family):
                if (kind, value) not in s.values:
                    continue
                both = np.unique(s.src[near & (s.value == s.values.index((kind, value)))])
                bits = len(both) * math.log2(n / with_mark) if n > with_mark else 0.0
                if len(np.unique(both >> 8)) >= LEAST:
                    found[number, kind, value] = bits
        return found

    @staticmethod
    def values(family: dict[str, Any]) -> list[tuple[str, str]]:
        """(kind, value) of the behaviours by which a family is linked."""
        return [("token", family["token"]), *(("exploit", cve) for cve in family["cve"])]

    def linkable_devices(self) -> set[tuple[int, str, str, str]]:
        """(family, class, vendor, product): its exploit is linkable, or a linkable report names the product."""
        found = set()
        named = {(number, report) for number, report in self.linkable_reports()}
        for number, family in enumerate(self.families):
            for kind, vendor, product in family["device"]:
                exploited = any((number, "exploit", cve) in self.linkable for cve in family["cve"])
                told = any(i == number and product in self.reports[r]["text"] for i, r in named)
                if exploited or told:
                    found.add((number, kind, vendor, product))
        return found

    def linkable_reports(self) -> set[tuple[int, str]]:
        """(family, report): the report mentions something of its own that the data links with the family's mark."""
        found = set()
        for number, family in enumerate(self.families):
            for name in family["reports"]:
                if name in self.reports and self._mentions(number, family, self.reports[name]):
                    found.add((number, name))
        return found

    def _mentions(self, number: int, family: dict[str, Any], report: dict[str, Any]) -> bool:
        others = [f for i, f in enumerate(self.families) if i != number]
        text = report["text"]
        for cve in family["cve"]:
            if (
                cve in text
                and (number, "exploit", cve) in self.linkable
                and not any(cve in f["cve"] for f in others)
            ):
                return True
        if report["at"] + DAY <= self.first(number):
            return False  # what was written before there was anything to see says vulnerability and device at most
        linked = any(key[0] == number for key in self.linkable)
        token = family["token"]
        shared = any(f["token"] == token for f in others)
        if token in text and (number, "token", token) in self.linkable and not shared:
            return True
        plain = refanged(text)
        own = [*family["sha256"], *family["loaders"]]
        if (
            linked
            and any(item in plain for item in own)
            and not any(set(own) & set(f["sha256"]) for f in others)
        ):
            return True
        ports = set(family["ports"])
        same = any(set(f["ports"]) == ports for f in others)
        said = all(_says_port(text, port) for port in ports)
        return len(ports) >= 2 and bool(ports - USUAL_PORTS) and said and not same

    def first(self, number: int) -> float:
        """When a family's own devices were first seen with its mark (s since 1970); infinity if never."""
        if number not in self._first:
            family = self.families[number]
            said = family.get("first_darknet")
            self._first[number] = seconds(said) if said else self._first_seen(family)
        return self._first[number]

    def _first_seen(self, family: dict[str, Any]) -> float:
        ill: dict[int, list[tuple[float, float]]] = {}
        for row in table(self.folder, "infections").to_pylist():
            if row["family"] == family["family"]:
                case = seconds(row["infected_from"]), seconds(row["infected_to"])
                ill.setdefault(row["device"], []).append(case)
        rows = np.flatnonzero(self.mark_rows(family) & np.isin(self.darknet.port, family["ports"]))
        rows = rows[np.argsort(self.darknet.src[rows], kind="stable")]
        src, at = self.darknet.src[rows], self.darknet.at[rows]
        best = math.inf
        for row in table(self.folder, "addresses").to_pylist():
            for begin, end in ill.get(row["device"], ()):
                low, high = max(begin, seconds(row["from"])), min(end, seconds(row["to"]))
                if low < min(high, best):
                    address = _address(row["ip"])
                    mine = at[np.searchsorted(src, address) : np.searchsorted(src, address, "right")]
                    inside = mine[(mine >= low) & (mine <= high)]
                    best = min(best, float(inside.min())) if len(inside) else best
        return best


def _near(at_a: np.ndarray, src_a: np.ndarray, at_b: np.ndarray, src_b: np.ndarray) -> np.ndarray:
    """Which rows of b have a row of a with the same source within a day of them (bool)."""
    if not len(at_a) or not len(at_b):
        return np.zeros(len(at_b), bool)
    base = min(at_a.min(), at_b.min())
    span = max(at_a.max(), at_b.max()) - base + 3 * DAY
    keys = np.sort(src_a.astype(np.float64) * span + (at_a - base))
    wanted = src_b.astype(np.float64) * span + (at_b - base)
    return np.asarray(
        np.searchsorted(keys, wanted + DAY, "right") > np.searchsorted(keys, wanted - DAY, "left")
    )


def _darknet(folder: Path) -> Darknet:
    table = pq.read_table(folder / "darknet_sources.parquet")
    coded = table["src"].combine_chunks().dictionary_encode()
    numbers = np.array([int(IPv4Address(text)) for text in coded.dictionary.to_pylist()], np.int64)
    named = table["fingerprint"].combine_chunks().fill_null("").dictionary_encode()
    marks = named.dictionary.to_pylist()
    return Darknet(
        table["ts"].to_numpy(), numbers[coded.indices.to_numpy()], table["dst_port"].to_numpy(),
        named.indices.to_numpy(), marks if "" in marks else [*marks, ""],
    )  # fmt: skip


def _shown(folder: Path, families: list[dict[str, Any]]) -> Shown:
    tokens = sorted({f["token"] for f in families})
    rows: list[tuple[float, int, str, str]] = []
    for event in lines(folder, "cowrie.json"):
        typed = event.get("input")
        if typed and "busybox " in typed:
            words = typed.replace(";", " ").split()
            rows += [
                (seconds(event["timestamp"]), _address(event["src_ip"]), "token", t)
                for t in tokens
                if t in words
            ]
    for event in lines(folder, "adbhoney.json"):
        words = event.get("input", "").replace(";", " ").split()
        rows += [
            (seconds(event["timestamp"]), _address(event["src_ip"]), "token", t) for t in tokens if t in words
        ]
    for event in lines(folder, "tanner_report.json"):
        for exploit in EXPLOITS:
            if event["path"].startswith(exploit.path.split("{")[0]):
                rows.append(
                    (seconds(event["timestamp"]), _address(event["peer"]["ip"]), "exploit", exploit.cve)
                )
                break
    values = sorted({(kind, value) for _, _, kind, value in rows})
    place = {pair: i for i, pair in enumerate(values)}
    return Shown(
        np.array([r[0] for r in rows]), np.array([r[1] for r in rows], np.int64),
        np.array([place[r[2], r[3]] for r in rows], np.int64), values,
    )  # fmt: skip


def opened(folder: Path, name: str) -> io.TextIOBase | None:
    """A text file of the scenario, plain or compressed with zstandard; None if there is none."""
    path, packed = folder / name, folder / f"{name}.zst"
    if path.exists():
        return path.open(encoding="utf-8")
    if packed.exists():
        import zstandard

        reader = zstandard.ZstdDecompressor(max_window_size=1 << 27).stream_reader(
            packed.open("rb"), closefd=True
        )
        return io.TextIOWrapper(reader, encoding="utf-8")
    return None


def lines(folder: Path, name: str) -> Iterator[dict[str, Any]]:
    """JSON objects of a file of the scenario; none if there is no such file."""
    file = opened(folder, name)
    if file is not None:
        with file:
            for line in file:
                yield json.loads(line)


def reports(folder: Path) -> Iterator[dict[str, Any]]:
    """Reports of the scenario: id, text (title included), at (s since 1970)."""
    for report in lines(folder, "reports.jsonl"):
        text = f"{report['title']}\n{report['text']}"
        yield {"id": report["id"], "text": text, "at": seconds(f"{report['date']}T00:00:00Z")}
    for path in sorted((*folder.glob("[RD][0-9]*.html"), *folder.glob("[RD][0-9]*.md"))):
        text = path.read_text(encoding="utf-8")
        mark = 'content="' if path.suffix == ".html" else "Published: "
        date = text.split(mark, 1)[1][:10]
        yield {"id": path.stem, "text": text, "at": seconds(f"{date}T00:00:00Z")}


def _says_port(text: str, port: int) -> bool:
    at = text.find(str(port))
    while at >= 0:
        before, after = text[at - 1 : at], text[at + len(str(port)) : at + len(str(port)) + 1]
        if not before.isdigit() and not after.isdigit():
            return True
        at = text.find(str(port), at + 1)
    return False


def refanged(text: str) -> str:
    """Defanged indicators as they are used."""
    for mark in ("[.]", "(.)"):
        text = text.replace(mark, ".")
    return text.replace("[:]", ":").replace("hxxp", "http")


def seconds(text: str) -> float:
    """ISO 8601 in UTC as seconds since 1970."""
    return datetime.fromisoformat(text).astimezone(UTC).timestamp()


def _address(text: str) -> int:
    a, b, c, d = text.split(".")
    return int(a) << 24 | int(b) << 16 | int(c) << 8 | int(d)


def table(folder: Path, name: str) -> pa.Table:
    """A table of the truth."""
    return pq.read_table(folder / "truth" / f"{name}.parquet")
