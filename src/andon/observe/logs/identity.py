"""Who a terminal is: the user where the log names one, else the device that had the address, else the address.

``Options.terminal`` "address" leaves users aside (shared accounts). ``Options.leases`` (``records.asset``: DHCP leases,
asset lists) says which device had an address when: its host name, else its number in the list, else its MAC; of several
that hold for a time the one that began last. Ranges and prefixes name no device and are not used.

With ``Options.key`` users, devices and addresses are replaced by pseudonyms (``pseudonyms``) in the columns that
say who asked: ``terminal``, ``address`` and ``user`` of contacts; of flows ``terminal``, and ``src`` and ``dst``
where they lie inside (``Options.inside``; else private and link-local addresses, IPv4 and IPv6); of alerts ``host``,
``address``, ``user``, and ``src`` and ``dst`` inside, and the original is not kept. What stands in
paths, referers and host names is not looked at: a URL that carries somebody's name still carries it.

Everything is done on the words of a column's dictionary, once a batch.
"""

from __future__ import annotations

from ipaddress import ip_address, ip_network
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numba import njit

from andon.observe.logs.options import Options
from andon.observe.logs.pseudonyms import ADDRESS, HOST, USER, Pseudonyms
from andon.records.alert import ALERT as ALERT_SCHEMA
from andon.records.columns import column
from andon.records.inside import PRIVATE
from andon.records.kinds import ALERT, CONTACT, FLOW, marked

_FOREVER: Final = np.iinfo(np.int64).max
_BACK: Final = 64  # leases of one address that are looked at for one row


class Identity:
    """Sets ``terminal`` of records as the options say."""

    def __init__(self, options: Options) -> None:
        self.options = options
        self._leases = None if options.leases is None else Leases(options.leases)
        self._names = None if options.key is None else Pseudonyms(options.key)
        inside = getattr(options, "inside", ()) or PRIVATE
        self._inside = tuple(ip_network(prefix, strict=False) for prefix in inside)
        self._is_inside: dict[str, bool] = {}

    def apply(self, kind: str, batch: pa.RecordBatch) -> pa.RecordBatch:
        """Records of a kind with ``terminal`` set, under pseudonyms if there is a key. Other kinds stay as they are."""
        if kind == CONTACT:
            return self._contacts(batch)
        if kind == ALERT:
            return self._alerts(batch)
        return self._flows(batch) if kind == FLOW else batch

    def _contacts(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        user, address = batch.column("user"), batch.column("address")
        if self._names is not None:
            user, hidden = self._hidden(user, USER), self._hidden(address, ADDRESS)
        else:
            hidden = address
        who, codes = self._devices(address, hidden, column(batch, "ts"))
        if self.options.terminal != "address":
            nobody = np.asarray(pc.is_in(user.dictionary, pa.array(["", "-"])), bool)
            named = user.indices.to_numpy(zero_copy_only=False)
            codes = np.where(nobody[named], codes, named + len(who)) if len(nobody) else codes
            who = pa.concat_arrays([who, user.dictionary])
        return _with(batch, CONTACT, {"terminal": _distinct(who, codes), "address": hidden, "user": user})

    def _flows(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        src, dst = batch.column("src"), batch.column("dst")
        hidden = src
        if self._names is not None:
            hidden, dst = self._hidden(src, ADDRESS, inside=True), self._hidden(dst, ADDRESS, inside=True)
        who, codes = self._devices(src, hidden, column(batch, "ts"))
        return _with(batch, FLOW, {"terminal": _distinct(who, codes), "src": hidden, "dst": dst})

    def _alerts(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """``host`` is the name of the device that had the address then, where the alert names none itself."""
        host, address = batch.column("host"), batch.column("address")
        unnamed = np.asarray(pc.equal(host.cast(pa.string()), address.cast(pa.string())), bool)
        if self._names is None and self._leases is None:
            return batch
        changed: dict[str, pa.Array] = {}
        shown = address
        if self._names is not None:
            shown = self._hidden(address, ADDRESS, inside=True)
            host = self._hidden(host, HOST)
            changed = {
                "address": shown,
                "user": self._hidden(batch.column("user"), USER),
                "src": self._hidden(batch.column("src"), ADDRESS, inside=True),
                "dst": self._hidden(batch.column("dst"), ADDRESS, inside=True),
                "raw": pa.array([""] * batch.num_rows, pa.string()),
            }
        who, codes = self._devices(address, shown, column(batch, "ts"))
        words = pa.concat_arrays([who, host.dictionary])
        named = host.indices.to_numpy(zero_copy_only=False) + len(who)
        changed["host"] = _distinct(words, np.where(unnamed, codes, named))
        arrays = [changed.get(name, batch.column(name)) for name in ALERT_SCHEMA.names]
        return marked(pa.RecordBatch.from_arrays(arrays, schema=batch.schema), ALERT)

    def _devices(self, address: pa.Array, shown: pa.Array, ts: np.ndarray) -> tuple[pa.Array, np.ndarray]:
        """(names, number of each row's): the device of an address at a time, else the address as it is shown."""
        codes = shown.indices.to_numpy(zero_copy_only=False).astype(np.int64)
        if self._leases is None:
            return shown.dictionary, codes
        device = self._leases.find(address, ts)
        names = self._leases.names
        if self._names is not None:
            names = pa.array(self._names.all_of(HOST, names.to_pylist()), pa.string())
        words = pa.concat_arrays([shown.dictionary, names])
        return words, np.where(device >= 0, device + len(shown.dictionary), codes)

    def _hidden(self, array: pa.Array, kind: str, inside: bool = False) -> pa.Array:
        """A dictionary column with pseudonyms as its words."""
        assert self._names is not None
        words = [
            self._names.of(kind, word) if not inside or self._lies_inside(word) else word
            for word in array.dictionary.to_pylist()
        ]
        return pa.DictionaryArray.from_arrays(array.indices, pa.array(words, pa.string()))

    def _lies_inside(self, word: str) -> bool:
        known = self._is_inside.get(word)
        if known is None:
            if len(self._is_inside) >= 1 << 20:
                self._is_inside.clear()
            try:
                address = ip_address(word)
                known = any(
                    address in network for network in self._inside if network.version == address.version
                )
            except ValueError:
                known = True  # whatever it is, it is not shown
            self._is_inside[word] = known
        return known


def _distinct(words: pa.Array, codes: np.ndarray) -> pa.Array:
    """A dictionary array of words that may repeat and codes into them; unused words are left out."""
    used = np.zeros(len(words), np.bool_)
    used[codes] = True
    whole = words.filter(pa.array(used)).dictionary_encode()
    number = np.full(len(words), -1, np.int64)
    number[used] = np.asarray(whole.indices)
    return pa.DictionaryArray.from_arrays(pa.array(number[codes].astype(np.int32)), whole.dictionary)


def _with(batch: pa.RecordBatch, kind: str, columns: dict[str, pa.Array]) -> pa.RecordBatch:
    arrays = [columns.get(field.name, batch.column(n)) for n, field in enumerate(batch.schema)]
    made = pa.RecordBatch.from_arrays(arrays, schema=batch.schema)
    return marked(made, kind)


@njit(cache=True, nogil=True)
def _held(
    address: np.ndarray,
    ts: np.ndarray,
    begins: np.ndarray,
    since: np.ndarray,
    until: np.ndarray,
    device: np.ndarray,
    back: int,
    out: np.ndarray,
) -> None:
    for i in range(ts.shape[0]):
        out[i] = -1
        if address[i] < 0:
            continue
        low, high = begins[address[i]], begins[address[i] + 1]
        first = low
        while low < high:  # the first that began after ts
            middle = (low + high) // 2
            if since[middle] <= ts[i]:
                low = middle + 1
            else:
                high = middle
        for at in range(low - 1, max(first, low - back) - 1, -1):
            if ts[i] < until[at]:
                out[i] = device[at]
                break


class Leases:
    """Which device had an address when, of ``records.asset.ASSET``. ``names``: of the devices."""

    def __init__(self, assets: pa.Table) -> None:
        rows: dict[str, list[tuple[int, int, str]]] = {}
        columns: dict[str, Any] = {
            name: assets[name].to_pylist()
            for name in ("address", "first", "last", "hostname", "asset", "mac")
        }
        since, until = (
            assets[name].combine_chunks().cast(pa.timestamp("ns", tz="UTC")).view(pa.int64()).to_pylist()
            for name in ("valid_from", "valid_to")
        )
        for n, text in enumerate(columns["address"]):
            name = columns["hostname"][n].lower().rstrip(".") or columns["asset"][n] or columns["mac"][n]
            try:
                address = str(ip_address(text))
            except ValueError:
                continue
            if name:
                begin = -_FOREVER if since[n] is None else since[n]
                rows.setdefault(address, []).append((begin, _FOREVER if until[n] is None else until[n], name))
        self._words = pa.array(list(rows), pa.string())
        names = sorted({name for held in rows.values() for _, _, name in held})
        number = {name: n for n, name in enumerate(names)}
        self.names = pa.array(names, pa.string())
        ordered = [lease for held in rows.values() for lease in sorted(held)]
        self._begins = np.cumsum([0, *(len(held) for held in rows.values())])
        self._since = np.array([lease[0] for lease in ordered], np.int64)
        self._until = np.array([lease[1] for lease in ordered], np.int64)
        self._device = np.array([number[lease[2]] for lease in ordered], np.int64)

    def find(self, address: pa.Array, ts: np.ndarray) -> np.ndarray:
        """int64 device (number in ``names``) of each row of a dictionary column of addresses at its time, -1 if
        none."""
        known = pc.index_in(address.dictionary, self._words).fill_null(-1)
        codes = np.asarray(known).astype(np.int64)[address.indices.to_numpy(zero_copy_only=False)]
        out = np.empty(len(ts), np.int64)
        _held(codes, ts, self._begins, self._since, self._until, self._device, _BACK, out)
        return out
