"""``andon analyze --digests``: two runs compared with nothing but diff."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from cluster_inputs import PREFIXES, capture, cluster, threads
from typer.testing import CliRunner

from andon.cli import app
from andon.run.digests import DigestFile, differences, of_tables


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return capture(tmp_path_factory.mktemp("digests") / "a.pcap", packets=600, hours=14.0)


def digests(path: Path, out: Path, *more: str) -> list[str]:
    given = [
        "analyze",
        str(path),
        "--telescope",
        ",".join(PREFIXES),
        "--engine",
        "darknet.census",
        "--digests",
    ]
    result = CliRunner().invoke(app, [*given, str(out), *more])
    assert result.exit_code == 0, result.output
    return out.read_text().splitlines()


def test_a_file_that_diff_can_compare(path: Path, tmp_path: Path) -> None:
    lines = digests(path, tmp_path / "a")
    assert lines == digests(path, tmp_path / "b")
    said = [json.loads(line) for line in lines]
    assert [one["span"] for one in said[:-1]].count("1d") == 2
    starts = [one["start"] for one in said[:-1] if one["span"] == "10min"]
    assert starts == sorted(starts) and len(starts) > 50
    assert said[-1].keys() == {"engine", "exact", "found"}
    # Another sample, other summaries.
    other = digests(path, tmp_path / "c", "--hash-key", "5")
    assert len(other) == len(lines) and other != lines


def test_what_is_drawn_again_is_written_once(path: Path, tmp_path: Path) -> None:
    """The cluster runner begins again when files of the work folder turn out to be damaged."""
    with DigestFile(tmp_path / "a") as witness:
        witness.begin()
        for engine, span, start in (("x", "1d", 1), ("y", "1d", 1)):
            witness._file.write(f"{engine}{span}{start}\n")
        witness.begin()
        witness._file.write("once\n")
        witness.finish([])
    assert (tmp_path / "a").read_text() == "once\n"


def test_differences_are_said_in_words(path: Path, tmp_path: Path) -> None:
    one, other = (
        threads([path], engines=("darknet.census",)),
        cluster(tmp_path, [path], engines=("darknet.census",)),
    )
    assert differences(one.recorder, other.recorder) == []
    key = next(iter(other.recorder.seen))
    del other.recorder.seen[key]
    (text,) = differences(one.recorder, other.recorder)
    assert text == f"{key[0]} {key[1]} {key[2]}: only in the first"
    assert differences(one.recorder, other.recorder, but=("darknet.census",)) == []


def test_digests_of_tables_do_not_depend_on_chunks() -> None:
    import pyarrow as pa

    whole = pa.table({"a": [1, 2, 3], "b": ["x", None, "z"]})
    parts = pa.concat_tables([whole.slice(0, 1), whole.slice(1)])
    assert of_tables({"t": whole}) == of_tables({"t": parts})
    assert of_tables({"t": whole}) != of_tables({"u": whole})
    assert of_tables({"t": whole}) != of_tables({"t": whole.slice(1)})
