"""What the audit found, on its way from verdicts to the promise of the next model."""

from __future__ import annotations

import made_triage as made
import numpy as np
import pytest

from andon.learn.feedback import cycle
from andon.learn.feedback.shelf import Shelf
from andon.records.contract import Site
from andon.store.casebook import Casebook
from andon.triage.screening import engine
from andon.triage.screening.conformal import adapted, miss_rate
from andon.triage.screening.rank import Ranker

NOW = made.START + 21 * made.DAY


def model(folder, signal):
    """A model of verdicts on what was shown and on the audit, which draws one in five of what is screened out."""
    table, truth = made.episodes(audits=0.2, days=15, signal=signal)
    tier = np.array(table["tier"].to_pylist())
    seen = np.flatnonzero(tier != "screened")
    with Casebook(folder) as book:
        book.migrate()
        book.episodes.put(table)
        told = [
            *made.verdicts(table, truth, rows=seen[tier[seen] == "inspect"]),
            *made.verdicts(table, truth, rows=seen[tier[seen] == "audit"], shown="audit"),
        ]
        book.verdicts.add_all(told)
        data = cycle.make_data(book, Shelf(folder / "learn"), NOW).data
    return cycle.train_screening(data, 0, trees=10), truth & (tier == "audit"), truth & (tier != "screened")


def test_misses_of_the_audit_take_the_promise_back(tmp_path):
    candidate, missed, heard = model(tmp_path, 0.0)  # half of the true ones are screened out
    said = candidate.card["audit"]
    assert said["true"] <= heard.sum() and 0 < said["missed"] <= missed.sum()
    ranker = Ranker.of(candidate)
    assert (ranker.calibration[1] < 0).all()  # all scores are of this store
    assert said["miss_rate"] == pytest.approx(miss_rate(*ranker.audit)[0], abs=1e-6)
    assert 0.2 < said["miss_rate"] < 0.8
    promise = engine(Site(models={"screening": candidate}))._promise
    assert promise is not None and not promise.kept and "the audit found" in promise.statement


def test_an_audit_that_finds_nothing_leaves_the_promise_as_it_was_asked_for(tmp_path):
    candidate, missed, _ = model(tmp_path, 4.0)
    assert not missed.any() and candidate.card["audit"]["missed"] == 0
    ranker = Ranker.of(candidate)
    promise = ranker.promise(0.1, 0.95)
    assert promise.kept and promise.confidence == 0.95 and promise.networks == 1
    assert "moved" not in promise.statement
    scores, _ = ranker.calibration
    assert (scores < promise.threshold).mean() <= 0.1
    assert adapted(0.1, 0.1, *(part.tolist() for part in ranker.audit)) > 0.1  # it would have been loosened
