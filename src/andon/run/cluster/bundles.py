"""Small files are read several by one task: a bundle.

What a partition leaves behind has a cost of its own, whatever is in it: summaries are written, read and merged, a file
is synced, a task is scheduled. Files of a minute make that cost larger than reading them. So where a job has very many
files, neighbours of the list share a task and its summaries, up to a size that takes a worker some seconds.

Bundles have to be the same when a job is submitted again, or when its month has moved on by a day: else nothing that
was finished would be found. So they depend on the files and not on the workers, the size they are filled to is a power
of two, and wherever the digest of a file says so a bundle ends, so that after files that are gone or new the bundles
come to be the same again.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from andon.run.cluster.partition import Partition

LARGEST: Final = 256 << 20  # bytes of capture: some seconds of a core
_TASKS: Final = 128  # that a job is cut into at least before anything is bundled
FILES: Final = 128  # at most in a bundle
_ENDS: Final = 128  # one file in so many ends its bundle
_DENSE: Final = 4  # bytes of a capture for one of a compressed capture or a file of the history
_PLAIN: Final = frozenset({".pcap", ".pcapng", ".cap"})


def weight(partition: Partition) -> int:
    """Bytes of the capture that would take as long to read."""
    plain = Path(partition.path).suffix in _PLAIN
    return max(partition.size, 1) * (1 if plain else _DENSE)


def bundled(partitions: Sequence[Partition]) -> list[list[int]]:
    """Numbers of the partitions, in their order, cut into bundles. Only packets are bundled.

    A job of a few files has one bundle for each: there are then no more tasks than files, and workers want tasks.
    """
    total = sum(weight(one) for one in partitions if one.what == "packets")
    target = min(LARGEST, 1 << max((total // _TASKS).bit_length() - 1, 0))
    bundles: list[list[int]] = []
    held = 0
    for number, one in enumerate(partitions):
        size = weight(one)
        last = partitions[bundles[-1][-1]] if bundles else None
        joins = (
            last is not None
            and one.what == last.what == "packets"
            and len(bundles[-1]) < FILES
            and held + size <= target
            and int(last.digest[:8], 16) % _ENDS != 0
        )
        if joins:
            bundles[-1].append(number)
            held += size
        else:
            bundles.append([number])
            held = size
    return bundles
