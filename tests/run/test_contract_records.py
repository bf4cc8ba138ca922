"""The contract test holds engines of any kind of record to the same promises."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import pytest
from record_engines import DAY, START, All, Counts, Joined, Packets, Sessions, cowrie, log

from andon.observe.jsonlines import Skipped
from andon.observe.sensors import sniff
from andon.records.kinds import DARKNET_SOURCE, HONEYPOT_SESSION, kind_of, marked
from andon.records.sighting import SIGHTING
from andon.run.contract import ContractBroken, check_engine
from andon.simulate.internet import InternetConfig, packets


@pytest.fixture(scope="module")
def mixed(tmp_path_factory: pytest.TempPathFactory) -> list[pa.RecordBatch]:
    """Packets, sessions and darknet sources."""
    path = log(
        tmp_path_factory.mktemp("log") / "cowrie.json",
        (cowrie(n, START + n * DAY // 50, f"192.0.2.{n % 9}") for n in range(60)),
    )
    sensor = sniff(path)
    assert sensor is not None
    sessions = [marked(batch, HONEYPOT_SESSION) for batch in sensor.read(path, Skipped())]
    rows = [
        {"first": START + n, "last": START + n, "src": n % 5, "dst_port": 23, "protocol": 6, "fingerprint": "",
         "packets": 1}
        for n in range(40)
    ]  # fmt: skip
    sources = marked(pa.RecordBatch.from_pylist(rows, SIGHTING), DARKNET_SOURCE)
    return [*packets(InternetConfig(seed=2, packets=3000)), *sessions, sources]


def test_an_engine_of_three_kinds_keeps_the_contract(mixed: list[pa.RecordBatch]) -> None:
    (finding,) = check_engine(All(), mixed).findings
    assert finding.count == sum(batch.num_rows for batch in mixed)
    (finding,) = check_engine(Sessions(), mixed).findings
    assert finding.count == 60 and finding.window[0] == START
    (finding,) = check_engine(Joined(), mixed, {"test.sessions:counts": pa.table({"a": [1, 2]})}).findings
    assert finding.attributes["tables"] == {"test.sessions:counts": 2}


def test_records_that_are_not_declared_are_not_shown(mixed: list[pa.RecordBatch]) -> None:
    seen: set[str] = set()

    class Watching(Sessions):
        def summarise(self, batch: pa.RecordBatch, into: Counts) -> Counts:
            seen.add(kind_of(batch))
            return super().summarise(batch, into)

    check_engine(Watching(), mixed)
    assert seen == {HONEYPOT_SESSION}


class Depends(Sessions):
    """Its answer depends on how sessions are cut into batches."""

    def summarise(self, batch: pa.RecordBatch, into: Counts) -> Counts:
        into.add(HONEYPOT_SESSION, -2, 1, 0)
        return super().summarise(batch, into)


class Unknown(Sessions):
    reads: ClassVar = ("telegram",)


class NoColumns(Packets):
    columns: ClassVar = ()


class Columns(Sessions):
    columns: ClassVar = ("ts",)


@pytest.mark.parametrize(
    ("engine", "why"),
    [
        (Depends(), "many small batches"),
        (Unknown(), "reads 'telegram'"),
        (NoColumns(), "says which columns"),
        (Columns(), "says which columns"),
    ],
)
def test_an_engine_that_breaks_the_contract_is_told_how(
    mixed: list[pa.RecordBatch], engine: Any, why: str
) -> None:
    with pytest.raises(ContractBroken, match=why):
        check_engine(engine, mixed)


def test_a_batch_that_no_runner_would_give_is_refused() -> None:
    batch = pa.record_batch({"start": pa.array(np.arange(3))})
    with pytest.raises(ContractBroken, match="not in its schema"):
        check_engine(Sessions(), [marked(batch, HONEYPOT_SESSION)])
    with pytest.raises(ContractBroken, match="unknown kind"):
        check_engine(Sessions(), [marked(batch, "telegram")])
