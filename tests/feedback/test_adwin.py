"""ADWIN does to the value what river's does, and keeps its window as the paper says."""

from __future__ import annotations

import numpy as np
import pytest
from river import drift as rivers

from andon.sketch.adwin import Adwin

RNG = np.random.default_rng(4)
STREAMS = {
    "coin": np.r_[RNG.random(1500) < 0.1, RNG.random(1500) < 0.25].astype(float),
    "normal": np.r_[RNG.normal(0, 1, 1000), RNG.normal(0.8, 1, 1000), RNG.normal(-0.5, 2, 1000)],
    "ramp": RNG.random(3000) * np.linspace(0.3, 1, 3000),
    "still": RNG.random(3000),
    "constant": np.full(500, 0.25),
}


@pytest.mark.parametrize("name", STREAMS)
@pytest.mark.parametrize("settings", [(0.002, 32, 5, 5, 10), (0.05, 1, 3, 2, 20)], ids=["default", "eager"])
def test_equals_rivers_window_after_every_value(name, settings):
    delta, clock, buckets, shortest, grace = settings
    ours = Adwin(delta, clock, buckets, shortest, grace)
    made = rivers.ADWIN(delta, clock, buckets, shortest, grace)
    theirs = made._helper  # its wrapper forgets everything at a change; what it wraps does not
    for value in STREAMS[name]:
        jump = ours.update(np.array([value]))[0]
        assert bool(jump) == theirs.update(float(value))
        assert ours.width == theirs.get_width()
        assert ours.mean == pytest.approx(theirs.get_total() / theirs.get_width(), abs=1e-9)
        assert ours.variance * ours.width == pytest.approx(theirs.get_variance(), rel=1e-6, abs=1e-9)


def test_first_change_is_seen_where_rivers_public_detector_sees_it():
    values = STREAMS["coin"]
    theirs = rivers.ADWIN()
    seen = []
    for place, value in enumerate(values):
        theirs.update(value)
        if theirs.drift_detected:
            seen.append(place)
    assert int(np.flatnonzero(Adwin().update(values))[0]) == seen[0]


def test_pieces_give_what_the_whole_gives():
    values = STREAMS["normal"]
    whole, pieces = Adwin(), Adwin()
    at_once = whole.update(values)
    parts = [pieces.update(part) for part in np.array_split(values, 17)]
    assert np.array_equal(at_once, np.concatenate(parts))
    assert (whole.width, whole.mean, whole.variance) == (pieces.width, pieces.mean, pieces.variance)


def test_jump_tells_the_way():
    up, down = Adwin(), Adwin()
    steps = np.r_[np.full(500, 0.2), np.full(200, 0.8)]
    assert up.update(steps).max() > 0 == -up.update(steps[:0]).sum()
    assert down.update(1 - steps).min() < 0


def test_what_is_not_a_number_is_refused():
    with pytest.raises(ValueError, match="finite"):
        Adwin().update(np.array([0.0, np.nan]))
    with pytest.raises(ValueError, match="delta"):
        Adwin(delta=0)
    assert np.isnan(Adwin().mean)
