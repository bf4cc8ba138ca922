"""Models as files, and those that Andon ships.

A model file is an ``.npz`` of plain arrays with its model card as JSON beside them (``card``, bytes): reading one
runs no code (``allow_pickle=False``). Shipped models are read when somebody asks for them, not before."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator, Mapping
from functools import lru_cache
from importlib import resources
from pathlib import Path
from typing import IO, Any, Final

import numpy as np

from andon.records.model import Model

FOLDER: Final = "andon.learn.models"
LARGEST: Final = 64 << 20  # bytes of a model file's arrays


class ModelError(ValueError):
    """A file is no model, or not of the kind that was asked for."""


def load(path: Path | IO[bytes]) -> Model:
    """The model in a file. Raises ModelError, OSError."""
    name = getattr(path, "name", str(path))
    try:
        with zipfile.ZipFile(path) as held:
            size = sum(item.file_size for item in held.infolist())
        if size > LARGEST:
            raise ModelError(f"{name}: {size:,} bytes of arrays; a model has at most {LARGEST:,}")
        if not isinstance(path, Path):
            path.seek(0)
        with np.load(path, allow_pickle=False) as file:
            arrays = {each: file[each] for each in file.files}
        card = json.loads(arrays.pop("card").tobytes())
        kind = card["kind"]
    except ModelError:
        raise
    except (ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile, zipfile.LargeZipFile) as error:
        raise ModelError(f"{name} is no model file: {error}") from error
    if not isinstance(kind, str) or not kind:
        raise ModelError(f"{name}: its card does not say what kind of model it is")
    return Model(kind, arrays, card)


def save(model: Model, path: Path) -> None:
    """Write a model file; equal models give equal files on one machine."""
    with path.open("wb") as file:
        write(model, file)


def write(model: Model, file: IO[bytes]) -> None:
    """The same into something that is open."""
    card = json.dumps(dict(model.card) | {"kind": model.kind}, sort_keys=True, ensure_ascii=False).encode()
    arrays = {name: np.ascontiguousarray(model.arrays[name]) for name in sorted(model.arrays)}
    np.savez_compressed(file, card=np.frombuffer(card, np.uint8), **arrays)  # type: ignore[arg-type]


class Shipped(Mapping[str, Model]):
    """The models of the package by kind, each read when it is asked for."""

    def __getitem__(self, kind: str) -> Model:
        return _shipped(kind)

    def __iter__(self) -> Iterator[str]:
        return iter(_kinds())

    def __len__(self) -> int:
        return len(_kinds())

    def __contains__(self, kind: Any) -> bool:
        return kind in _kinds()


def shipped() -> Mapping[str, Model]:
    """For ``Site(models=shipped())``."""
    return Shipped()


@lru_cache(maxsize=1)
def _kinds() -> tuple[str, ...]:
    folder = resources.files("andon.learn").joinpath("models")
    if not folder.is_dir():
        return ()
    return tuple(sorted(item.name[:-4] for item in folder.iterdir() if item.name.endswith(".npz")))


@lru_cache(maxsize=8)
def _shipped(kind: str) -> Model:
    if kind not in _kinds():
        raise KeyError(kind)
    with resources.files("andon.learn").joinpath("models", f"{kind}.npz").open("rb") as file:
        model = load(file)
    if model.kind != kind:
        raise ModelError(f"{kind}.npz holds a model of kind {model.kind}")
    return model
