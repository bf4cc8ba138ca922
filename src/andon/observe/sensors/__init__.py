"""Which sensors there are, and which of them can read a file.

A sensor knows one family of formats and turns it into records of one kind (``records.kinds``). Ours are listed here,
the surest first: a file belongs to the first that recognises it. Third parties add theirs through the entry-point
group ``andon.sensors``, a function ``sensor() -> Sensor`` each; they are asked after captures and before the others.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from importlib import import_module
from importlib.metadata import entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol

import pyarrow as pa

from andon.observe.compressed import compression, decompressor

if TYPE_CHECKING:
    from andon.observe.jsonlines import Skipped
    from andon.observe.logs.options import Options

ASSETS: Final = (
    "asset"  # what a sensor of asset lists gives: rows of records.asset.ASSET, which are no events
)
LOOK: Final = 256 * 1024  # bytes, decompressed, by which a file is recognised
_COMPRESSED: Final = (".gz", ".zst", ".lz4")
_FIRST: Final = "andon.observe.sensors.captures"
_OURS: Final = (
    "andon.observe.sensors.alerts",
    "andon.observe.sensors.sightings",
    "andon.observe.sensors.honeypots",
    "andon.observe.sensors.assets",
    "andon.observe.sensors.netflow",
    "andon.observe.sensors.logs",
    "andon.observe.sensors.reports",
)


class Sensor(Protocol):
    """``name``: of the format, as ``andon count`` shows it; ``kind``: of its records, or ``ASSETS``. A sensor may have
    ``count(path) -> dict`` too, for ``andon count``; without it ``sensors.totals`` counts its records. One that gives
    records of several kinds has ``kinds`` (``kind`` first), and marks each batch (``records.kinds.marked``).
    """

    name: str
    kind: str

    def recognise(self, head: bytes, name: str) -> bool:
        """Can it read a file that begins with ``head`` (decompressed, at most ``LOOK`` bytes)? ``name``: its path,
        without the ending that compression gave it. Must not raise, whatever the bytes."""

    def read(self, path: str | Path, skipped: Skipped) -> Iterator[pa.RecordBatch]:
        """Records in the schema of the kind, of compressed files too, in any order. What cannot be read is
        counted in ``skipped``. Raises ValueError for a file that is none after all, and OSError."""


@lru_cache(maxsize=1)
def sensors() -> tuple[Sensor, ...]:
    """All of them, in the order in which they are asked."""
    theirs = [entry.load()() for entry in entry_points(group="andon.sensors")]
    return (_made(_FIRST), *theirs, *(_made(module) for module in _OURS))


def _made(module: str) -> Sensor:
    made: Sensor = import_module(module).sensor()
    return made


def sniff(path: str | Path, options: Options | None = None) -> Sensor | None:
    """The sensor for a file, None if no sensor knows it; one for logs heeds what the operator says of them. Raises
    OSError."""
    head, name = head_of(path), str(path)
    if Path(path).suffix in _COMPRESSED:
        name = name.removesuffix(Path(path).suffix)
    asked = (with_options(sensor, options) for sensor in sensors())
    return next((sensor for sensor in asked if sensor.recognise(head, name)), None)


def with_options(sensor: Sensor, options: Options | None) -> Sensor:
    """The sensor, told what the operator says about logs if it is one for logs."""
    if options is None or sensor.name not in ("log", "alert"):
        return sensor
    if sensor.name == "alert":
        from andon.observe.sensors.alerts import Alerts

        return Alerts(options)
    from andon.observe.sensors.logs import Logs

    return Logs(options)


def head_of(path: str | Path, length: int = LOOK) -> bytes:
    """The first bytes of a file, decompressed; what there is where the compression is broken. Raises OSError."""
    with Path(path).open("rb") as raw:
        kind = compression(raw.peek(4)[:4])
        if not kind:
            return raw.read(length)
        made, room = bytearray(), bytearray(length)
        stream: Any = decompressor(raw, kind)
        try:
            while len(made) < length and (got := stream.readinto(memoryview(room)[: length - len(made)])):
                made += room[:got]
        except OSError:
            pass
        return bytes(made)
