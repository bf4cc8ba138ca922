"""The source: what sensors have in their journals, from a topic, exactly once in effect.

Where it stands (the next offset of every partition, and how far each sensor's segments were taken) goes into the
analyser's own journal with the rows, in one segment, and comes back from there: what the broker knows of a group's
offsets is for people and for ``balance`` (``group``). So a kill at any moment repeats nothing and leaves nothing out.
What a producer sent twice is recognised by its place in the sensor's segment (``track``); what never came is told.

A message that cannot be used is counted by reason and passed over. Rows of each source of each sensor are those of a
member, NAME/SENSOR/SOURCE, with a time of its own; so engines draw the conclusions that they would on the sensor.
"""

from __future__ import annotations

import json
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from andon.observe.live.source import Piece
from andon.records.kinds import KINDS
from andon.run.bus.client import Brokers, BusError, consumer, kafka, made, words
from andon.run.bus.group import Group
from andon.run.bus.members import NOTHING, Members, Reading
from andon.run.bus.message import Headers, Refused, read_headers, unpack
from andon.run.bus.track import Track

_ROWS: Final = 100_000  # of a poll
_MESSAGES: Final = 500
_BYTES: Final = 32 << 20  # of values, of a poll
_LOOK: Final = 30.0  # seconds between two looks for new partitions
_MOST_SENSORS: Final = 1000


class KafkaSource:
    """``group``: of analysers; with ``balance`` its members share the partitions out, else this one reads
    ``partitions`` (none: all). ``sensors``: that are heeded (none: all). ``start``: "earliest" or "latest", where
    nothing was read yet. ``buffer``: bytes that are fetched ahead. ``idle``: seconds of silence after which nobody
    waits for a sensor. ``forgeable``: anybody may write to the topic."""

    replayable = True
    can_wait = True
    kinds = tuple(KINDS)
    kind = ""  # of all kinds

    def __init__(
        self, name: str, brokers: Brokers, group: str, balance: bool = False, partitions: Sequence[int] = (),
        sensors: Sequence[str] = (), start: str = "earliest", buffer: int = 64 << 20, idle: float = 300.0,
        forgeable: bool = False, clock: Callable[[], int] = time.time_ns, now: Callable[[], float] = time.monotonic,
    ) -> None:  # fmt: skip
        kafka()
        brokers.settings()  # what is wrong with it is said at the start
        self.name, self.trouble, self.brokers = name, "", brokers
        self._only, self._sensors, self._start = tuple(partitions), frozenset(sensors), start
        self._buffer, self._now = buffer, now
        self._members = Members(name, sensors, idle, forgeable, clock, now)
        self.members = self._members.awaited
        self.read = Reading()
        self._consumer: Any = None
        self._group_name = group
        self._group = Group(name, group, self) if balance else None
        self.offsets: dict[int, int] = {}  # partition -> next offset, given
        self.tracks: dict[str, Track] = {}
        self.durable: dict[int, int] = {}  # ... in the journal
        self.durable_tracks: Mapping[str, list[Any]] = {}
        self.changed = threading.Condition()
        self._told: list[dict[str, Any]] = []  # for ``events``
        self._hand: list[tuple[int, Piece]] = []  # of this poll, with its partition
        self._before: dict[str, Track | None] = {}  # tracks as they were when this poll began
        self._offsets_before: dict[int, int] = {}
        self._bad: Counter[str] = Counter()
        self._looked = self._committed = -1e9
        self._committed_before: dict[int, int] = {}
        self._assigned: tuple[int, ...] = ()
        self._said = ""
        self._lag: dict[int, int] = {}
        self._up = True
        self._reopen_at = 0.0
        self.closing = False
        self.id = uuid.uuid4().hex[:12]

    # What the runner asks

    @property
    def finished(self) -> bool:
        return False

    def open(self, position: Mapping[str, Any] | None) -> None:
        if position:
            self.id = str(position["id"])
            self.offsets = {int(p): int(at) for p, at in position["partitions"].items()}
            self.durable, self.durable_tracks = dict(self.offsets), position["sensors"]
            self.tracks = {sensor: Track.from_json(held) for sensor, held in position["sensors"].items()}
            if self._group is not None:
                self._group.restore(position.get("group", {}))
        self._told += self._members.open(self.tracks)
        self._connect()

    def poll(self, timeout: float) -> list[Piece]:
        if self._consumer is None and not self._reconnect(timeout):
            return []
        self._hand, self._before, self._offsets_before = [], {}, {}
        if self._group is None and not self._assign(timeout):
            return []
        nbytes, rows, count = 0, 0, 0
        message = self._consumer.poll(timeout)
        while message is not None and not (self._group is not None and self._group.broken):
            if message.error() is not None:
                self._error(message)
            else:
                rows += self._take(message)
                nbytes += len(message.value() or b"")
            count += 1
            if rows >= _ROWS or nbytes >= _BYTES or count >= _MESSAGES or self._consumer is None:
                break
            message = self._consumer.poll(0)
        if self._group is not None and self._group.broken:
            self.reopen(self._group.broken)
        self._tend()
        self.trouble = "" if self._up and not self._said else f"source {self.name}: {self._words()}"
        return self._pieces()

    def events(self) -> list[dict[str, Any]]:
        self._told += self._members.silent()
        told, self._told = self._told, []
        return told

    def quiet(self) -> int | None:
        return None

    def kept(self, position: Mapping[str, Any]) -> None:
        """The position is in the journal (called by the pump)."""
        if "partitions" in position:
            with self.changed:
                self.durable = {int(p): int(at) for p, at in position["partitions"].items()}
                self.durable_tracks = position["sensors"]
                self.changed.notify_all()

    def close(self) -> None:
        self.closing = True
        if self._consumer is not None:
            if self._group is None:
                self._commit(asynchronous=False)
            self._consumer.close()  # of a group: gives its partitions back, see ``Group.revoked``
            self._consumer = None

    def status(self) -> dict[str, Any]:
        """JSON values; ``lag``: messages behind the end, by partition."""
        assigned = self._group.owned if self._group is not None else self._assigned
        read = self.read
        return {
            "topic": self.brokers.topic, "partitions": sorted(assigned),
            "lag": {str(p): n for p, n in sorted(self._lag.copy().items()) if p in assigned},
            "sensors": len(self.tracks), "messages": read.messages, "rows": read.rows, "nbytes": read.nbytes,
            "duplicates": read.duplicates, "gaps": read.gaps, "lost": read.lost, "late": read.late,
            "refused": sum(read.refused.values()), "reasons": dict(read.refused.most_common(20)),
            "doubled": 0 if self._group is None else self._group.doubled,
        }  # fmt: skip

    # The consumer

    def _connect(self) -> None:
        settings = {
            **self.brokers.settings(),
            **consumer(self._group_name, self._buffer),
            "error_cb": self._client_error,
            "stats_cb": self._statistics,
        }
        if self._group is not None:
            settings["on_commit"] = self._group.committed
        self._consumer, self._assigned = made("Consumer", settings), ()
        if self._group is not None:
            self._group.subscribe(self._consumer)

    def _reconnect(self, timeout: float) -> bool:
        if self._now() < self._reopen_at:
            time.sleep(min(timeout, 0.2))
            return False
        try:
            self._connect()
        except BusError as error:  # such as a certificate that is being replaced
            self.trouble, self._reopen_at = f"source {self.name}: {error}", self._now() + 2.0
            return False
        return True

    def reopen(self, why: str) -> None:
        """Nothing can be said of what was just done: forget it, and begin again from what is in the journal."""
        self._said = why
        consumer, self._consumer = self._consumer, None
        self._reopen_at = self._now() + 2.0
        self._roll_back(None)
        if consumer is not None:
            consumer.close()

    def _assign(self, timeout: float) -> bool:
        """All partitions of the topic, or those that are configured; False while there are none to be had."""
        if self._assigned and (self._only or self._now() - self._looked < _LOOK):
            return True
        module = kafka()
        partitions = self._only
        if not partitions:
            try:
                found = self._consumer.list_topics(self.brokers.topic, timeout=max(0.5, timeout))
            except module.KafkaException as error:
                self._up = bool(self._assigned)
                self._consumer.poll(0)  # hears why: what list_topics says is that there was no answer
                self._said = "" if self._assigned else self._said or words(error)
                self.trouble = "" if self._assigned else f"source {self.name}: {self._words()}"
                self._looked = self._now()
                return bool(self._assigned)
            topic = found.topics[self.brokers.topic]
            if topic.error is not None:
                self.trouble = f"source {self.name}: topic {self.brokers.topic}: {topic.error.str()}"
                time.sleep(min(timeout, 0.5))
                return bool(self._assigned)
            partitions = tuple(sorted(topic.partitions))
        self._looked, self._said, self._up = self._now(), "", True
        if partitions != self._assigned:
            fresh = [self.at(p) for p in partitions if p not in self._assigned]
            self._consumer.incremental_assign(fresh)
            self._assigned = partitions
        return True

    def at(self, partition: int) -> Any:
        """Where to read a partition from."""
        module = kafka()
        begin = module.OFFSET_BEGINNING if self._start == "earliest" else module.OFFSET_END
        return module.TopicPartition(self.brokers.topic, partition, self.offsets.get(partition, begin))

    def _error(self, message: Any) -> None:
        module, error = kafka(), message.error()
        if error.code() == module.KafkaError._AUTO_OFFSET_RESET and message.partition() >= 0:
            self._reset(message.partition())
        elif error.code() not in (module.KafkaError._PARTITION_EOF, module.KafkaError._MAX_POLL_EXCEEDED):
            self._said = error.str()

    def _reset(self, partition: int) -> None:
        """The broker has not got the offset that is wanted: retention took it, or the topic is another one."""
        module = kafka()
        wanted = self.offsets.get(partition, 0)
        place = module.TopicPartition(self.brokers.topic, partition)
        try:
            low, high = self._consumer.get_watermark_offsets(place, timeout=5.0)
            self._consumer.incremental_unassign([place])  # it cannot be sought in: it stopped
            self._consumer.incremental_assign([module.TopicPartition(self.brokers.topic, partition, low)])
        except module.KafkaException as error:
            self.reopen(words(error))
            return
        if wanted < low:
            why = f"partition {partition}: {low - wanted:,} messages were removed before they were read (retention)"
        else:
            why = f"partition {partition} ends at {high:,} and was read up to {wanted:,}: the topic was made anew"
        self._offsets_before.setdefault(partition, wanted)
        self.offsets[partition] = low
        gap = {"type": "gap", "source": self.name, "why": why}
        self._hand.append((partition, Piece(NOTHING, {}, self.name, events=(gap,))))

    # A message

    def _take(self, message: Any) -> int:
        """Rows of it that are new."""
        partition, offset = message.partition(), message.offset()
        if offset < self.offsets.get(partition, 0):
            return 0  # it was fetched before a seek
        self._offsets_before.setdefault(partition, self.offsets.get(partition, offset))
        self.offsets[partition] = offset + 1
        self._said, self._up = "", True
        self.read.messages += 1
        value = message.value()
        self.read.nbytes += len(value or b"")
        try:
            said = read_headers(message.key(), message.headers())
            if self._sensors and said.sensor not in self._sensors:
                raise Refused("its sensor is not among [[source]] sensors")
            if said.sensor not in self.tracks and len(self.tracks) >= _MOST_SENSORS:
                raise Refused(f"it is of one sensor too many ({_MOST_SENSORS:,} are known)")
            return self._take_part(partition, said, value)
        except Refused as error:
            self.read.refused[str(error)] += 1
            self._bad[str(error)] += 1
            return 0

    def _take_part(self, partition: int, said: Headers, value: bytes | None) -> int:
        known = self.tracks.get(said.sensor)
        track = Track.before(said) if known is None else known.copy()
        fresh = track.take(said)
        if not fresh.anything:
            self.read.duplicates += 1
            if fresh.older:
                raise Refused("it is of a store that its sensor does not use any more")
            return 0
        part = unpack(said, value)  # only now: a duplicate costs nothing
        self._before.setdefault(said.sensor, known)
        track.partition = partition
        self.tracks[said.sensor] = track
        self._hand += [(partition, piece) for piece in self._members.pieces(part, track, fresh, self.read)]
        rows = sum(stop - start for start, stop in fresh.ranges) if part.held else 0
        self.read.rows += rows
        return rows

    # After the messages

    def _pieces(self) -> list[Piece]:
        """What is in hand, and where the source stands after it: into the journal together, or neither."""
        bad, self._bad = self._bad, Counter()
        if not self._hand and not bad and not self._offsets_before:
            return []
        events = tuple(
            {"type": "damage", "source": self.name, "file": reason, "places": count,
             "what": f"{count:,} message{'' if count == 1 else 's'} of the bus passed over: {reason}"}
            for reason, count in bad.items()
        )  # fmt: skip
        pieces = [piece for _, piece in self._hand]
        self._hand, self._before, self._offsets_before = [], {}, {}
        return [*pieces, Piece(NOTHING, self.position(), events=events)]

    def position(self) -> dict[str, Any]:
        """Where the source stands, for ``open``."""
        made = {
            "id": self.id,
            "partitions": {str(p): at for p, at in self.offsets.items()},
            "sensors": {sensor: track.to_json() for sensor, track in self.tracks.items()},
        }
        return made if self._group is None else {**made, "group": self._group.state()}

    def _roll_back(self, partitions: Sequence[int] | None) -> None:
        """Give back what is in hand of some partitions (None: of all), as if it had not been read."""
        mine = [p for p in self._offsets_before if partitions is None or p in partitions]
        for p in mine:
            self.offsets[p] = self._offsets_before.pop(p)
        for sensor in [
            s for s in self._before if partitions is None or self.tracks[s].partition in partitions
        ]:
            before = self._before.pop(sensor)
            if before is None:
                del self.tracks[sensor]
            else:
                self.tracks[sensor] = before
        self._hand = [(p, piece) for p, piece in self._hand if partitions is not None and p not in partitions]

    def give_up(self, partitions: Sequence[int]) -> None:
        """Partitions that another analyser has from now on: nobody waits here for their sensors."""
        self._roll_back(partitions)
        for sensor, track in self.tracks.items():
            if track.partition in partitions:
                self._told += self._members.left(sensor, track)

    def tell(self, event: dict[str, Any]) -> None:
        self._told.append(event)

    def _tend(self) -> None:
        """Tell the broker what is in the journal, for people who look at a group's lag, and for the group."""
        if self._consumer is None or self._now() - self._committed < (1.0 if self._group is None else 0.2):
            return
        self._committed = self._now()
        if self._group is not None:
            self._group.tend(self._consumer)
        else:
            self._commit(asynchronous=True)

    def _commit(self, asynchronous: bool) -> None:
        module = kafka()
        with self.changed:
            durable = {p: at for p, at in self.durable.items() if p in self._assigned}
        if durable and durable != self._committed_before:
            places = [module.TopicPartition(self.brokers.topic, p, at) for p, at in durable.items()]
            try:
                self._consumer.commit(offsets=places, asynchronous=asynchronous)
                self._committed_before = durable
            except module.KafkaException:
                pass  # it is for people; the position that counts is ours

    def _client_error(self, error: Any) -> None:
        if not self._said or error.code() != kafka().KafkaError._ALL_BROKERS_DOWN:  # which does not say why
            self._said = error.str()

    def _statistics(self, text: str) -> None:
        try:
            found = json.loads(text)
            states = [one["state"] for one in found["brokers"].values() if one.get("nodeid", -1) >= 0]
            partitions = found["topics"].get(self.brokers.topic, {}).get("partitions", {})
            for name, one in partitions.items():
                if int(name) >= 0 and one["ls_offset"] >= 0:
                    self._lag[int(name)] = max(
                        0, one["ls_offset"] - self.offsets.get(int(name), one["lo_offset"])
                    )
        except (ValueError, KeyError, TypeError):
            return
        self._up = not states or any(state == "UP" for state in states)
        if self._up and any(int(name) >= 0 for name in partitions):
            self._said = ""

    def _words(self) -> str:
        return f"{', '.join(self.brokers.addresses)}: {self._said or 'no broker can be reached'}; it is tried again"
