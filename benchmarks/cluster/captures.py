"""The captures that the benchmarks of the cluster runner read: a simulated Internet, cut into files of equal size.

    python benchmarks/cluster/captures.py DIR --packets 100000000 --files 20 [--rate 20000]

One simulation, so that sources live in many files, as they do at a telescope that rotates its captures. Files that are
there already are left alone.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from andon.simulate.internet import InternetConfig
from andon.simulate.internet.capture import write_slices
from andon.simulate.internet.population import populate
from andon.simulate.internet.stream import Stream

Slice = tuple[np.ndarray, np.ndarray]


def config(packets: int, rate: float, seed: int = 1, foreign: float = 0.05) -> InternetConfig:
    """``packets`` at ``rate`` per second of their own time, ``foreign`` as in ``benchmarks/scale``."""
    return InternetConfig(seed=seed, packets=packets, duration=packets / rate, contamination=foreign)


def captures(folder: Path, packets: int, files: int, rate: float, seed: int = 1) -> list[Path]:
    """The files in time order, written now if they are not there."""
    paths = [folder / f"{number:05d}.pcap" for number in range(files)]
    done = folder / f"{packets}-{files}-{rate:g}-{seed}"
    if done.exists():
        return paths
    folder.mkdir(parents=True, exist_ok=True)
    stream = iter(Stream(populate(config(packets, rate, seed))))
    rest: list[Slice] = []
    for number, path in enumerate(paths):
        size = packets * (number + 1) // files - packets * number // files
        with path.open("wb", buffering=0) as file:
            write_slices(_take(stream, size, rest), file, None)
    done.touch()
    return paths


def _take(stream: Iterator[Slice], size: int, rest: list[Slice]) -> Iterator[Slice]:
    """``size`` packets of the stream; what is over of a slice waits in ``rest``."""
    while size > 0:
        rows, order = rest.pop() if rest else next(stream)
        if len(order) > size:
            rest.append((rows, order[size:]))
            order = order[:size]
        size -= len(order)
        yield rows, order


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--packets", type=int, default=10_000_000)
    parser.add_argument("--files", type=int, default=10)
    parser.add_argument("--rate", type=float, default=20_000)
    arguments = parser.parse_args()
    began = time.process_time()
    paths = captures(arguments.folder, arguments.packets, arguments.files, arguments.rate)
    size = sum(path.stat().st_size for path in paths)
    print(
        f"{arguments.packets:,} packets in {len(paths)} files, {size:,} bytes "
        f"({size / arguments.packets:.1f} a packet), {time.process_time() - began:.1f} CPU s"
    )


if __name__ == "__main__":
    main()
