"""What a mark means: the families whose page or links name it, and how sure that is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import pyarrow as pa

from andon.detect.darknet.asset.gather import FAMILY
from andon.detect.darknet.asset.seen import mark
from andon.records import joint
from andon.records.device import same_class

_LEAST: Final = 0.5  # probability of a link or a page that is gone by
_ANCHORS: Final = (joint.TOKEN, joint.PAYLOAD, joint.URL_BASE, joint.EXPLOIT)  # strongest first
_OF_A_PAGE: Final = {
    "fingerprints": joint.MARK_FINGERPRINT, "port_sets": joint.MARK_PORT_SET, "tokens": joint.TOKEN,
    "url_bases": joint.URL_BASE, "payloads": joint.PAYLOAD, "aliases": FAMILY,
}  # fmt: skip
FITS, DOES_NOT, NOT_SAID = "fits", "does not fit", "not said"


@dataclass
class Family:
    """A family as one name. ``series`` of its page and of the links; ``targets``: "vendor|product|device"."""

    name: str
    probability: float
    targets: list[str] = field(default_factory=list)
    cves: list[str] = field(default_factory=list)
    aliases: list[str] = field(default_factory=list)
    links: list[str] = field(default_factory=list)
    page: str = ""
    by: str = ""  # what the name rests on, in words

    def fit(self, device: str, vendor: str, product: str) -> tuple[str, str]:
        """(FITS, DOES_NOT or NOT_SAID; the target it is about)."""
        if not self.targets or not (device or vendor or product):
            return NOT_SAID, ""
        near = ""
        for target in self.targets:
            maker, model, kind = ([*target.split("|"), "", ""])[:3]
            said = [(kind, device), (maker, vendor), (model, product)]
            both = [(one, other) for one, other in said if one and other]
            agree = [same_class(one, other) if one is kind else _alike(one, other) for one, other in both]
            if both and all(agree):
                if model and product:
                    return FITS, target
                near = near or target
        return (FITS, near) if near else (DOES_NOT, self.targets[0])


def _alike(one: str, other: str) -> bool:
    a, b = ("".join(c for c in text.casefold() if c.isalnum()) for text in (one, other))
    return bool(a) and bool(b) and (a in b or b in a)


class Meaning:
    """Mark -> families, from the pages of ``intel.profile`` and the links of ``darknet.link``."""

    def __init__(self, profiles: pa.Table | None, links: pa.Table | None) -> None:
        self._families: dict[str, Family] = {}
        self._of: dict[str, list[str]] = {}
        self.links: dict[tuple[str, str], list[dict[str, Any]]] = {}
        for row in links.to_pylist() if links is not None else []:
            if row["probability"] >= _LEAST:
                self.links.setdefault((row["mark_kind"], row["mark"]), []).append(row)
        for row in profiles.to_pylist() if profiles is not None else []:
            self._page(row)
        # Fingerprints first: a set of ports tells less.
        for kind, text in sorted(self.links, key=lambda key: (key[0] != joint.MARK_FINGERPRINT, key[1])):
            self._link(kind, text, self.links[kind, text])

    def _page(self, row: Mapping[str, Any]) -> None:
        if row["probability"] < _LEAST:
            return
        name: str = row["family"]
        family = Family(
            name, float(row["probability"]), list(row["targets"]), list(row["cves"]), list(row["aliases"]),
            page=row["series"], by="its page (intel.profile)",
        )  # fmt: skip
        self._families[name] = family
        for column, kind in _OF_A_PAGE.items():
            for value in row[column]:
                self._add(mark(kind, value), name)
        self._add(mark(FAMILY, name), name)
        for print_ in row["fingerprints"]:
            family.links += [one["series"] for one in self.links.get((joint.MARK_FINGERPRINT, print_), ())]

    def _link(self, kind: str, text: str, rows: list[dict[str, Any]]) -> None:
        """A mark that is linked but on no page yet: a family by itself, or part of the one whose behaviour it shows."""
        key = mark(kind, text)
        if key in self._of:
            return
        good = sorted(
            (row for row in rows if row["kind"] in _ANCHORS),
            key=lambda row: (_ANCHORS.index(row["kind"]), -row["probability"], row["value"]),
        )
        known = [name for row in good for name in self._of.get(mark(row["kind"], row["value"]), ())]
        if known:
            self._add(key, known[0])
            self._families[known[0]].links += [row["series"] for row in good]
            return
        said = " ".join(text.split())[:80]
        own = f"malware of {'fingerprint' if kind == joint.MARK_FINGERPRINT else 'ports'} {said}"
        token = next((row["value"] for row in good if row["kind"] == joint.TOKEN), "")
        name = token if token and token not in self._families else own
        with_ = ", ".join(dict.fromkeys(row["kind"] for row in (good or rows)))
        family = Family(name, max(float(row["probability"]) for row in rows), by=f"its links ({with_})")
        family.links = [row["series"] for row in (good or rows)]
        self._families[name] = family
        self._add(key, name)
        for row in good:
            self._add(mark(row["kind"], row["value"]), name)

    def _add(self, key: str, name: str) -> None:
        names = self._of.setdefault(key, [])
        if name not in names:
            names.append(name)

    def named(self, text: str) -> Family:
        """A family by its name; one that only a honeypot session names comes into being."""
        if text not in self._families:
            self._families[text] = Family(text, 0.8, by="what it did at a honeypot")
        return self._families[text]

    def of(self, text: str) -> list[Family]:
        """Families of a mark ("kind\x1fvalue"), most probable first. A session's family is that of the token of the
        same name."""
        names = self._of.get(text, [])
        if not names and text.startswith(mark(FAMILY, "")):
            names = self._of.get(mark(joint.TOKEN, text[len(mark(FAMILY, "")) :]), [])
        found = [self._families[name] for name in names]
        return sorted(found, key=lambda family: (-family.probability, family.name))
