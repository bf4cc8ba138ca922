"""From verdicts in a casebook to a model in use, and back."""

from __future__ import annotations

import json

import made_triage as made
import numpy as np
import pytest
from typer.testing import CliRunner

from andon.cli import app
from andon.learn.feedback import cycle, datasets
from andon.learn.feedback.datasets import DataSet, DataSetError
from andon.learn.feedback.shelf import Shelf, ShelfError, models_in_use
from andon.store.casebook import Casebook

NOW = made.START + 21 * made.DAY


def _run(*args: str, code: int = 0) -> str:
    result = CliRunner().invoke(app, list(args))
    assert result.exit_code == code, (result.output, result.exception)
    return result.stdout


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    folder = tmp_path_factory.mktemp("store")
    table, truth = made.episodes(audits=0.1)
    with Casebook(folder) as book:
        book.migrate()
        book.episodes.put(table)
        book.verdicts.add_all(made.verdicts(table, truth))
    return folder, table, truth


def test_a_model_learnt_from_verdicts_is_promoted_used_and_rolled_back(store):
    folder, _, _ = store
    told = _run("learn", "train", "screening", "--store", str(folder), "--trees", "40", "--by", "ann")
    digest = told.split()[1]
    manifest = json.loads(_run("learn", "dataset", "--store", str(folder)))
    assert manifest["frozen"] and manifest["sides"]["train"]["true"] > 30
    comparison = json.loads(_run("learn", "compare", digest[:8], "--store", str(folder), "--format", "json"))
    assert comparison["promote"] and {each["set"] for each in comparison["sets"]} == {"frozen", "recent"}
    _run("learn", "promote", digest, "--store", str(folder), "--by", "ann")
    with Casebook(folder, read_only=True) as book:
        assert models_in_use(book, Shelf(folder / "learn"))["screening"].digest == digest
        assert book.models.promoted("screening").promoted_by == "ann"
    rows = [
        json.loads(line)
        for line in _run("learn", "models", "--store", str(folder), "--format", "json").splitlines()
    ]
    assert rows[0]["state"] == "promoted" and rows[0]["card"]["data_set"] == manifest["hash"]
    _run("learn", "rollback", "--store", str(folder), "--reason", "for the test")
    with Casebook(folder, read_only=True) as book:
        assert book.models.promoted("screening") is None
        assert "model-roll-back" in {entry.action for entry in book.audit_log()}


def test_the_same_verdicts_give_the_same_data_set_and_the_same_model(store, tmp_path):
    folder, _, _ = store
    with Casebook(folder, read_only=True) as book:
        one, two = Shelf(tmp_path / "a"), Shelf(tmp_path / "b")
        first, second = (cycle.make_data(book, shelf, NOW) for shelf in (one, two))
        again = cycle.make_data(book, one, NOW + made.DAY)
    assert first.data.hash == second.data.hash == again.data.hash
    assert datasets.names(one.data) == datasets.names(two.data)
    models = [cycle.train_screening(each.data, 0, trees=10) for each in (first, second)]
    assert models[0].digest == models[1].digest
    assert one.keep_model(models[0]).digest == models[0].digest


def test_nothing_of_the_frozen_set_is_ever_learnt_from(store, tmp_path):
    folder, table, truth = store
    shelf = Shelf(tmp_path)
    with Casebook(folder, read_only=True) as book:
        first = cycle.make_data(book, shelf, NOW)
    more, new_truth = made.episodes(seed=5, start=made.START + 20 * made.DAY)
    (tmp_path / "copy").mkdir()
    with Casebook(tmp_path / "copy") as book:
        book.migrate()
        for each, about in ((table, truth), (more, new_truth)):
            book.episodes.put(each)
            book.verdicts.add_all(made.verdicts(each, about))
        second = cycle.make_data(book, shelf, NOW + 20 * made.DAY)
    frozen = set(first.frozen.column("id"))
    assert len(frozen) > 50 and second.frozen.hash == first.frozen.hash
    assert not frozen & set(second.data.training().column("id"))
    # A group is on one side, and an episode stays on the side that it had.
    side = dict(zip(second.data.column("id"), second.data.column("side"), strict=True))
    assert all(
        side[id] == was for id, was in zip(first.data.column("id"), first.data.column("side"), strict=True)
    )
    groups = set(zip(second.data.column("group"), second.data.column("side"), strict=True))
    assert len({group for group, _ in groups}) == len(groups)


def _poisoned(data: DataSet, how: str, keep: float = 1.0) -> DataSet:
    rng = np.random.default_rng(3)
    table = data.table
    label = data.column("label").copy()
    train = data.column("side") == "train"
    if how == "shuffled":
        label[train] = rng.permutation(label[train])
    if how == "inverted":
        label[train] = 1 - label[train]
    if how == "denied":  # all but two of the true ones
        label[np.flatnonzero(train & (label == 1))[2:]] = 0
    import pyarrow as pa

    place = table.schema.get_field_index("label")
    return DataSet(table.set_column(place, table.schema.field(place), pa.array(label)), data.manifest)


@pytest.mark.parametrize("how", ["shuffled", "inverted", "denied"])
def test_a_worse_model_is_refused(store, tmp_path, how):
    folder, _, _ = store
    shelf = Shelf(tmp_path)
    with Casebook(folder, read_only=True) as book:
        held = cycle.make_data(book, shelf, NOW)
    good = cycle.train_screening(held.data, 0, trees=40)
    bad = cycle.train_screening(_poisoned(held.data, how), 0, trees=40)
    assert not cycle.compare(bad, good, "good", held.data, held.frozen).promote
    assert cycle.compare(good, bad, "bad", held.data, held.frozen).promote
    assert cycle.compare(good, good, "good", held.data, held.frozen).promote


def test_too_little_is_refused_and_a_person_can_overrule_with_a_reason(tmp_path):
    table, truth = made.episodes(days=4)
    with Casebook(tmp_path) as book:
        book.migrate()
        book.episodes.put(table)
        book.verdicts.add_all(made.verdicts(table, truth))
        shelf = Shelf(tmp_path / "learn")
        held = cycle.make_data(book, shelf, NOW)
        assert held.frozen is None and "10 are needed" in held.waiting
        model = cycle.train(book, shelf, held.data, "ann", NOW, trees=10)
        with pytest.raises(cycle.NotBetter, match="no frozen set yet"):
            cycle.promote(book, shelf, model.digest, "ann", NOW)
        assert book.models.get("screening", model.digest).state == "refused"
        cycle.promote(book, shelf, model.digest, "ann", NOW, override="seen, and wanted")
        assert book.models.promoted("screening").digest == model.digest
        other = cycle.train(book, shelf, held.data, "ann", NOW, seed=2, trees=10)
        cycle.promote(
            book, shelf, other.digest, "ann", NOW, override="the shipped one knows none of our rules"
        )
        row = book.models.promoted("screening")
        assert row.digest == other.digest
        assert row.comparison["override"] == {
            "reason": "the shipped one knows none of our rules",
            "by": "ann",
        }
        assert "knows none of our rules" in json.dumps([dict(entry.detail) for entry in book.audit_log()])


def test_what_was_changed_on_disk_is_not_used(store, tmp_path):
    folder, _, _ = store
    shelf = Shelf(tmp_path)
    with Casebook(folder, read_only=True) as book:
        held = cycle.make_data(book, shelf, NOW)
    model = shelf.keep_model(cycle.train_screening(held.data, 0, trees=10))
    path = shelf.model_file("screening", model.digest)
    other = shelf.keep_model(cycle.train_screening(held.data, 0, seed=2, trees=10))
    path.write_bytes(shelf.model_file("screening", other.digest).read_bytes())
    with pytest.raises(ShelfError, match="not the model"):
        shelf.model("screening", model.digest)
    for name in ("data.parquet", "manifest.json"):
        file = shelf.data / held.data.hash / name
        kept = file.read_bytes()
        file.write_bytes(kept.replace(b"1", b"2", 1))
        with pytest.raises(DataSetError, match=r"changed or is damaged|cannot be read"):
            datasets.load(shelf.data, held.data.hash)
        file.write_bytes(kept)
    with pytest.raises(DataSetError):
        datasets.load(shelf.data, "../../etc")


def test_commands_say_what_is_missing(tmp_path, store):
    folder, _, _ = store
    assert "no casebook" in CliRunner().invoke(app, ["learn", "labels", "--store", str(tmp_path)]).stderr
    with Casebook(tmp_path) as book:
        book.migrate()
    _run("learn", "labels", "--store", str(tmp_path))
    _run("learn", "queries", "--store", str(tmp_path))
    _run("learn", "drift", "--store", str(tmp_path))
    _run("learn", "train", "screening", "--store", str(tmp_path), code=1)
    _run("learn", "rollback", "--store", str(tmp_path), "--reason", "x", code=1)
    _run("learn", "promote", "abcdef", "--store", str(tmp_path), code=1)
    told = CliRunner().invoke(app, ["learn", "dataset", "--store", "postgresql://nobody@localhost/x"])
    assert told.exit_code == 2 and "--files" in told.stderr
    rows = [
        json.loads(x)
        for x in _run("learn", "labels", "--store", str(folder), "--format", "json").splitlines()
    ]
    assert {row["type"] for row in rows} >= {"label", "analyst"}
    seen = json.loads(_run("learn", "drift", "--store", str(folder), "--days", "3000", "--format", "json"))
    assert seen["episodes"] == 800 and seen["audit"]["judged"] > 10
    asked = _run(
        "learn", "queries", "--store", str(folder), "--days", "366", "--budget", "8", "--format", "json"
    )
    assert all(
        json.loads(line)["shown"] in ("top", "uncertain", "audit", "manual") for line in asked.splitlines()
    )


def test_a_model_in_use_that_was_made_for_other_features_counts_as_none(store, tmp_path):
    from andon.records.model import Model

    folder, _, _ = store
    with Casebook(folder, read_only=True) as book:
        held = cycle.make_data(book, Shelf(tmp_path), NOW)
    good = cycle.train_screening(held.data, 0, trees=20)
    old = Model("screening", good.arrays, dict(good.card) | {"features": ["something else"]})
    told = cycle.compare(good, old, "old", held.data, held.frozen)
    assert told.current == "first-seen, old being of other features"
    plain = cycle.compare(good, None, "first-seen", held.data, held.frozen)
    assert told.to_dict()["sets"] == plain.to_dict()["sets"]
