"""Orders in whole traffic: the simulated Internet, and real captures."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from andon.detect.darknet.fingerprint.engine import FingerprintEngine
from andon.detect.darknet.fingerprint.order import CYCLIC, Orders, order_families
from andon.detect.darknet.fingerprint.sample import Sample
from andon.detect.darknet.fingerprint.summary import FingerprintSummary
from andon.observe import read
from andon.records.columns import column
from andon.simulate.internet import InternetConfig, packets
from andon.simulate.internet.population import populate
from andon.simulate.internet.session import LISTED
from andon.sketch.cyclic import is_generator


def sampled(batches: object) -> Sample:
    summary = FingerprintSummary(1)
    for batch in batches:  # type: ignore[attr-defined]
        summary.add({name: column(batch, name) for name in FingerprintEngine.columns})
    return summary.sample()


@pytest.mark.parametrize("contamination", [0.0, 0.1])
def test_every_zmap_of_the_simulated_internet_is_found_and_nothing_else(contamination: float) -> None:
    config = InternetConfig(seed=5, packets=200_000, contamination=contamination)
    sample = sampled(packets(config))
    sessions = populate(config).sessions
    zmap = set(sessions["src"][sessions["dst_mode"] == LISTED].tolist())
    size = dict(zip(sample.src.tolist(), np.diff(sample.starts).tolist(), strict=True))
    found = order_families(sample).found
    named = {int(sample.src[one.source]) for one in found}
    assert named <= zmap
    assert {source for source in zmap if size.get(source, 0) >= 30} <= named
    assert len(named) >= 10
    assert {one.order for one in found} == {CYCLIC} and all(one.walk.small for one in found)


def of_capture(path: Path) -> Orders:
    return order_families(sampled(read(str(path))))


@pytest.mark.real_data
def test_the_real_zmap_walks_the_group_with_its_default_blocklist(andon_data: Path) -> None:
    path = andon_data / "darknet-data" / "captures" / "zmap_syn80_10k.pcap"
    if not path.exists():
        pytest.skip(f"{path} is not there")
    (found,) = of_capture(path).found
    assert (found.order, found.port, found.blocklist) == (CYCLIC, 80, True)
    assert found.bits > 100 and found.turns < 1e-5
    # Its two threads interleave steps of g^2, as older versions did: the most frequent ratio in the capture.
    assert is_generator(found.walk.generator)
    assert pow(found.walk.generator, 2, 2**32 + 15) == 2179983321


@pytest.mark.real_data
def test_no_other_real_capture_has_an_order(andon_data: Path) -> None:
    folder = andon_data / "darknet-data" / "captures"
    if not folder.exists():
        pytest.skip(f"{folder} is not there")
    paths = [path for path in sorted(folder.iterdir()) if "zmap" not in path.name]
    assert len(paths) >= 10
    for path in paths:
        assert of_capture(path).found == (), path.name
