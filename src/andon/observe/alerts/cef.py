"""Alerts in CEF or LEEF, bare or behind the heading of a syslog message.

``host``: where both ends of a connection are told it is our side, by its name if that is given (``shost``,
``dhost``), and the device that reports is but a witness; otherwise it is the machine that the line names (``dhost``,
``dvchost``, else the host in the heading). Times without a year, as RFC 3164 has them, are put into the year that
brings them nearest before ``reference``: the time of the file's last change, or the clock for what comes live. Times
without an offset are taken as UTC.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa

from andon.observe.alerts.cef_scan import (
    FIRST_KEY,
    PRODUCT,
    RULE,
    SEVERITY,
    TITLE,
    VENDOR,
    WHEN,
    WHO,
    cut,
    table,
    times,
)
from andon.observe.alerts.columns import (
    LONGEST_COMMAND,
    Inside,
    alerts,
    either,
    is_filled,
    line_ends,
    rewritten,
)
from andon.observe.alerts.shape import settled, tidy
from andon.observe.alerts.wazuh import strongest
from andon.observe.jsonlines.kernel import ABSENT, TEXT
from andon.observe.logs import encode
from andon.observe.logs.clock import NO_TIME, plan
from andon.observe.logs.contacts import NO_TIME_HERE, Cut
from andon.observe.logs.heads import first_lines
from andon.observe.logs.options import Options
from andon.observe.logs.reading import Shape, TextLines
from andon.observe.logs.scan import BACKSLASH, GOOD
from andon.records.alert import LONGEST_RAW
from andon.records.contact import LONGEST_URL
from andon.records.kinds import ALERT as ALERT_KIND

if TYPE_CHECKING:
    from andon.observe.logs import Lines

_MARK: Final = re.compile(
    rb"(?:^|[^A-Za-z0-9_.-])(?:CEF:\d+\|(?:[^|]*\|){5}|LEEF:[12](?:\.\d)?\|(?:[^|]*\|){4})"
)
# Keys of CEF and LEEF by what they mean; the first that a line has counts.
KEYS: Final[Mapping[str, tuple[str, ...]]] = {
    "time": ("start", "devTime", "end", "rt", "deviceReceiptTime"),
    "src": ("src", "c6a2", "sourceAddress"),
    "dst": ("dst", "c6a3", "destinationAddress"),
    "src_port": ("spt", "srcPort", "sourcePort"),
    "dst_port": ("dpt", "dstPort", "destinationPort"),
    "protocol": ("proto", "transportProtocol"),
    "src_host": ("shost", "sourceHostName"),
    "dst_host": ("dhost", "destinationHostName", "identHostName"),
    "host": ("dvchost", "deviceHostName", "resource"),
    "address": ("dvc", "identSrc", "deviceAddress"),
    "user": ("duser", "suser", "usrName", "accountName", "destinationUserName", "sourceUserName"),
    "category": ("cat", "deviceEventCategory"),
    "severity": ("sev",),
    "action": ("act", "deviceAction", "action", "outcome"),
    "count": ("cnt", "baseEventCount"),
    "uid": ("externalId", "eventId"),
    "name": ("request", "requestUrl", "url", "destinationDnsDomain", "domain"),
    "path": ("filePath", "fname", "fileName", "dproc", "sproc", "deviceProcessName"),
    "digest": ("fileHash", "sha256", "sha1", "md5Hash", "md5", "hash"),
    "command": ("processCommandLine", "commandLine", "cmdLine"),
    "attack": ("techniqueId", "attackTechnique", "mitreTechniqueId", "mitreTechnique", "threatAttackID"),
    "cve": ("cve", "cveId"),
    "title": ("eventName", "name", "eventDesc"),
    "site": ("customer", "tenant", "customerName"),
}
_ORDER: Final = [key for keys in KEYS.values() for key in keys]
_PLACE: Final = {key: FIRST_KEY + n for n, key in enumerate(_ORDER)}
_SLOTS: Final = FIRST_KEY + len(_ORDER) + 1
_LEEF: Final = _SLOTS - 1
_LONG: Final = {"path": LONGEST_URL, "command": LONGEST_COMMAND, "uid": 512}
_PLANS: Final = (
    "epoch", "iso", "%b %d %Y %H:%M:%S%f", "%b %d %Y %H:%M:%S%f %Z", "%Y/%m/%d %H:%M:%S%f", "%d %b %Y %H:%M:%S%f",
    "%d/%b/%Y:%H:%M:%S %z", "%a %b %d %H:%M:%S %Z %Y",
)  # fmt: skip
_MONTHS: Final = np.frombuffer(b"janfebmaraprmayjunjulaugsepoctnovdec", np.uint8)


def recognise(head: bytes, name: str) -> bool:
    """One in ten of the first lines carries CEF or LEEF, and none is a document."""
    if head[:4] == b"PAR1" or head.lstrip()[:1] in (b"{", b"["):
        return False
    some = first_lines(head.removeprefix(b"\xef\xbb\xbf"), 50)
    found = sum(1 for line in some if _MARK.search(line[:4096]))
    return found > 0 and 10 * found >= len(some)


def lines(head: bytes, options: Options, state: Mapping[str, Any] | None) -> Lines:
    """See ``observe.alerts``."""
    return Carried(options, state)


class Carried(TextLines):
    """``reference``: ns near which times without a year lie; set by whoever knows."""

    source = "cef"
    kinds: tuple[str, ...] = (ALERT_KIND,)

    def __init__(self, options: Options, state: Mapping[str, Any] | None = None) -> None:
        super().__init__(state)
        self.reference = int((state or {}).get("reference", 0)) or 4_102_444_800_000_000_000
        self._own = Inside(options.inside)
        self._written = np.full(_SLOTS, BACKSLASH, np.uint8)
        self._hashes, self._keys = table(list(_PLACE.items()))
        rows = [plan(form) for form in _PLANS]
        self._plans = np.zeros((len(rows), max(map(len, rows)), 2), np.int64)
        for number, row in enumerate(rows):
            self._plans[number, : len(row)] = row
        self._sizes = np.array([len(row) for row in rows])
        self._order = np.array([*(_PLACE[key] for key in KEYS["time"]), WHEN])

    def state(self) -> dict[str, Any]:
        return {**super().state(), "reference": self.reference}

    def _shape(self) -> Shape:
        return self

    def _cut(
        self, data: np.ndarray, lines: np.ndarray, stops: np.ndarray, states: np.ndarray,
        begins: np.ndarray, ends: np.ndarray, kinds: np.ndarray,
    ) -> None:  # fmt: skip
        cut(data, lines, stops, states, self._hashes, self._keys, begins, ends, kinds)

    def batch(
        self, data: np.ndarray, lines: np.ndarray, stops: np.ndarray, states: np.ndarray, cut: Cut
    ) -> tuple[str, pa.RecordBatch] | None:
        """See ``logs.reading.Shape``."""
        rows, shape = len(states), (len(states), _SLOTS)
        first = self.line - rows - 1  # they are counted already
        finish = line_ends(data, lines.astype(np.int64), LONGEST_RAW)
        original = encode.texts((data, lines, finish, np.full(rows, TEXT, np.uint8)), LONGEST_RAW)
        begins, ends, kinds = np.empty(shape, np.int32), np.empty(shape, np.int32), np.zeros(shape, np.uint8)
        cut(data, lines, stops, states, begins, ends, kinds)
        tidy(data, begins, ends, kinds, states, self._written)
        ts = times(data, begins, ends, kinds, self._order, self._plans, self._sizes, _MONTHS, self.reference)
        states[(states == GOOD) & (ts == NO_TIME)] = NO_TIME_HERE
        good = np.flatnonzero(states == GOOD)
        if not len(good):
            return None
        begins, ends, kinds = begins[good], ends[good], kinds[good]
        columns = self._columns(data, begins, ends, kinds)
        columns["ts"] = ts[good]
        columns["raw"] = original.take(pa.array(good))
        return alerts(len(good), "cef", columns, self._own, first + good)

    def _columns(
        self, data: np.ndarray, begins: np.ndarray, ends: np.ndarray, kinds: np.ndarray
    ) -> dict[str, Any]:
        rows = len(begins)

        def places(slot: int) -> encode.Places:
            return data, begins[:, slot], ends[:, slot], kinds[:, slot]

        def word(slot: int) -> Any:
            return encode.words(places(slot)) if kinds[:, slot].any() else encode.constant("", rows)

        columns: dict[str, Any] = {}
        there = np.asarray(kinds.any(axis=0))
        for name, keys in KEYS.items():
            if name == "time":
                continue
            found = None
            for key in keys:
                if there[_PLACE[key]]:
                    one = places(_PLACE[key])
                    found = one if found is None else encode.either(found, one)
            if found is not None:
                columns[name] = encode.texts(found, _LONG[name]) if name in _LONG else encode.words(found)
        leef = kinds[:, _LEEF] != ABSENT
        columns["product"] = _product(word(VENDOR), word(PRODUCT))
        columns["rule"] = word(RULE)
        columns["title"] = either(word(TITLE), columns["title"]) if "title" in columns else word(TITLE)
        columns["severity"] = (
            either(word(SEVERITY), columns["severity"]) if "severity" in columns else word(SEVERITY)
        )
        columns["source"] = encode.one_of(["cef", "leef"], leef)
        if "cve" not in columns:
            columns["cve"] = columns["title"]
        if "digest" in columns:
            columns["digest"] = rewritten(columns["digest"], strongest)
        self._host(columns, word(WHO), rows)
        settled(columns)
        return columns

    def _host(self, columns: dict[str, Any], who: Any, rows: int) -> None:
        """The machine it is about, where the ends of a connection do not tell."""
        nothing = encode.constant("", rows)
        src, dst = columns.get("src", nothing), columns.get("dst", nothing)
        alone = ~(is_filled(src) & is_filled(dst))
        device = either(columns.get("host", nothing), who)
        device = either(columns.get("dst_host", nothing), either(columns.get("src_host", nothing), device))
        from andon.observe.alerts.columns import chosen

        columns["host"] = chosen(alone, device, nothing)
        columns["address"] = chosen(alone, columns.get("address", nothing), nothing)
        columns["src_host"] = columns.get("src_host", nothing)
        columns["dst_host"] = columns.get("dst_host", nothing)


def _product(vendor: Any, product: Any) -> Any:
    """Vendor and product, the vendor once."""
    import pyarrow.compute as pc

    both = pc.binary_join_element_wise(vendor.cast(pa.string()), product.cast(pa.string()), "\x1f")
    return rewritten(both.dictionary_encode(), _joined)


def _joined(both: str) -> str:
    """
    >>> _joined("Example\\x1fExample EDR"), _joined("Acme\\x1fIPS")
    ('Example EDR', 'Acme IPS')
    """
    vendor, _, product = both.partition("\x1f")
    return product if product.lower().startswith(vendor.lower()) else f"{vendor} {product}".strip()
