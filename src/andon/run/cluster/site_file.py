"""The site as files, so that workers make the same engines as the driver.

Tables are Arrow files, models the files of the registry, the rest JSON. The locator stays behind: countries are
looked up when findings are written, by the driver. So does nothing else: an engine may look at any field when it
summarises.
"""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Any, Final

import pyarrow as pa

from andon.learn.registry import load, write
from andon.records.contract import Organisation, Site
from andon.records.model import Model

Bytes = bytes | memoryview
_TABLES: Final = ("assets", "reputation", "vulnerabilities")
_PLAIN: Final = ("telescope", "inside", "hash_key")


def site_files(site: Site) -> dict[str, Bytes]:
    """The site without its locator, as files by name; equal for equal sites."""
    made: dict[str, Bytes] = {}
    for name in _TABLES:
        if (table := getattr(site, name)) is not None:
            made[f"{name}.arrow"] = _table_bytes(table)
    for number, table in enumerate(site.lists.values()):
        made[f"list-{number}.arrow"] = _table_bytes(table)
    made["rdns.arrow"] = _table_bytes(_names(site.rdns))
    for number, model in enumerate(site.models.values()):
        file = io.BytesIO()
        write(model, file)
        made[f"model-{number}.npz"] = file.getvalue()
    said: dict[str, Any] = {name: getattr(site, name) for name in _PLAIN}
    said |= {
        "lists": list(site.lists),
        "models": list(site.models),
        "relations": dict(site.relations),
        "settings": dict(site.settings),
        "organisations": [asdict(one) for one in site.organisations],
    }
    made["site.json"] = json.dumps(said, sort_keys=True).encode()
    return made


def site_of(files: Mapping[str, Bytes]) -> Site:
    """The site that ``site_files`` gave these of. Raises ValueError, KeyError, TypeError for others."""
    said = json.loads(bytes(files["site.json"]))
    models: Mapping[str, Model] = {
        name: load(io.BytesIO(files[f"model-{number}.npz"])) for number, name in enumerate(said["models"])
    }
    names = _table(files["rdns.arrow"])
    site = Site(
        telescope=tuple(said["telescope"]),
        inside=tuple(said["inside"]),
        hash_key=int(said["hash_key"]),
        lists={name: _table(files[f"list-{number}.arrow"]) for number, name in enumerate(said["lists"])},
        models=models,
        rdns=dict(zip(names["address"].to_pylist(), names["name"].to_pylist(), strict=True)),
        relations=said["relations"],
        settings=said["settings"],
        organisations=tuple(
            Organisation(one["name"], tuple(one["prefixes"]), tuple(one["sinks"]))
            for one in said["organisations"]
        ),
    )
    for name in _TABLES:
        if f"{name}.arrow" in files:
            site = replace(site, **{name: _table(files[f"{name}.arrow"])})
    return site


def _names(rdns: Mapping[int, str]) -> pa.Table:
    addresses = sorted(rdns)
    return pa.table(
        {
            "address": pa.array(addresses, pa.uint32()),
            "name": pa.array([rdns[one] for one in addresses], pa.string()),
        }
    )


def _table_bytes(table: pa.Table) -> memoryview:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)
    return memoryview(sink.getvalue()).cast("B")


def _table(data: Bytes) -> pa.Table:
    with pa.ipc.open_file(pa.py_buffer(data)) as reader:
        return reader.read_all()
