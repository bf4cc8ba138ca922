"""Files of URLs in, lines with scores out."""

from __future__ import annotations

import csv
import io
import json
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from andon.learn.url.data import split_urls
from andon.records.model import Model
from andon.records.neutral import plain_json
from andon.sketch.urlscore import UrlScorer

BATCH: Final = 50_000
LONGEST: Final = 1 << 16  # bytes of a line that is read as a URL; longer ones are cut


def score_file(path: Path, model: Model, form: str = "json", explain: bool = False) -> Iterator[str]:
    """Text of the answer, piece by piece, a line for every URL in their order. Raises OSError, ValueError."""
    scorer = UrlScorer(model)
    if form == "csv":
        yield "url,score,log_odds\n"
    for urls in _batches(path):
        yield from _answers(scorer, urls, form, explain)


def _answers(scorer: UrlScorer, urls: pa.Array, form: str, explain: bool) -> Iterator[str]:
    hosts, paths = split_urls(urls)
    z = scorer.scores(hosts, paths)
    bare = pc.equal(pc.utf8_rtrim(paths, characters="/"), "").to_numpy(zero_copy_only=False)
    kinds = np.where(bare, 0, 1)
    scores = scorer.probability(z, kinds)
    out = io.StringIO()
    rows = csv.writer(out, lineterminator="\n")
    for number, (url, score, odds) in enumerate(
        zip(urls.to_pylist(), scores.tolist(), z.tolist(), strict=True)
    ):
        if form == "csv":
            rows.writerow((url, f"{score:.9g}", f"{odds:.6g}"))
            continue
        body = {"url": url, "score": float(f"{score:.9g}"), "log_odds": round(odds, 5)}
        if explain:
            host, path = hosts[number].as_py(), paths[number].as_py()
            body["reasons"] = [[each.feature, each.weight] for each in scorer.explain(host, path)]
        out.write(plain_json(json.dumps(body, ensure_ascii=False)) + "\n")
    yield out.getvalue()


def _batches(path: Path) -> Iterator[pa.Array]:
    if str(path) == "-":
        yield from _lines(sys.stdin.buffer)
        return
    if path.suffix in (".parquet", ".csv"):
        yield from _columns(path)
        return
    with path.open("rb") as file:
        yield from _lines(file)


def _lines(file: Iterable[bytes]) -> Iterator[pa.Array]:
    held: list[str] = []
    for line in file:
        held.append(line[:LONGEST].decode("utf-8", "replace").strip())
        if len(held) == BATCH:
            yield pa.array(held, pa.string())
            held = []
    if held:
        yield pa.array(held, pa.string())


def _columns(path: Path) -> Iterator[pa.Array]:
    import pyarrow.csv
    import pyarrow.parquet

    try:
        if path.suffix == ".parquet":
            with pyarrow.parquet.ParquetFile(path) as file:
                if "url" not in file.schema_arrow.names:
                    raise ValueError(f"{path} has no column url")
                for batch in file.iter_batches(BATCH, columns=["url"]):
                    yield batch.column(0).cast(pa.string()).fill_null("")
            return
        table = pyarrow.csv.read_csv(path)
    except pa.ArrowInvalid as error:
        raise ValueError(f"{path}: {error}") from error
    if "url" not in table.column_names:
        raise ValueError(f"{path} has no column url")
    urls = table["url"].cast(pa.string()).combine_chunks().fill_null("")
    for begin in range(0, len(urls), BATCH):
        yield urls.slice(begin, BATCH)
