"""Recog's XML files, from a folder or an archive, as databases of fingerprints.

What is in the files is Rapid7's (BSD 2-clause); a copy is shipped beside this module with its licence. A file that is
no Recog file is passed over; a fingerprint that cannot be read is left out and named in ``Loaded.left_out``.
"""

from __future__ import annotations

import base64
import binascii
import io
import tarfile
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from andon.observe.compressed import Broken, compression, decompressor
from andon.observe.markup import END, START, TEXT, BadMarkup, events
from andon.observe.recog.fingerprint import Example, Fingerprint, Param

SHIPPED: Final = Path(__file__).parent / "data" / "recog.tar.zst"
_LARGEST: Final = 64 << 20  # bytes of all files together, unpacked; the shipped ones take 4 MB
_VENDORS: Final = "identifiers/vendor.txt"
_PREFERENCE: Final = 0.10  # Recog's own default


class NoRecog(ValueError):
    """There are no Recog files where the user said."""


@dataclass(frozen=True)
class Database:
    """Fingerprints for one kind of text. ``matches`` names the kind (``http_header.server``); the higher the
    ``preference``, the earlier the database is asked."""

    name: str
    matches: str
    protocol: str
    preference: float
    fingerprints: tuple[Fingerprint, ...]


@dataclass(frozen=True)
class Loaded:
    """``vendors``: names of makers as Recog writes them, if its list of them (``identifiers/vendor.txt``) is there."""

    databases: tuple[Database, ...]
    left_out: tuple[str, ...]
    vendors: tuple[str, ...]


def load(path: str | Path = SHIPPED) -> Loaded:
    """Databases in a folder (also ``FOLDER/xml``), a zip file, a tar file (plain, gz, zst, lz4) or one XML file.

    Raises NoRecog, or OSError for a file that cannot be read."""
    path = Path(path)
    files = dict(_files(path))
    databases: list[Database] = []
    left_out: list[str] = []
    for name in sorted(files):
        if not name.endswith(".xml"):
            continue
        try:
            made = _database(name, files, left_out)
        except BadMarkup as error:
            left_out.append(f"{name}: {error}")
            continue
        if made is not None:
            databases.append(made)
    if not databases:
        raise NoRecog(f"{path}: no Recog files (XML with <fingerprints>) in it")
    listed = files.get(_VENDORS, b"").decode("utf-8", "replace").splitlines()
    return Loaded(tuple(databases), tuple(left_out), tuple(filter(None, map(str.strip, listed))))


def _files(path: Path) -> Iterator[tuple[str, bytes]]:
    """(name, content) of everything there, names without leading folders down to ``xml/``."""
    if path.is_dir():
        total = 0
        for file in sorted(path.rglob("*")):
            if file.is_file() and ".git" not in file.parts:
                total += file.stat().st_size
                _check(path, total)
                yield _short(file.relative_to(path).as_posix()), file.read_bytes()
        return
    with path.open("rb") as raw:
        if path.suffix.lower() == ".xml":
            _check(path, path.stat().st_size)
            yield path.name, raw.read()
            return
        if zipfile.is_zipfile(raw):
            yield from _zipped(path, raw)
            return
        raw.seek(0)
        yield from _tarred(path, raw)


def _zipped(path: Path, raw: Any) -> Iterator[tuple[str, bytes]]:
    try:
        with zipfile.ZipFile(raw) as archive:
            total = 0
            for item in archive.infolist():
                if item.is_dir():
                    continue
                with archive.open(item) as file:
                    content = file.read(_LARGEST - total + 1)
                total += len(content)
                _check(path, total)
                yield _short(item.filename), content
    except (zipfile.BadZipFile, RuntimeError, NotImplementedError, EOFError) as error:
        raise NoRecog(f"{path}: a damaged zip file ({error})") from error


def _tarred(path: Path, raw: Any) -> Iterator[tuple[str, bytes]]:
    kind = compression(raw.read(4))
    raw.seek(0)
    stream = decompressor(raw, kind) if kind else raw
    plain = io.BytesIO()
    room = bytearray(1 << 16)
    try:
        while got := stream.readinto(memoryview(room)):
            plain.write(room[:got])
            _check(path, plain.tell())
        plain.seek(0)
        with tarfile.open(fileobj=plain) as archive:
            for member in archive:
                file = archive.extractfile(member) if member.isreg() else None
                if file is not None:
                    yield _short(member.name), file.read()
    except (Broken, tarfile.TarError, EOFError) as error:
        raise NoRecog(f"{path}: neither a folder, a zip nor a tar file of Recog's XML ({error})") from error


def _check(path: Path, total: int) -> None:
    if total > _LARGEST:
        raise NoRecog(f"{path}: more than {_LARGEST >> 20} MiB unpacked, which Recog's files are not")


def _short(name: str) -> str:
    """The name from ``xml/`` or ``identifiers/`` on, whatever folder the archive puts around them."""
    parts = name.removeprefix("./").split("/")
    if "xml" in parts:
        return "/".join(parts[parts.index("xml") + 1 :])
    return "/".join(parts[parts.index("identifiers") :]) if "identifiers" in parts else "/".join(parts)


def _database(name: str, files: Mapping[str, bytes], left_out: list[str]) -> Database | None:
    head: dict[str, str] | None = None
    made: list[Fingerprint] = []
    attributes: dict[str, str] = {}
    text = ""
    description, params, examples = "", list[Param](), list[Example]()
    example: dict[str, str] = {}
    for event in events([files[name]]):
        if event.kind == TEXT:
            text += event.name
        elif event.kind == START:
            text = ""
            if event.name == "fingerprints":
                head = event.attributes
            elif head is None:
                return None
            elif event.name == "fingerprint":
                attributes, description, params, examples = event.attributes, "", [], []
            elif event.name == "example":
                example = event.attributes
            elif event.name == "param":
                position = event.attributes.get("pos", "")
                number = int(position) if position.isdigit() and len(position) < 4 else -1
                params.append(
                    Param(number, event.attributes.get("name", ""), event.attributes.get("value", ""))
                )
        elif event.kind == END:
            if event.name == "description":
                description = " ".join(text.split())
            elif event.name == "example":
                examples.append(_example(name, text, example, files))
            elif event.name == "fingerprint":
                if "pattern" not in attributes or any(param.position < 0 for param in params):
                    left_out.append(f"{name}, line {event.line}: no pattern, or a parameter without position")
                    continue
                made.append(_fingerprint(attributes, description, params, examples))
            text = ""
    if head is None:
        return None
    short = name.rsplit("/", 1)[-1].removesuffix(".xml")
    return Database(
        name=short, matches=head.get("matches", short), protocol=head.get("protocol", ""),
        preference=_number(head.get("preference", ""), _PREFERENCE), fingerprints=tuple(made),
    )  # fmt: skip


def _fingerprint(
    attributes: Mapping[str, str], description: str, params: list[Param], examples: list[Example]
) -> Fingerprint:
    flags = tuple(flag.strip() for flag in attributes.get("flags", "").split(",") if flag.strip())
    certainty = _number(attributes.get("certainty", ""), 0.85)
    return Fingerprint(attributes["pattern"], flags, description, tuple(params), certainty, tuple(examples))


def _example(name: str, text: str, attributes: Mapping[str, str], files: Mapping[str, bytes]) -> Example:
    expected = {key: value for key, value in attributes.items() if not key.startswith("_")}
    shown: str | None = text
    if "_filename" in attributes:
        # Recog keeps the examples of ssh_banners.xml in ssh_banners/.
        content = files.get(f"{name.removesuffix('.xml')}/{attributes['_filename']}")
        shown = None if content is None else content.decode("latin-1")
    elif attributes.get("_encoding") == "base64":
        try:
            shown = base64.b64decode(text).decode("latin-1")
        except (binascii.Error, ValueError):
            shown = None
    return Example(shown, expected)


def _number(text: str, otherwise: float) -> float:
    try:
        value = float(text)
    except ValueError:
        return otherwise
    return value if 0 <= value <= 1 else otherwise
