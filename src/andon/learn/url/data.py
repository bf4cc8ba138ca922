"""Labelled URLs as columns: read, cleaned, without duplicates, with a fold that keeps registered domains together.

What leaks is taken away before anything is learnt (docs/urls.md, "Leakage"): the scheme, ``www.``, ports and slashes
at the end tell who collected a list; URLs that are equal then are one; a registered domain (private suffixes
included, so that a site on a hosting platform is a domain of its own) is wholly in one fold; of one domain at most
``CAP`` URLs count."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Final, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from andon.records.domains import registered_domains
from andon.sketch.texts import text_keys

FOLDS: Final = 5
CAP: Final = 50
_PARTS: Final = r"^(?:[A-Za-z][A-Za-z0-9+.-]*://)?(?:[^/?#@]*@)?(?P<host>\[[^\]]*\]|[^/?#:]*)(?::[0-9]*)?(?P<path>[/?][^#]*)?"


def split_urls(urls: pa.Array) -> tuple[pa.Array, pa.Array]:
    """(hosts in lower case, paths and queries from "/" on) of URLs with or without a scheme; "" where there is none.

    >>> hosts, paths = split_urls(pa.array(["https://User@A.example:8080/x?y#z", "b.example"]))
    >>> hosts.to_pylist(), paths.to_pylist()
    (['a.example', 'b.example'], ['/x?y', ''])
    """
    found = pc.extract_regex(pc.utf8_trim_whitespace(urls.fill_null("")), pattern=_PARTS)
    hosts = pc.ascii_lower(pc.utf8_trim(pc.struct_field(found, "host"), characters="[]."))
    return hosts.fill_null(""), pc.struct_field(found, "path").fill_null("")


@dataclass(frozen=True)
class Urls:
    """Columns of one length. ``label`` int8 (1 = phishing), ``day``: days since 1970, -1 where only a year or nothing
    is known; ``fold``: 0 to 4; ``weight``: how much one counts in training."""

    host: pa.Array
    path: pa.Array
    domain: pa.Array
    source: np.ndarray
    label: np.ndarray
    day: np.ndarray
    fold: np.ndarray

    def __len__(self) -> int:
        return len(self.label)

    def take(self, rows: np.ndarray) -> Self:
        """Rows by number or by a mask."""
        rows = np.flatnonzero(rows) if rows.dtype == np.bool_ else rows
        at = pa.array(rows)
        held = {each.name: getattr(self, each.name) for each in fields(self)}
        return type(self)(
            **{name: one.take(at) if isinstance(one, pa.Array) else one[rows] for name, one in held.items()}
        )

    @property
    def bare(self) -> np.ndarray:
        """Nothing but a host."""
        trimmed = pc.utf8_rtrim(self.path, characters="/")
        return np.asarray(pc.equal(trimmed, "").to_numpy(zero_copy_only=False))

    @property
    def platform(self) -> pa.Array:
        """The registered domain without its first label: a hosting platform, or a common suffix."""
        return pc.replace_substring_regex(
            self.domain, pattern=r"^[^.]*\.", replacement="", max_replacements=1
        )


def read(paths: Sequence[Path]) -> Urls:
    """Labelled URLs of Parquet or CSV files with columns url and label, and source and date if they are there. Raises
    OSError, ValueError."""
    tables = [_table(path) for path in paths]
    return make(
        *(
            pa.concat_arrays([chunk for table in tables for chunk in table[name].chunks])
            for name in ("url", "label", "source", "date")
        )
    )


def _table(path: Path) -> pa.Table:
    import pyarrow.csv
    import pyarrow.parquet

    try:
        if path.suffix == ".parquet":
            table = pyarrow.parquet.read_table(path)
        else:
            table = pyarrow.csv.read_csv(
                path, convert_options=pyarrow.csv.ConvertOptions(column_types={"date": pa.string()})
            )
    except pa.ArrowInvalid as error:
        raise ValueError(f"{path}: {error}") from error
    for name in ("url", "label"):
        if name not in table.column_names:
            raise ValueError(
                f"{path}: labelled URLs have columns url and label; this has {table.column_names}"
            )
    given = {
        "url": table["url"].cast(pa.string()),
        "label": table["label"].cast(pa.int8()),
        "source": table["source"].cast(pa.string()) if "source" in table.column_names else None,
        "date": table["date"].cast(pa.string()) if "date" in table.column_names else None,
    }
    blank = {"source": path.stem, "date": ""}
    columns = {
        name: pa.chunked_array([pa.array([blank[name]] * len(table), pa.string())])
        if column is None
        else column
        for name, column in given.items()
    }
    made = pa.table(columns)
    if made["label"].null_count or not set(pc.unique(made["label"]).to_pylist()) <= {0, 1}:
        raise ValueError(f"{path}: a label is 1 (phishing) or 0 (harmless)")
    return made


def make(url: pa.Array, label: pa.Array, source: pa.Array, date: pa.Array) -> Urls:
    """Columns of URLs, those without a host and duplicates left out (the first of equal ones stays)."""
    host, path = split_urls(url)
    domain = registered_domains(host)
    folds = {
        name: zlib.crc32(b"fold " + name.encode("utf-8", "replace")) % FOLDS
        for name in pc.unique(domain).to_pylist()
    }
    every = Urls(
        host,
        path,
        domain,
        np.array(source.fill_null("").to_pylist(), dtype=object),
        label.to_numpy(zero_copy_only=False).astype(np.int8),
        _days(date),
        np.array([folds[name] for name in domain.to_pylist()], np.int8),
    )
    same = text_keys(pc.binary_join_element_wise(host, pc.utf8_rtrim(path, characters="/"), ""))
    _, first = np.unique(same, return_index=True)
    rows = np.sort(first)
    named = pc.greater(pc.utf8_length(host), 0).to_numpy(zero_copy_only=False)
    return every.take(rows[named[rows]])


def _days(dates: pa.Array) -> np.ndarray:
    """Days since 1970 of "2025-03-01"; -1 for anything else."""
    dates = dates.fill_null("")
    whole = pc.match_substring_regex(dates, r"^\d{4}-\d{2}-\d{2}$")
    read = pc.strptime(pc.if_else(whole, dates, None), format="%Y-%m-%d", unit="s", error_is_null=True)
    return np.asarray(read.cast(pa.date32()).cast(pa.int32()).fill_null(-1).to_numpy(zero_copy_only=False))


def capped(urls: Urls, most: int = CAP) -> np.ndarray:
    """Mask: at most ``most`` URLs of a registered domain and label, chosen by a hash."""
    keys = text_keys(urls.domain) ^ (urls.label.astype(np.uint64) << np.uint64(62))
    by = text_keys(pc.binary_join_element_wise(urls.host, urls.path, ""), salt=7)
    order = np.lexsort((by, keys))
    ranked = keys[order]
    begins = np.flatnonzero(np.r_[True, ranked[1:] != ranked[:-1]])
    place = np.arange(len(order)) - np.repeat(begins, np.diff(np.r_[begins, len(order)]))
    kept = np.zeros(len(order), np.bool_)
    kept[order[place < most]] = True
    return kept
