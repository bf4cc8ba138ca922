"""What is remembered from span to span: the medoids of clusters, so that a script keeps its name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Self

import numpy as np

from andon.detect.intel.session.clusters import Script
from andon.sketch.state import StateError, pack, unpack

MOST: Final = 4096  # medoids


@dataclass(frozen=True)
class Memory:
    """``medoids`` with the start (ns) of the span in which each was last seen; at most ``MOST``, the latest."""

    medoids: tuple[tuple[Script, int], ...] = ()

    @classmethod
    def empty(cls) -> Self:
        return cls()

    def after(self, seen: dict[str, Script], when: int) -> Memory:
        """The memory with the medoids of a span, by name."""
        kept = {medoid.name: (medoid, last) for medoid, last in self.medoids}
        kept |= {name: (medoid, when) for name, medoid in seen.items()}
        order = sorted(kept, key=lambda name: (-kept[name][1], name))[:MOST]
        return Memory(tuple(kept[name] for name in sorted(order)))

    def to_bytes(self) -> bytes:
        grams = [sorted(medoid.grams) for medoid, _ in self.medoids]
        labels = [medoid.label.encode() for medoid, _ in self.medoids]
        return pack(
            "session-memory", 1,
            {
                "last": np.array([last for _, last in self.medoids], "<i8"),
                "grams": np.array([gram for one in grams for gram in one], "<u8"),
                "count": np.array([len(one) for one in grams], "<i4"),
                "label": np.frombuffer(b"".join(labels), np.uint8),
                "length": np.array([len(one) for one in labels], "<i4"),
            },
        )  # fmt: skip

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        arrays, _ = unpack("session-memory", 1, data)
        try:
            grams, text = arrays["grams"], arrays["label"].tobytes()
            at, made = np.concatenate(([0], np.cumsum(arrays["count"]))), []
            cut = np.concatenate(([0], np.cumsum(arrays["length"])))
            if at[-1] != len(grams) or cut[-1] != len(text):
                raise StateError("damaged memory of sessions: lengths do not fit")
            for n, last in enumerate(arrays["last"].tolist()):
                label = text[cut[n] : cut[n + 1]].decode()
                made.append((Script(frozenset(grams[at[n] : at[n + 1]].tolist()), label), last))
        except (KeyError, IndexError, UnicodeDecodeError) as error:
            raise StateError(f"damaged memory of sessions: {error}") from error
        return cls(tuple(made))
