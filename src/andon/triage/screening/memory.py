"""What screening carries from span to span: the counters of all groups, open episodes, and the queue of the day.

Groups that showed nothing for ``FORGET`` days go, and beyond ``most`` pairs the ones that were silent longest; how many
went for want of room is counted. A span's carry belongs to that span's length alone: ten minutes and a day each have
their own.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Final, Self

import numpy as np

from andon.sketch.state import StateError, pack, unpack
from andon.triage.screening.counters import LAST, STATE
from andon.triage.screening.summary import PAIRS, VALUE, Table, packed_texts, unpacked_texts

GROUPS: Final = ("pair", "host", "signature", "detector")
FORGET: Final = 40 * 86400.0  # s
_VERSION: Final = 2
_LEVELS: Final = 7  # of severity

# Open episodes: one row each; features stand beside them as matrices.
OPEN: Final = ("pair", "first", "last", "alerts", "severity", "open")
# Episodes of the last hours and of the day.
PAST: Final = ("pair", "host", "signature", "site", "first", "last", "rarity", "site_rarity", "score")
_FLOATS: Final = frozenset({"rarity", "site_rarity", "score"})
_KEYS: Final = frozenset({"pair", "host", "signature", "site", "value", "product", "rule"})


def blank(names: tuple[str, ...]) -> Table:
    """A table of these columns without rows."""
    return {
        name: np.zeros(0, np.float64 if name in _FLOATS else np.uint64 if name in _KEYS else np.int64)
        for name in names
    }


def _nothing() -> dict[str, tuple[np.ndarray, np.ndarray]]:
    return {name: (np.zeros(0, np.uint64), np.zeros((0, STATE))) for name in GROUPS}


@dataclass(frozen=True)
class Memory:
    """``groups``: (sorted keys, state) by name. ``begun`` and ``most``: features of the open episodes. ``values`` and
    ``pairs``: what these episodes named and who they are, with ``texts``. ``forgotten``: pairs that had to go.
    ``chance``: with which the audit drew each open episode; ``severities``: of the product's episodes, see there.
    ``since``: the first alert of all, ns; -1 before it, 0 where it was not noted down."""

    groups: dict[str, tuple[np.ndarray, np.ndarray]] = field(default_factory=_nothing)
    open: Table = field(default_factory=lambda: blank(OPEN))
    begun: np.ndarray = field(default_factory=lambda: np.zeros((0, 0)))
    most: np.ndarray = field(default_factory=lambda: np.zeros((0, 0)))
    values: Table = field(default_factory=lambda: blank(VALUE))
    pairs: Table = field(default_factory=lambda: blank(PAIRS))
    texts: dict[int, str] = field(default_factory=dict)
    past: Table = field(default_factory=lambda: blank(PAST))
    forgotten: int = 0
    chance: np.ndarray = field(default_factory=lambda: np.zeros(0))
    severities: tuple[np.ndarray, np.ndarray] = field(
        default_factory=lambda: (np.zeros(0, np.uint64), np.zeros((0, _LEVELS), np.int64))
    )
    since: int = -1

    def bounded(self, now: float, most: int) -> Memory:
        """Without what is older than FORGET before ``now`` (s) and, beyond ``most`` rows of a group, the oldest."""
        groups, gone = {}, self.forgotten
        for name, (keys, state) in self.groups.items():
            kept = state[:, LAST] > now - FORGET
            if int(kept.sum()) > most:
                # Of equal times the lower keys stay, so that the choice does not depend on anything else.
                order = np.lexsort((keys, -state[:, LAST]))
                order = order[kept[order]][:most]
                if name == "pair":
                    gone += int(kept.sum()) - most
                kept = np.zeros(len(keys), bool)
                kept[order] = True
            groups[name] = (keys[kept], state[kept])
        return replace(self, groups=groups, forgotten=gone)

    def to_bytes(self) -> bytes:
        arrays: Table = {}
        for name, (keys, state) in self.groups.items():
            arrays[f"{name} keys"], arrays[f"{name} state"] = keys, state
        for part, table in (
            ("open", self.open),
            ("values", self.values),
            ("pairs", self.pairs),
            ("past", self.past),
        ):
            arrays |= {f"{part}.{name}": values for name, values in table.items()}
        words = sorted(self.texts)
        texts, offsets = packed_texts([self.texts[key] for key in words])
        arrays |= {
            "begun": self.begun,
            "most": self.most,
            "chance": self.chance,
            "severity keys": self.severities[0],
            "severity counts": self.severities[1],
            "text keys": np.array(words, np.uint64),
            "texts": texts,
            "offsets": offsets,
        }
        return pack("screening memory", _VERSION, arrays, {"forgotten": self.forgotten, "since": self.since})

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        arrays, scalars = unpack("screening memory", _VERSION, data)
        try:
            words = unpacked_texts(arrays["texts"], arrays["offsets"])
            return cls(
                groups={name: (arrays[f"{name} keys"], arrays[f"{name} state"]) for name in GROUPS},
                open={name: arrays[f"open.{name}"] for name in OPEN},
                begun=arrays["begun"],
                most=arrays["most"],
                values={name: arrays[f"values.{name}"] for name in VALUE},
                pairs={name: arrays[f"pairs.{name}"] for name in PAIRS},
                texts=dict(zip(arrays["text keys"].tolist(), words, strict=True)),
                past={name: arrays[f"past.{name}"] for name in PAST},
                forgotten=scalars["forgotten"],
                chance=arrays["chance"],
                severities=(arrays["severity keys"], arrays["severity counts"]),
                since=scalars.get("since", 0),
            )
        except KeyError as error:
            raise StateError(f"a part of the memory is missing: {error}") from error
