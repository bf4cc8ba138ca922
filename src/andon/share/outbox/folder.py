"""A folder of documents: STIX bundles, or a feed of MISP events that any MISP can subscribe to.

A document is a file whose name follows from what is in it, written beside and moved into its place: whoever reads the
folder sees whole files, and a message that is delivered twice leaves one file. The manifest of a MISP feed is written
last, so that it never names an event that is not there.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final

from andon.share.formats import misp, stix
from andon.share.formats.export import Told
from andon.share.outbox.formatted import views
from andon.share.outbox.parcel import Parcel, Unreachable
from andon.share.policy import Gate
from andon.store.durable import write_durable
from andon.store.errors import StoreError

FORMATS: Final = ("stix", "misp")
_LARGEST: Final = 1 << 28  # bytes of a manifest or of hashes.csv


@dataclass(frozen=True)
class FolderSink:
    """``path``: made if it is not there; one sink writes to it. ``format``: stix or misp."""

    name: str
    path: Path
    format: str
    digest_after: int = 0
    gate: Gate | None = None

    def __post_init__(self) -> None:
        if self.format not in FORMATS:
            raise ValueError(f"format is one of {', '.join(FORMATS)}, not {self.format!r}")

    @cached_property
    def _told(self) -> Told:
        return Told(self.format, self.gate)

    def send(self, parcel: Parcel, now: int, seconds: float) -> str:
        """Write the files, durable when it returns. Raises Unreachable, Withheld."""
        some, remark = views(self._told, parcel)
        ground = self._told.gate.ground
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            if self.format == "stix":
                writer = stix.Writer(ground.organisation, ground.caution)
                made = stix.bundle(one for told, level, *_ in some for one in writer.objects(told, level))
                self._write(f"{parcel.id}.json", stix.dumps(made))
            else:
                events = misp.Writer(ground.organisation, ground.caution)
                self._feed([events.event(told, level) for told, level, *_ in some])
        except StoreError as error:
            raise Unreachable(str(error)) from error
        except OSError as error:
            raise Unreachable(f"{self.path}: {error.strerror or error}") from error
        return remark

    def _feed(self, events: list[dict[str, Any]]) -> None:
        files = misp.feed(events)
        manifest, hashes = self._manifest(), dict.fromkeys(self._read("hashes.csv").splitlines())
        for name, text in files.items():
            if name not in ("manifest.json", "hashes.csv"):
                self._write(name, text)
        manifest |= json.loads(files["manifest.json"])
        hashes |= dict.fromkeys(files["hashes.csv"].splitlines())
        self._write("hashes.csv", "".join(f"{line}\n" for line in hashes))
        self._write("manifest.json", json.dumps(manifest, ensure_ascii=False))

    def _manifest(self) -> dict[str, Any]:
        text = self._read("manifest.json")
        try:
            held = json.loads(text) if text else {}
        except (ValueError, RecursionError) as error:
            raise Unreachable(f"{self.path / 'manifest.json'} is no manifest: {error}") from error
        if not isinstance(held, Mapping):
            raise Unreachable(f"{self.path / 'manifest.json'} is no manifest")
        return dict(held)

    def _read(self, name: str) -> str:
        path = self.path / name
        if not path.exists():
            return ""
        if path.stat().st_size > _LARGEST:
            raise Unreachable(f"{path} is too large; move the folder away and begin a new one")
        return path.read_text(encoding="utf-8")

    def _write(self, name: str, text: str) -> None:
        write_durable(self.path / name, [text.encode("utf-8", "replace")])
