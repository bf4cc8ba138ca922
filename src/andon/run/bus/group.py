"""Analysers that share the partitions of a topic out among themselves, and what happens when one changes hands.

Each analyser has a journal of its own, and no transaction spans two of them. So:

* An offset is committed to the group only once the rows before it are in this analyser's journal. Whoever takes a
  partition over begins at the greater of that offset and what it has itself: nothing is lost, whoever dies when.
* In an orderly change the old owner waits until what it has read is in its journal, commits, and lets go: nothing is
  doubled. One that dies, or is cut off, has up to its last second of messages in its journal beyond what it committed
  (or what it reads until it learns that it is out); the new owner reads those again. Every commit names its owner
  and where it began, so the old one, once it is back, counts what both have, and says so.
* How far each sensor was taken travels in the commit's metadata, so the new owner knows gaps and duplicates as the
  old one would. What does not fit (some 40 sensors of a partition do) is taken on trust: a jump is no gap then.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from andon.run.bus.client import kafka, words
from andon.run.bus.track import Track

if TYPE_CHECKING:
    from andon.run.bus.source import KafkaSource

_METADATA: Final = 3_500  # bytes; a broker takes 4,096 unless it is configured otherwise
_OWNERS: Final = 8  # that are remembered
_PATIENCE: Final = 10.0  # seconds for the journal to take what was read
_LOOK: Final = 10.0  # ... between two looks for who has what was ours


class Group:
    """``source``: whose partitions these are. ``broken``: what was asked of the broker had no answer; the source has to
    begin again. ``doubled``: messages that another analyser has taken too."""

    def __init__(self, name: str, group: str, source: KafkaSource) -> None:
        self.name, self.group, self._source = name, group, source
        self.owned: set[int] = set()
        self.broken = ""
        self.doubled = 0
        self._began: dict[int, int] = {}
        self._owners: dict[int, list[tuple[str, int]]] = {}
        self._watched: set[int] = set()
        self._counted: dict[int, str] = {}
        self._sent: dict[int, tuple[int, str]] = {}
        self._looked = -1e9

    def restore(self, state: Mapping[str, Any]) -> None:
        """After ``source.offsets`` are known."""
        self._counted = {int(p): str(who) for p, who in state.get("counted", {}).items()}
        self._watched = set(self._source.offsets)

    def state(self) -> dict[str, Any]:
        return {"counted": {str(p): who for p, who in self._counted.items()}}

    def subscribe(self, consumer: Any) -> None:
        self.owned, self.broken, self._sent = set(), "", {}
        consumer.subscribe(
            [self._source.brokers.topic], on_assign=self.assigned, on_revoke=self.revoked, on_lost=self.lost
        )

    # What the broker calls, within ``poll``

    def assigned(self, consumer: Any, partitions: Sequence[Any]) -> None:
        """These are ours from now on."""
        if not partitions:
            consumer.incremental_assign([])
            return
        try:
            committed = consumer.committed(list(partitions), timeout=_PATIENCE)
        except kafka().KafkaException as error:
            self.broken = f"where the group stands cannot be asked: {words(error)}"
            consumer.incremental_assign([])
            return
        for place in committed:
            self._take_over(place)
        self.owned |= {place.partition for place in partitions}
        self._watched -= self.owned
        consumer.incremental_assign([self._source.at(place.partition) for place in partitions])
        self._commit(consumer, self.owned, asynchronous=True)

    def revoked(self, consumer: Any, partitions: Sequence[Any]) -> None:
        """Another analyser gets these: once what was read is in the journal and the group knows it."""
        gone = {place.partition for place in partitions}
        self._source.give_up(sorted(gone))
        offsets = self._source.offsets
        with self._source.changed:
            self._source.changed.wait_for(
                lambda: self._source.closing or all(self._safe(p) >= offsets.get(p, 0) for p in gone),
                timeout=_PATIENCE,
            )
        self._commit(consumer, gone, asynchronous=False)
        self._let_go(consumer, partitions)

    def lost(self, consumer: Any, partitions: Sequence[Any]) -> None:
        """They were taken away: the group has not heard of us for too long. Nothing can be committed any more."""
        self._source.give_up(sorted(place.partition for place in partitions))
        self._let_go(consumer, partitions)

    def _let_go(self, consumer: Any, partitions: Sequence[Any]) -> None:
        gone = {place.partition for place in partitions}
        self.owned -= gone
        self._watched |= gone
        self._looked = time.monotonic()
        consumer.incremental_unassign(list(partitions))

    # What is done between polls

    def tend(self, consumer: Any) -> None:
        """Commit what is in the journal; look who has what was ours."""
        self._commit(consumer, self.owned, asynchronous=True)
        if self._watched and time.monotonic() - self._looked >= _LOOK:
            self._looked = time.monotonic()
            places = [self._source.at(p) for p in sorted(self._watched)]
            try:
                found = consumer.committed(places, timeout=2.0)
            except kafka().KafkaException:
                return
            for place in found:
                _, owners, _ = _read(place)
                if self._count_doubled(place.partition, owners, self._source.durable.get(place.partition, 0)):
                    self._watched.discard(place.partition)

    def committed(self, error: Any, places: Sequence[Any]) -> None:
        """How an asynchronous commit went."""
        for place in places:
            if error is not None or place.error is not None:
                self._sent.pop(place.partition, None)

    def _safe(self, partition: int) -> int:
        """Every message before is in somebody's journal."""
        return max(self._began.get(partition, 0), self._source.durable.get(partition, 0))

    def _take_over(self, place: Any) -> None:
        partition, source = place.partition, self._source
        offset, owners, tracks = _read(place)
        own = source.offsets.get(partition)
        self._count_doubled(partition, owners, own or 0)
        if offset >= 0 and (own is None or offset > own):
            source.offsets[partition] = offset
            for sensor, track in source.tracks.items():
                if track.partition == partition and sensor not in tracks:
                    track.loose = True
            for sensor, held in tracks.items():
                known = source.tracks.get(sensor)
                if known is not None and known.epoch == held.epoch and known.at >= held.at:
                    continue
                held.partition = partition
                if known is not None:
                    held.sources = known.sources
                    held.past = known.past if known.epoch == held.epoch else [*known.past, known.epoch][-16:]
                source.tracks[sensor] = held
        self._began[partition] = source.offsets.get(partition, 0)
        self._owners[partition] = [*owners, (source.id, self._began[partition])][-_OWNERS:]

    def _count_doubled(self, partition: int, owners: Sequence[tuple[str, int]], have: int) -> bool:
        """Has somebody begun before ``have``, the end of what we have? False while nobody has taken it over."""
        mine = [n for n, (who, _) in enumerate(owners) if who == self._source.id]
        later = owners[mine[-1] + 1 :] if mine else owners[-1:]
        if not later:
            return False
        who, began = min(later, key=lambda one: one[1])
        mark = f"{who} {began}"
        if began < have and self._counted.get(partition) != mark:
            self._counted[partition] = mark
            count = have - began
            self.doubled += count
            what = f"{count:,} messages (from {began:,}) were taken here and by another analyser of the group too"
            self._source.tell(
                {
                    "type": "damage",
                    "source": self.name,
                    "file": f"partition {partition}",
                    "places": count,
                    "what": what,
                }
            )
        return True

    def _commit(self, consumer: Any, partitions: set[int], asynchronous: bool) -> None:
        module = kafka()
        places = []
        for p in sorted(partitions):
            offset = self._safe(p)
            if p not in self._owners or (offset == 0 and p not in self._source.durable):
                continue
            metadata = self._metadata(p)
            if asynchronous and self._sent.get(p) == (offset, metadata):
                continue  # what was asked for last time; where that failed, ``committed`` forgets it
            self._sent[p] = (offset, metadata)
            places.append(module.TopicPartition(self._source.brokers.topic, p, offset, metadata))
        if not places:
            return
        try:
            consumer.commit(offsets=places, asynchronous=asynchronous)
        except module.KafkaException as error:
            for place in places:
                self._sent.pop(place.partition, None)
            if not asynchronous:
                self._source.tell(
                    {"type": "damage", "source": self.name, "file": "group", "places": len(places),
                     "what": f"what was read could not be committed to the group: {words(error)[:200]}"}
                )  # fmt: skip

    def _metadata(self, partition: int) -> str:
        """Who owned it since where, and how far its sensors were taken by what is in the journal."""
        tracks: dict[str, Any] = {}
        made = {"h": [list(one) for one in self._owners[partition]], "t": tracks}
        size = len(json.dumps(made, separators=(",", ":")))
        held = self._source.durable_tracks
        mine = sorted(
            (s for s, one in held.items() if one[5] == partition), key=lambda s: held[s][4], reverse=True
        )
        for sensor in mine:
            epoch, segment, row, packets = held[sensor][:4]
            said = [epoch, segment, row, packets]
            size += len(sensor) + len(json.dumps(said, separators=(",", ":"))) + 4
            if size > _METADATA:
                break
            tracks[sensor] = said
        return json.dumps(made, separators=(",", ":"))


def _read(place: Any) -> tuple[int, list[tuple[str, int]], dict[str, Track]]:
    """(offset, owners, tracks) of what is committed; what does not read, because others wrote it, counts as nothing."""
    if place.error is not None or place.offset < 0:
        return -1, [], {}
    try:
        said = json.loads((place.metadata or "{}")[:4096])
        owners = [(str(who), int(began)) for who, began in said.get("h", [])][-_OWNERS:]
        tracks = {
            str(sensor)[:64]: Track(str(epoch), (int(segment), int(row)), int(packets))
            for sensor, (epoch, segment, row, packets) in said.get("t", {}).items()
        }
    except (ValueError, TypeError, AttributeError, RecursionError):
        return int(place.offset), [], {}
    return int(place.offset), owners, tracks
