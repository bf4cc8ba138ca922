"""Data sets of labelled episodes: made once, named by their hash, never changed.

A data set is a folder ``NAME/`` of ``data.parquet`` and ``manifest.json``; its name is the hash of both. Reading one
checks it. The *frozen set* is the evaluation side as it was when it was frozen: later data sets leave it alone, and
models are compared on it for as long as it stands."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from andon.learn.feedback.labels import COUNTS
from andon.learn.feedback.sides import EVALUATION, LEFT_OUT, SHARE, TRAIN, grouped, on_side
from andon.records.triage import AUDIT
from andon.store.durable import make_folder, write_durable

SCHEMA: Final = "andon.dataset/1"
RECENT: Final = 30 * 86_400_000_000_000  # ns
TRUE_GROUPS: Final = 10  # on the side of evaluation, before it can be frozen
LEAST_INCLUSION: Final = 0.01  # weights of evaluation stay below 1 / this

DATA: Final = pa.schema([
    pa.field("id", pa.string(), nullable=False),
    pa.field("site", pa.string(), nullable=False),
    pa.field("host", pa.string(), nullable=False),
    pa.field("signature", pa.string(), nullable=False),
    pa.field("product", pa.string(), nullable=False),
    pa.field("rule", pa.string(), nullable=False),
    pa.field("title", pa.string(), nullable=False),
    pa.field("case", pa.string(), nullable=False),
    pa.field("group", pa.string(), nullable=False),  # what stays together (sides.grouped)
    pa.field("time", pa.timestamp("ns", tz="UTC"), nullable=False),  # first alert of the episode
    pa.field("label", pa.int8(), nullable=False),
    pa.field("weight", pa.float64(), nullable=False),  # in training; 0: kept for provenance
    pa.field("state", pa.string(), nullable=False),  # of the label
    pa.field("inclusion", pa.float64(), nullable=False),  # chance with which it was put before somebody
    pa.field("side", pa.string(), nullable=False),
    pa.field("score", pa.float64(), nullable=False),  # of whatever ranked it when it came
    pa.field("model", pa.string(), nullable=False),  # its digest, or "first-seen"
    pa.field("provenance", pa.string(), nullable=False),
    pa.field("features", pa.list_(pa.float32()), nullable=False),
])  # fmt: skip


class DataSetError(ValueError):
    """A data set is missing, damaged, or not what its name says."""


@dataclass(frozen=True)
class DataSet:
    """``table``: DATA; ``manifest``: JSON values, with ``hash`` once it is stored."""

    table: pa.Table
    manifest: Mapping[str, Any]

    @property
    def hash(self) -> str:
        return str(self.manifest.get("hash", ""))

    @cached_property
    def features(self) -> np.ndarray:
        """float32[rows, features]. Raises DataSetError if rows differ in length."""
        lists = self.table["features"].combine_chunks()
        width = pc.list_value_length(lists).to_numpy(zero_copy_only=False)
        if len(width) and (width != width[0]).any():
            raise DataSetError("episodes of different versions of the features cannot be put together")
        flat = np.asarray(lists.flatten().to_numpy(zero_copy_only=False), np.float32)
        return flat.reshape(len(width), int(width[0]) if len(width) else 0)

    def column(self, name: str) -> np.ndarray:
        """A column as an array; times as int64 ns, texts as objects."""
        column = self.table[name].combine_chunks()
        if pa.types.is_timestamp(column.type):
            return np.asarray(column.cast(pa.int64()).to_numpy(zero_copy_only=False))
        return np.asarray(column.to_numpy(zero_copy_only=False))

    def where(self, mask: np.ndarray) -> DataSet:
        """Some of its rows, not stored."""
        return DataSet(
            self.table.filter(pa.array(mask)), {k: v for k, v in self.manifest.items() if k != "hash"}
        )

    def training(self) -> DataSet:
        """What may be learnt from."""
        return self.where((self.column("side") == TRAIN) & (self.column("weight") > 0))

    def evaluation(self, since: int | None = None) -> DataSet:
        """What models are compared on: labels that count without reservation, from ``since`` (ns) on."""
        mask = (
            (self.column("side") == EVALUATION)
            & (self.column("weight") > 0)
            & (self.column("state") == COUNTS)
        )
        return self.where(mask if since is None else mask & (self.column("time") >= since))

    def importance(self) -> np.ndarray:
        """1 / inclusion: how many episodes each stands for; an audited one speaks for those nobody looked at."""
        return np.asarray(1.0 / np.clip(self.column("inclusion"), LEAST_INCLUSION, 1.0))

    def share(self) -> np.ndarray:
        """Of each row: share of its site's groups that are on the side of evaluation."""
        held = set(self.manifest.get("held_sites", ()))
        drawn = float(self.manifest.get("evaluation_share", 1.0))
        return np.array([1.0 if site in held else drawn for site in self.column("site")], float)

    def true_groups(self) -> int:
        """Distinct groups with a true episode: cases, mostly."""
        return len(set(self.column("group")[self.column("label") == 1]))


def build(
    labels: pa.Table,
    episodes: pa.Table,
    cases: Mapping[str, str],
    before: DataSet | None = None,
    held_sites: Collection[str] = (),
    about: Mapping[str, Any] | None = None,
    share: float = SHARE,
) -> DataSet:
    """A data set of labels (``labels.LABELS``) and their episodes (columns of records.triage.EPISODES).

    ``cases``: episode id -> case id; ``before``: the data set made before this one, whose sides hold; ``about``: more
    for the manifest. Labels without an episode (its time of keeping is over) are taken over from ``before``, else
    counted in the manifest. Raises DataSetError when features differ in number."""
    rows = episodes.select(_TAKEN).append_column("row", pa.array(np.arange(len(episodes))))
    wanted = labels.join(rows, "id", join_type="inner").sort_by("id")
    drawn = pc.fill_null(pc.greater(wanted["audit_probability"], 0.0), False)  # not a number: not drawn
    audited = pc.and_(pc.equal(wanted["tier"], AUDIT), drawn)
    columns = {
        "case": pa.array([cases.get(id, "") for id in wanted["id"].to_pylist()], pa.string()),
        "group": wanted["id"],
        "time": wanted["first"],
        "inclusion": pc.if_else(audited, wanted["audit_probability"], pa.scalar(1.0)),
        "side": pa.array([LEFT_OUT] * len(wanted), pa.string()),
        "features": episodes["features"].take(wanted["row"]).combine_chunks(),
    }
    made = pa.table(
        {name: columns.get(name) if name in columns else wanted[name] for name in DATA.names}
    ).cast(DATA)
    gone = set(labels["id"].to_pylist()) - set(made["id"].to_pylist())
    if before is not None and gone:
        kept = before.table.filter(pc.is_in(before.table["id"], pa.array(sorted(gone), pa.string())))
        width = pc.list_value_length(made["features"])
        if len(made):  # of an earlier version of the features: of no use any more
            kept = kept.filter(pc.equal(pc.list_value_length(kept["features"]), width[0]))
        gone -= set(kept["id"].to_pylist())
        made = pa.concat_tables([made, kept.cast(DATA)]).sort_by("id")
    ids = made["id"].to_pylist()
    groups = grouped(ids, made["case"].to_pylist(), _repeats(made))
    known = {}
    if before is not None:
        known = dict(zip(before.table["id"].to_pylist(), before.table["side"].to_pylist(), strict=True))
    sides = on_side(list(groups), ids, made["site"].to_pylist(), known, held_sites, share)
    for name, values in (("group", groups), ("side", sides)):
        at = DATA.get_field_index(name)
        made = made.set_column(at, DATA.field(at), pa.array(values.tolist(), pa.string()))
    whole = DataSet(made, {})
    return DataSet(made, _manifest(whole, len(gone), before, held_sites, share) | dict(about or {}))


_TAKEN = ["id", "host", "product", "rule", "title", "first", "tier", "audit_probability", "score", "model"]


def _repeats(table: pa.Table) -> list[str]:
    """Equal where site, signature and features are."""
    keys = []
    texts = (table[name].to_pylist() for name in ("site", "signature", "features"))
    for site, signature, values in zip(*texts, strict=True):
        whole = f"{site}\x1f{signature}\x1f".encode("utf-8", "replace") + np.array(values, "<f4").tobytes()
        keys.append(hashlib.blake2b(whole, digest_size=12).hexdigest())
    return keys


def _manifest(
    made: DataSet, gone: int, before: DataSet | None, held_sites: Collection[str], share: float
) -> dict[str, Any]:
    side, label, weight = made.column("side"), made.column("label"), made.column("weight")
    counts = {
        name: {
            "episodes": int(np.count_nonzero(side == name)),
            "counting": int(np.count_nonzero((side == name) & (weight > 0))),
            "true": int(np.count_nonzero((side == name) & (weight > 0) & (label == 1))),
            "groups": len(set(made.column("group")[side == name])),
        }
        for name in (TRAIN, EVALUATION, LEFT_OUT)
    }
    time = made.column("time")
    return {
        "schema": SCHEMA,
        "episodes": len(made.table),
        "features": int(made.features.shape[1]),
        "sides": counts,
        "sites": sorted(set(made.column("site"))),
        "held_sites": sorted(held_sites),
        "evaluation_share": share,
        "from": int(time.min()) if len(time) else 0,
        "to": int(time.max()) if len(time) else 0,
        "labels_without_episode": gone,
        "before": before.hash if before else "",
    }


def keep(made: DataSet, folder: Path) -> DataSet:
    """Store it under ``folder``; the same content twice is the same data set. Raises StoreError."""
    import pyarrow.parquet as pq

    sink = pa.BufferOutputStream()
    pq.write_table(made.table, sink, compression="zstd", version="2.6", store_schema=True)
    data = sink.getvalue()
    manifest = {k: v for k, v in made.manifest.items() if k != "hash"} | {
        "data_sha256": hashlib.sha256(data).hexdigest()
    }
    name = _name(manifest)
    place = folder / name
    if not (place / "manifest.json").exists():
        make_folder(place)
        write_durable(place / "data.parquet", (data,))
        # The manifest comes last: with it the data set is there, and nothing writes to it again.
        write_durable(place / "manifest.json", (_json(manifest | {"hash": name}),))
    return DataSet(made.table, manifest | {"hash": name})


def load(folder: Path, name: str) -> DataSet:
    """The data set of this name. Raises DataSetError if it is not there or was changed."""
    import pyarrow.parquet as pq

    if not name or not name.isalnum():
        raise DataSetError(f"{name!r} is not the name of a data set")
    place = folder / name
    try:
        manifest = json.loads((place / "manifest.json").read_bytes())
        data = (place / "data.parquet").read_bytes()
    except FileNotFoundError as error:
        raise DataSetError(f"there is no data set {name} in {folder}") from error
    except (OSError, ValueError) as error:
        raise DataSetError(f"data set {name} cannot be read: {error}") from error
    own = {k: v for k, v in manifest.items() if k != "hash"} if isinstance(manifest, dict) else {}
    if _name(own) != name or hashlib.sha256(data).hexdigest() != own.get("data_sha256"):
        raise DataSetError(
            f"data set {name} is not what it was when it was made: {place} was changed or is damaged"
        )
    try:
        return DataSet(pq.read_table(pa.BufferReader(data)).cast(DATA), manifest)
    except (pa.ArrowException, ValueError, KeyError) as error:
        raise DataSetError(f"data set {name} cannot be read: {error}") from error


def names(folder: Path) -> list[str]:
    """Data sets that are whole, in no order that means anything."""
    return sorted(each.parent.name for each in folder.glob("*/manifest.json"))


def _json(manifest: Mapping[str, Any]) -> bytes:
    return json.dumps(dict(manifest), sort_keys=True, indent=1, ensure_ascii=True).encode()


def _name(manifest: Mapping[str, Any]) -> str:
    return hashlib.sha256(_json(manifest)).hexdigest()[:24]


def frozen_of(made: DataSet, reason: str, least: int = TRUE_GROUPS) -> DataSet:
    """The evaluation side of a data set as a frozen set of its own. Raises DataSetError while too little is in it."""
    side = made.evaluation()
    if side.true_groups() < least:
        raise DataSetError(
            f"only {side.true_groups()} true cases are on the side of evaluation so far; {least} are needed to freeze"
        )
    time, whole = side.column("time"), dict(made.manifest)
    about = {
        "schema": SCHEMA,
        "purpose": "frozen evaluation set",
        "of": made.hash,
        "reason": reason,
        "episodes": len(side.table),
        "true": int((side.column("label") == 1).sum()),
        "true_groups": side.true_groups(),
        "features": int(side.features.shape[1]),
        "evaluation_share": whole.get("evaluation_share", 1.0),
        "held_sites": whole.get("held_sites", []),
        "from": int(time.min()),
        "to": int(time.max()),
    }
    return DataSet(side.table, about)
