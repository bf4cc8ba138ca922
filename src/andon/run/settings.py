"""Which of a site's settings an engine uses, as one digest: when it changes, summaries made before do not fit."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import pyarrow as pa

from andon.records.contract import Site
from andon.records.model import Model
from andon.run.engines import AnyEngine


def digest_of(site: Site, engine: AnyEngine) -> str:
    """Hex digest of the site's fields and settings named in ``engine.uses``."""
    used = {name: plain(_value(site, name)) for name in sorted(engine.uses)}
    return hashlib.sha256(json.dumps(used, sort_keys=True).encode()).hexdigest()[:32]


def _value(site: Site, name: str) -> Any:
    return getattr(site, name) if hasattr(site, name) else site.settings.get(name)


def plain(value: Any) -> Any:
    """A value of the site as JSON; tables and models by their digest."""
    if isinstance(value, pa.Table):
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, value.schema) as writer:
            writer.write_table(value)
        return hashlib.sha256(sink.getvalue()).hexdigest()
    if isinstance(value, Model):
        return value.digest
    if isinstance(value, dict) or hasattr(value, "items"):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if value is None or isinstance(value, str | int | float | bool):
        return value
    return repr(value)
