"""Where data sets and models of a store are: files in a folder ``learn/`` beside the casebook, named by their digests.

The casebook says which model is in use (``book.models``); here is its file, checked against that name.

>>> from pathlib import Path
>>> Shelf(Path("/var/lib/andon/learn")).model_file("screening", "ab" * 16).as_posix()
'/var/lib/andon/learn/models/screening-abababababababababababababababab.npz'
"""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from andon.learn import registry
from andon.learn.feedback import datasets
from andon.learn.feedback.datasets import DataSet, DataSetError
from andon.records.model import Model
from andon.store.durable import make_folder, write_durable

if TYPE_CHECKING:
    from andon.store.casebook import Casebook


class ShelfError(ValueError):
    """A file of the shelf is missing or not what its name says."""


@dataclass(frozen=True)
class Shelf:
    """Everything that learning keeps as files. Nothing here is ever changed but ``frozen.json`` and ``newest.json``,
    which name data sets and keep what they named before."""

    folder: Path

    @property
    def data(self) -> Path:
        return self.folder / "datasets"

    def model_file(self, kind: str, digest: str) -> Path:
        """Raises ShelfError for what is no name."""
        if not kind.isidentifier() or not digest.isalnum():
            raise ShelfError(f"{kind!r} {digest!r} names no model")
        return self.folder / "models" / f"{kind}-{digest}.npz"

    def keep_model(self, model: Model) -> Model:
        """Store it durably; what comes back has the digest that its file gives. Raises StoreError."""
        whole = Model(model.kind, model.arrays, dict(model.card) | {"kind": model.kind})
        path = self.model_file(whole.kind, whole.digest)
        if not path.exists():
            make_folder(path.parent)
            sink = io.BytesIO()
            registry.write(whole, sink)
            write_durable(path, (sink.getvalue(),))
        return whole

    def model(self, kind: str, digest: str) -> Model:
        """The model of this name. Raises ShelfError, OSError, registry.ModelError."""
        path = self.model_file(kind, digest)
        if not path.exists():
            raise ShelfError(f"{path} is missing: the casebook names a model whose file is not there")
        model = registry.load(path)
        if model.kind != kind or model.digest != digest:
            raise ShelfError(f"{path} is not the model that its name says: it was changed or is damaged")
        return model

    def keep_data(self, made: DataSet, role: str = "newest", reason: str = "", when: int = 0) -> DataSet:
        """Store a data set and let ``role`` ("newest" or "frozen") name it."""
        make_folder(self.data)
        kept = datasets.keep(made, self.data)
        held = self._named(role)
        if not held or held[-1]["hash"] != kept.hash:
            held.append({"hash": kept.hash, "reason": reason, "time": when})
            path = self.folder / f"{role}.json"
            write_durable(path, (json.dumps(held[-100:], indent=1).encode(),))
        return kept

    def named(self, role: str) -> DataSet | None:
        """The data set that is the newest, or the frozen one. Raises DataSetError if it is damaged."""
        held = self._named(role)
        return datasets.load(self.data, held[-1]["hash"]) if held else None

    def _named(self, role: str) -> list[dict[str, Any]]:
        path = self.folder / f"{role}.json"
        if not path.exists():
            return []
        try:
            held = json.loads(path.read_bytes())
            return [
                {"hash": str(e["hash"]), "reason": str(e["reason"]), "time": int(e["time"])} for e in held
            ]
        except (ValueError, KeyError, TypeError) as error:
            raise DataSetError(f"{path} cannot be read: {error}") from error


def models_in_use(book: Casebook, shelf: Shelf) -> Mapping[str, Model]:
    """For ``Site(models=...)``: what was promoted in this store, over what is shipped.

    Raises ShelfError, OSError or registry.ModelError if a promoted model cannot be read: better to hear of it than to
    screen by another model than the casebook says."""
    promoted = in_use(book)
    return _InUse(promoted, shelf) if promoted else registry.shipped()


def in_use(book: Casebook) -> dict[str, str]:
    """Kind -> digest of what is promoted in this store. Raises StoreError."""
    return {row.kind: row.digest for row in book.models.rows(limit=100_000) if row.state == "promoted"}


class _InUse(Mapping[str, Model]):
    def __init__(self, digests: Mapping[str, str], shelf: Shelf) -> None:
        self._shipped = registry.shipped()
        self._own = {kind: shelf.model(kind, digest) for kind, digest in digests.items()}

    def __getitem__(self, kind: str) -> Model:
        return self._own[kind] if kind in self._own else self._shipped[kind]

    def __iter__(self) -> Any:
        return iter(sorted({*self._own, *self._shipped}))

    def __len__(self) -> int:
        return len({*self._own, *self._shipped})
