"""``andon learn``: from files to models, cards and scores."""

from __future__ import annotations

import csv
import json
import os
from pathlib import Path

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
import pytest
from typer.testing import CliRunner
from url_made import labelled

from andon.cli import app
from andon.learn import registry

URLS = [
    "https://www.wikipedia.org/wiki/Lantern",
    "http://secure-login-metamask.webflow.io",
    "",
    "::: no url ���",
    "1.2.3.4/x,y",
]


def _run(*args: str, code: int = 0) -> str:
    result = CliRunner().invoke(app, list(args))
    assert result.exit_code == code, result.output
    return result.stdout


def test_scores_of_lines_csv_and_parquet_are_the_same(tmp_path):
    lines, table, packed = tmp_path / "u.txt", tmp_path / "u.csv", tmp_path / "u.parquet"
    lines.write_text("\n".join(URLS), encoding="utf-8")
    column = pa.table({"url": URLS, "n": list(range(len(URLS)))})
    pyarrow.csv.write_csv(column, table)
    pyarrow.parquet.write_table(column, packed)
    answers = [_run("learn", "score", "url", str(path)) for path in (lines, table, packed)]
    assert answers[0] == answers[1] == answers[2]
    rows = [json.loads(line) for line in answers[0].splitlines()]
    assert [row["url"] for row in rows] == URLS
    assert rows[0]["score"] < 0.2 and rows[1]["score"] > 0.9 and rows[0]["log_odds"] < rows[1]["log_odds"]
    text = _run("learn", "score", "url", str(lines), "--format", "csv")
    read = list(csv.DictReader(text.splitlines()))
    assert [float(row["score"]) for row in read] == [row["score"] for row in rows]
    _run("learn", "score", "url", str(lines), "--format", "csv", "--explain", code=2)
    told = json.loads(_run("learn", "score", "url", str(lines), "--explain").splitlines()[1])
    assert told["reasons"] and all(isinstance(weight, float) for _, weight in told["reasons"])


def test_files_that_cannot_be_scored_are_named(tmp_path):
    (tmp_path / "a.csv").write_text("name\nx\n", encoding="utf-8")
    _run("learn", "score", "url", str(tmp_path / "a.csv"), code=2)
    missing = CliRunner().invoke(app, ["learn", "score", "url", str(tmp_path / "none.txt")])
    assert missing.exit_code == 1 and "none.txt: No such file or directory" in missing.stderr
    assert "Errno" not in missing.stderr
    (tmp_path / "m.npz").write_bytes(b"x")
    _run("learn", "show", "url", "--model", str(tmp_path / "m.npz"), code=1)


@pytest.mark.parametrize("kind", ["url", "screening", "vulnerability"])
def test_the_card_of_a_shipped_model_is_shown(kind):
    assert json.loads(_run("learn", "show", kind))["digest"] == registry.shipped()[kind].digest


def test_a_model_is_trained_shown_and_used(tmp_path):
    data, model = tmp_path / "urls.parquet", tmp_path / "own.npz"
    pyarrow.parquet.write_table(pa.table(labelled()), data)
    printed = _run("learn", "train", "url", "--data", str(data), "--out", str(model))
    assert "hard negatives" in printed and "TPR@1%" in printed
    card = json.loads(_run("learn", "show", "url", "--model", str(model)))
    assert card["kind"] == "url" and card["digest"] == registry.load(model).digest
    lines = tmp_path / "u.txt"
    lines.write_text(
        "http://verify-account999.top/wallet-connect/index.php\nhttps://rivermuseum9.org/garden",
        encoding="utf-8",
    )
    scores = [
        json.loads(line)["score"]
        for line in _run("learn", "score", "url", str(lines), "--model", str(model)).splitlines()
    ]
    assert scores[0] > 0.9 and scores[1] < 0.1


@pytest.mark.real_data
@pytest.mark.slow
def test_the_shipped_model_is_reproduced_bit_for_bit(tmp_path):
    data = Path(os.environ.get("ANDON_DATA", "../shared/data")) / "livenet/url/urls_dev.parquet"
    if not data.exists():
        pytest.skip("no labelled URLs below ANDON_DATA")
    _run("learn", "train", "url", "--data", str(data), "--out", str(tmp_path / "url.npz"))
    assert registry.load(tmp_path / "url.npz").digest == registry.shipped()["url"].digest
