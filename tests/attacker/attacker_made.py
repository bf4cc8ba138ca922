"""Attackers made by rule: two classes that differ in some techniques, with families that their groups use."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

FIN = ["T1486", "T1490", "T1489", "T1657", "T1614.001", "T1566.001"]
TAR = ["T1102.002", "T1560.001", "T1010", "T1573.001", "T1001.002", "T1205"]
BOTH = [f"T1{number}" for number in (*range(100, 115), *range(3, 18))]
TECHNIQUES = sorted({*FIN, *TAR, *(f"T1{n:03d}" for n in (*range(100, 115), *range(3, 18)))})


def profiles(groups: int = 60, families: int = 90, seed: int = 3) -> list[dict[str, Any]]:
    """Objects as ``andon learn knowledge --profiles`` reads them; a third of them financial."""
    chance = np.random.default_rng(seed)
    made: list[dict[str, Any]] = []
    for at in range(groups + families):
        financial = at % 3 == 0
        own, other = (FIN, TAR) if financial else (TAR, FIN)
        seen = {t for t in own if chance.random() < 0.6} | {t for t in other if chance.random() < 0.1}
        seen |= {f"T1{n:03d}" for n in (*range(100, 115), *range(3, 18)) if chance.random() < 0.45}
        cls = "financial" if financial else "targeted"
        if at < groups:
            made.append(
                {
                    "id": f"G{at:04d}",
                    "name": f"Group {at}",
                    "cls": cls,
                    "aliases": [f"Alias-{at}x"],
                    "techniques": sorted(seen),
                    "software": [],
                    "created": "2020-01-01",
                }
            )
        else:
            user = 3 * int(chance.integers(groups // 3)) + (0 if financial else 1)
            number = f"S{at:04d}"
            made.append(
                {
                    "id": number,
                    "name": f"Family{at}",
                    "cls": cls,
                    "basis": "users",
                    "users": [f"G{user:04d}"],
                    "platforms": ["Windows"],
                    "techniques": sorted(seen),
                    "created": f"20{15 + at % 8}-01-01",
                    "artefacts": {"file": [f"dropper{at}.exe", "cmd.exe"], "mutex": [f"Global\\m-{at}"]},
                }
            )
            made[user]["software"].append(number)
    return made


def written(folder: Path, items: list[dict[str, Any]], name: str = "profiles.json") -> Path:
    path = folder / name
    path.write_text(json.dumps(items), encoding="utf-8")
    return path


def bundle(items: list[dict[str, Any]]) -> dict[str, Any]:
    """The same as a STIX bundle in ATT&CK's form: classes are not told, but the names of the groups tell them."""
    objects: list[dict[str, Any]] = [
        {"type": "x-mitre-collection", "id": "x-mitre-collection--1", "x_mitre_version": "18.0"}
    ]

    def reference(number: str) -> list[dict[str, str]]:
        return [
            {"source_name": "other", "external_id": "X"},
            {"source_name": "mitre-attack", "external_id": number},
        ]

    objects += [
        {
            "type": "attack-pattern",
            "id": f"attack-pattern--{number}",
            "name": f"Name of {number}",
            "external_references": reference(number),
            "kill_chain_phases": [{"kill_chain_name": "mitre-attack", "phase_name": "impact"}],
        }
        for number in sorted({t for item in items for t in item["techniques"]})
    ]
    uses = 0
    for item in items:
        group = item["id"].startswith("G")
        kind = "intrusion-set" if group else "malware"
        name = item["name"]
        if group:
            name = f"{name.replace(' ', '').upper()} {'SPIDER' if item['cls'] == 'financial' else 'PANDA'}"
        objects.append(
            {
                "type": kind,
                "id": f"{kind}--{item['id']}",
                "name": name,
                "created": item["created"],
                "description": "A thing.",
                "external_references": reference(item["id"]),
            }
        )
        for target in [f"attack-pattern--{t}" for t in item["techniques"]] + [
            f"malware--{s}" for s in item.get("software", [])
        ]:
            uses += 1
            objects.append(
                {
                    "type": "relationship",
                    "id": f"relationship--{uses}",
                    "relationship_type": "uses",
                    "source_ref": f"{kind}--{item['id']}",
                    "target_ref": target,
                    "description": f"It drops `dropper{item['id']}.exe`.",
                }
            )
    return {"type": "bundle", "id": "bundle--1", "spec_version": "2.0", "objects": objects}
