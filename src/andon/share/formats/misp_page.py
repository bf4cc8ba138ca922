"""Attributes and objects of one MISP event, each once, as dictionaries or as the JSON text of them.

An attribute has a dozen members of which two are its own (``uuid``, ``value``); the others are words of MISP or ours,
or those of the event. So the text is put together around them, and only what others wrote is escaped: dictionaries that
an encoder takes apart again cost two fifths of an event. Both forms are made of the same rows, and
``tests/share_formats/test_format_misp.py`` holds them to each other.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from json.encoder import encode_basestring
from typing import Any, Final

from andon.share.formats.stix import dumps
from andon.share.formats.stix_ids import NAMESPACE, Names
from andon.share.formats.view import Thing

# name: (uuid, version, meta-category) of misp-objects
_TEMPLATES: Final[Mapping[str, tuple[str, str, str]]] = {
    "ip-port": ("9f8cea74-16fe-4968-a2b4-026676949ac6", "10", "network"),
    "domain-ip": ("43b3b146-77eb-4931-b4cc-b66c60f28734", "11", "network"),
    "network-connection": ("af16764b-f8e5-4603-9de1-de34d272f80b", "7", "network"),
    "annotation": ("5d8dc046-15a1-4ca3-a09f-ed4ede7c4487", "3", "misc"),
    "course-of-action": ("3d1c2c06-68a9-4394-8c8d-258d115f796f", "1", "misc"),
}
NETWORK, OTHER, _TARGET = "Network activity", "Other", "Targeting data"
NAMES_OF_OURS: Final = Names(NAMESPACE.bytes, "misp ")  # UUIDs of all that we tell to MISP
_MOST: Final = 500  # attributes of one event
_TYPES: Final[Mapping[str, tuple[str, str]]] = {  # of an entity: (type, category)
    "ipv4-addr": ("ip-dst", NETWORK), "ipv6-addr": ("ip-dst", NETWORK), "domain-name": ("domain", NETWORK),
    "url": ("url", NETWORK), "user-account": ("target-user", _TARGET), "device": ("target-machine", _TARGET),
    "x-host": ("target-machine", _TARGET), "vulnerability": ("vulnerability", "External analysis"),
}  # fmt: skip
_HASHES: Final = {32: "md5", 40: "sha1", 64: "sha256"}

# (uuid, type, category, value, to_ids, comment, relation): type, category, comment and relation are words of this
# package or MISP's and need no escaping.
_Row = tuple[str, str, str, str, bool, str, str]


class Page:
    """Of the event ``uuid``. ``time``: its timestamp (s, in digits); ``span``: first and last seen, of every attribute;
    ``ids``: the things that may be looked for (``to_ids``).

    >>> page = Page("e9fcd8d7-6c4e-5d29-a5a5-3a49ae8b7d4f", "0", {}, set())
    >>> page.things([("ipv4-addr", "203.0.114.9")], senders={("ipv4-addr", "203.0.114.9")})
    >>> page.attributes()[0]["type"], page.text() == dumps({"Attribute": page.attributes(), "Object": []})[1:-1]
    ('ip-src', True)
    """

    def __init__(self, uuid: str, time: str, span: Mapping[str, str], ids: set[Thing]) -> None:
        self.uuid, self.time, self.span, self.ids = uuid, time, span, ids
        self._names = Names(NAMESPACE.bytes, f"misp {uuid} ")
        self._rows: list[_Row] = []
        self._objects: list[tuple[str, str, list[_Row]]] = []  # (name, uuid, attributes)
        self._seen: set[str] = set()

    def things(self, things: Iterable[Thing], senders: Collection[Thing] = ()) -> None:
        """An attribute of the type that fits for each entity."""
        add, ids = self.attribute, self.ids
        for thing in things:
            kind, value = thing
            if kind in _TYPES:
                of, category = _TYPES[kind]
                add("ip-src" if thing in senders and of == "ip-dst" else of, category, value, thing in ids)
            elif kind == "file" and len(value) in _HASHES and value.isalnum():
                add(_HASHES[len(value)], "Payload delivery", value)
            elif kind and value:
                add("text", OTHER, f"{kind}: {value}")

    def attribute(
        self, kind: str, category: str, value: str, to_ids: bool = False, comment: str = ""
    ) -> None:
        """Once for a type and a value; none without a value, nor above ``_MOST``."""
        key = f"{kind} {value}"  # no type of MISP has a space in it
        if key not in self._seen and value and len(self._rows) < _MOST:
            self._seen.add(key)
            self._rows.append((self._names.of(key), kind, category, value, to_ids, comment, ""))

    def object(self, name: str, parts: Iterable[tuple[str, str, str, str, bool]]) -> None:
        """An object of a template. ``parts``: (relation, type, category, value, to_ids)."""
        own = self._names.of(name)
        rows = [
            (
                NAMES_OF_OURS.of(f"{own} {relation} {kind} {value}"),
                kind,
                category,
                value,
                to_ids,
                "",
                relation,
            )
            for relation, kind, category, value, to_ids in parts
            if value
        ]
        if rows:
            self._objects.append((name, own, rows))

    def attributes(self) -> list[dict[str, Any]]:
        return [self._attribute(row) for row in self._rows]

    def objects(self) -> list[dict[str, Any]]:
        made = []
        for name, own, rows in self._objects:
            uuid, version, category = _TEMPLATES[name]
            made.append(
                {
                    "name": name,
                    "meta-category": category,
                    "template_uuid": uuid,
                    "template_version": version,
                    "uuid": own,
                    "timestamp": self.time,
                    "distribution": "5",
                    "Attribute": [self._attribute(row) for row in rows],
                }
            )
        return made

    def _attribute(self, row: _Row) -> dict[str, Any]:
        uuid, kind, category, value, to_ids, comment, relation = row
        return {
            "uuid": uuid, "type": kind, "category": category, "value": value, "to_ids": to_ids,
            "disable_correlation": False, "comment": comment, "timestamp": self.time, "distribution": "5",
            **self.span, **({"object_relation": relation} if relation else {}),
        }  # fmt: skip

    def text(self) -> str:
        """``attributes`` and ``objects`` as members of a JSON object."""
        # What every attribute of the event ends with; the span holds times as others wrote them.
        common = dumps({"timestamp": self.time, "distribution": "5", **self.span})[1:-1]
        objects = []
        for name, own, rows in self._objects:
            uuid, version, category = _TEMPLATES[name]
            objects.append(
                f'{{"name":"{name}","meta-category":"{category}","template_uuid":"{uuid}",'
                f'"template_version":"{version}","uuid":"{own}","timestamp":"{self.time}","distribution":"5",'
                f'"Attribute":{_texts(rows, common)}}}'
            )
        return f'"Attribute":{_texts(self._rows, common)},"Object":[{",".join(objects)}]'


def _texts(rows: Iterable[_Row], common: str) -> str:
    """A JSON array of rows. ``common``: members that all of them have."""
    made = [
        f'{{"uuid":"{uuid}","type":"{kind}","category":"{category}","value":{encode_basestring(value)},'
        f'"to_ids":{"true" if to_ids else "false"},"disable_correlation":false,"comment":"{comment}",{common}'
        + (f',"object_relation":"{relation}"}}' if relation else "}")
        for uuid, kind, category, value, to_ids, comment, relation in rows
    ]
    return f"[{','.join(made)}]"
