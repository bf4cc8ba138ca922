"""Laws of reading: whatever the bytes, reading does not raise, and every line is counted once; however a log is cut
into pieces and compressed, the records are the same."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from pathlib import Path

import lz4.frame
import pyarrow as pa
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st
from logs_reading import SAMPLES, accounted, rows_of
from test_logs_elff import BLUECOAT
from test_logs_mapping import NFDUMP, example
from test_logs_squid import FORMATS, NATIVE

from andon.observe.jsonlines import Skipped
from andon.observe.logs import LONGEST, Options, records, squid
from andon.observe.logs.clock import NO_TIME, times
from andon.observe.logs.custom import lines as custom_lines
from andon.observe.logs.elff_lines import ElffLines
from andon.observe.logs.files import blocks
from andon.observe.logs.formatted import Formatted
from andon.observe.logs.scan import BACKSLASH, DOUBLED, JSON, PERCENT, unescape

JSONL = (
    b'{"@timestamp":"2026-01-05T00:30:00Z","client":{"ip":"192.0.2.1"},'
    b'"url":{"full":"http:\\/\\/a.example\\/\\u00e9"}}\n'
)
PAIRS = b'datetime=Mon Jan 05 09:30:00 2026\tClientIP=192.0.2.1\thostname=a.example\turl=a.example/x\tuser="a\\"b"\n'
READERS = {
    "squid": (lambda: Formatted("squid"), (SAMPLES / "squid-native.log").read_bytes()),
    "combined": (lambda: Formatted("combined"), (SAMPLES / "squid-combined.log").read_bytes()),
    "odd": (lambda: Formatted(FORMATS["odd"]), (SAMPLES / "squid-odd.log").read_bytes()),
    "tabbed": (lambda: Formatted(FORMATS["tabbed"]), (SAMPLES / "squid-tabbed.log").read_bytes()),
    "started": (lambda: Formatted(FORMATS["started"]), (SAMPLES / "squid-started.log").read_bytes()),
    "elff": (lambda: ElffLines(BLUECOAT), BLUECOAT),
    "nfdump": (lambda: custom_lines(NFDUMP, example("nfdump"), None), NFDUMP),
    "json": (lambda: custom_lines(JSONL, example("jsonl"), None), 3 * JSONL),
    "pairs": (lambda: custom_lines(PAIRS, example("zscaler"), None), 3 * PAIRS),
}
MUTATION = st.tuples(st.integers(0, 1 << 16), st.integers(0, 3), st.binary(min_size=1, max_size=6))


def mutated(data: bytes, changes: list[tuple[int, int, bytes]]) -> bytes:
    for place, what, new in changes:
        at = place % (len(data) + 1)
        if what == 0:
            data = data[:at] + new + data[at + len(new) :]
        elif what == 1:
            data = data[:at] + new + data[at:]
        elif what == 2:
            data = data[:at] + data[at + len(new) :]
        else:  # what formats act on
            data = data[:at] + b"\n\"%\\[]:/@ -{}#,='\x00\xff"[new[0] % 22 :][:1] + data[at + 1 :]
    return data


@pytest.mark.parametrize("name", READERS)
@settings(max_examples=25)
@given(st.lists(MUTATION, max_size=8))
def test_every_line_is_counted_once_whatever_the_bytes(
    name: str, changes: list[tuple[int, int, bytes]]
) -> None:
    make, data = READERS[name]
    data = mutated(data, changes)
    rows, skipped, reader = rows_of(make(), data)
    count = data.count(b"\n") + (not data.endswith(b"\n") and bool(data))
    if data.startswith(b"\xef\xbb\xbf") and len(data) == 3:
        count = 0
    assert accounted(len(rows), skipped, reader) == count
    assert reader.line == count + 1


@settings(max_examples=25)
@given(st.binary(max_size=300))
def test_recognising_never_raises(head: bytes) -> None:
    from andon.observe.logs import elff

    squid.recognise(head, "x")
    elff.recognise(b"#Fields: " + head, "x")


def _written(path: Path, data: bytes, how: str) -> Path:
    if how == "gz":
        data = gzip.compress(data)
    elif how == "lz4":
        data = lz4.frame.compress(data)
    elif how == "zst":
        parameters = zstandard.ZstdCompressionParameters(window_log=27, enable_ldm=True)
        data = zstandard.ZstdCompressor(compression_params=parameters).compress(data)
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("how", ["plain", "gz", "lz4", "zst"])
def test_compression_does_not_change_what_is_read(tmp_path: Path, how: str) -> None:
    data = NATIVE * 3000
    path = _written(tmp_path / f"access.log.{how}", data, how)
    skipped = Skipped()
    found = [batch for _, batch in records(path, Options(), skipped)]
    assert sum(batch.num_rows for batch in found) == 6000 and not skipped.lines
    assert found[0].column("host").dictionary.to_pylist() == ["app.a.co.example", "b.test"]


def test_a_cut_file_gives_what_was_there_and_then_says_so(tmp_path: Path) -> None:
    whole = _written(tmp_path / "a.log.gz", b"".join(b"%d\n" % n for n in range(300_000)), "gz").read_bytes()
    path = tmp_path / "cut.log.gz"
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(OSError, match="cut"):
        list(blocks(path, 1 << 16))
    text = b"".join(_until_broken(path))
    assert len(text) > 100_000 and text.startswith(b"0\n1\n2\n")


def _until_broken(path: Path) -> Iterator[bytes]:
    try:
        yield from blocks(path, 1 << 16)
    except OSError:
        return


def test_pieces_do_not_change_what_is_read() -> None:
    data = (
        b"".join((SAMPLES / f"squid-{name}.log").read_bytes() for name in ("native", "native")) + b"broken\n"
    )
    whole = rows_of(Formatted("squid"), data)
    reader, skipped, rows = Formatted("squid"), Skipped(), []
    for line in data.splitlines(keepends=True):
        reader = Formatted("squid", reader.state())  # as after a restart
        for _, batch in reader.read(line, skipped):
            rows += batch.to_pylist()
    assert rows == whole[0] and skipped.reasons == whole[1].reasons and skipped.examples == whole[1].examples


def test_line_ends() -> None:
    plain = rows_of(Formatted("squid"), NATIVE)[0]
    assert rows_of(Formatted("squid"), NATIVE.replace(b"\n", b"\r\n"))[0] == plain
    assert rows_of(Formatted("squid"), NATIVE.rstrip(b"\n"))[0] == plain
    rows, skipped, reader = rows_of(Formatted("squid"), b"# a comment\n\n\r\n" + NATIVE + b"\n")
    assert rows == plain and not skipped.lines and not skipped.passed and reader.comments == 4


def test_a_line_without_end_is_one_line(tmp_path: Path) -> None:
    """Its pieces are no lines, not even one that looks like a line; a log of such lines needs no more memory."""
    hidden = b"x" * (3 << 20) + b" " + NATIVE.split(b"\n")[0]
    path = tmp_path / "access.log"
    path.write_bytes(
        NATIVE
        + b"x" * (9 << 20)
        + hidden
        + b"\n"
        + NATIVE
        + b"y" * (5 << 20)
        + b"\n"
        + NATIVE
        + b"z" * (2 << 20)
    )
    skipped = Skipped()
    assert sum(batch.num_rows for _, batch in records(path, Options(), skipped)) == 6
    assert skipped.reasons == {"line longer than 1 MiB": 3}
    assert [line for line, _ in skipped.examples] == [3, 6, 9]
    assert LONGEST == 1 << 20


def test_nul_bytes_are_escaped() -> None:
    """What stands for NUL begins with a backslash, which ends a host as a slash does."""
    data = NATIVE.replace(b"/x?y", b"/x\0y").replace(b"b.test", b"b.test\0.evil", 1)
    rows, skipped, _ = rows_of(Formatted("squid"), data)
    assert not skipped.reasons and [row["host"] for row in rows] == ["app.a.co.example", "b.test"]
    assert rows[1]["path"] == "\\x00.evil/x\\x00y"


def test_a_log_of_nothing_is_no_log(tmp_path: Path) -> None:
    path = tmp_path / "x.log"
    path.write_bytes(b"")
    assert list(records(path, Options(), Skipped())) == []
    path.write_bytes(b"not a log\n")
    with pytest.raises(ValueError, match="not a log of a known format"):
        list(records(path, Options(), Skipped()))


@pytest.mark.parametrize(
    ("text", "form", "expected"),
    [
        (b"1/Feb/2026:03:04:05 +0900", "%d/%b/%Y:%H:%M:%S %z", 1_769_882_645_000_000_000),
        (b"Mon Jan  5 09:30:00 2026", "%c", 1_767_605_400_000_000_000),
        (b"01/05/26 09:30:00 pm", "%m/%d/%y %I:%M:%S %p", 1_767_648_600_000_000_000),
        (b"12:00:00 AM", "%I:%M:%S %p", 0),
        (b"2026-005T09:30:00", "%Y-%jT%H:%M:%S", 1_767_605_400_000_000_000),
        (b"2026-01-05T09:30:00.123456789Z", "iso", 1_767_605_400_123_456_789),
        (b"2026-01-05 09:30:00+09", "iso", 1_767_573_000_000_000_000),
        (b"2026-01-05T09:30:00-03:30", "iso", 1_767_618_000_000_000_000),
        (b"1767605400", "epoch", 1_767_605_400_000_000_000),
        (b"1767605400123", "epoch", 1_767_605_400_123_000_000),
        (b"1767605400123456", "epoch_us", 1_767_605_400_123_456_000),
        (b"2026-02-29T00:00:00", "iso", NO_TIME),
        (b"2026-13-01T00:00:00", "iso", NO_TIME),
        (b"2026-01-05T24:00:00", "iso", NO_TIME),
        (b"2026-01-05T09:30", "iso", NO_TIME),
        (b"2026-01-05T09:30:00 EST", "iso", NO_TIME),
        (b"9" * 30, "epoch", NO_TIME),
        (b"9" * 18, "epoch_s", NO_TIME),
        (b"-5", "epoch", NO_TIME),
        (b"", "iso", NO_TIME),
    ],
)
def test_times(text: bytes, form: str, expected: int) -> None:
    assert times(text, form) == expected


@pytest.mark.parametrize(
    ("text", "written", "expected"),
    [
        (b"a%20b%zz%e3%81%82", PERCENT, "a b%zzあ"),
        (b"%e9", PERCENT, "%e9"),
        (b'\\"\\\\\\x41\\t\\q', BACKSLASH, '"\\A\tq'),
        (b"\\xe9", BACKSLASH, "\\xe9"),
        (b'a""b"', DOUBLED, 'a"b"'),
        (b"\\u00e9\\ud83d\\ude00\\ud800x\\/", JSON, "é😀\ufffdx/"),
        (b"\\u12", JSON, "u12"),
        (b"x\\", JSON, "x\\"),
    ],
)
def test_escapes(text: bytes, written: int, expected: str) -> None:
    import numpy as np

    data = np.frombuffer(text + bytes(16), np.uint8).copy()
    end = unescape(data, 0, len(text), written)
    assert data[:end].tobytes().decode() == expected


@pytest.mark.real_data
def test_synth_a_as_text_is_synth_a(andon_data: Path) -> None:
    """The first records of the Squid log are those of the table it was made from: time, host, bytes."""
    import numpy as np
    import pyarrow.parquet as pq

    folder = andon_data / "livenet" / "proxy" / "synth_a"
    if not folder.is_dir():
        pytest.skip("no proxy logs")
    skipped, parts, rows = Skipped(), [], 0
    for _, batch in records(folder / "access.log.zst", Options(), skipped):
        parts.append(batch.select(["ts", "host", "address", "bytes_in"]))
        rows += batch.num_rows
        if rows > 120_000:
            break
    found = pa.Table.from_batches(parts).unify_dictionaries()
    assert not skipped.lines

    hosts = pq.read_table(folder / "truth_host.parquet", columns=["host", "dest"])
    clients = pq.read_table(folder / "truth_client.parquet", columns=["client", "terminal"])
    number = dict(zip(hosts["host"].to_pylist(), hosts["dest"].to_pylist(), strict=True))
    terminal = dict(zip(clients["client"].to_pylist(), clients["terminal"].to_pylist(), strict=True))

    def coded(name: str, known: dict[str, int]) -> np.ndarray:
        column = found[name].combine_chunks()
        column = column.chunk(0) if isinstance(column, pa.ChunkedArray) else column
        codes = np.array([known[text] for text in column.dictionary.to_pylist()])
        return codes[column.indices.to_numpy()]

    seen = np.stack([
        found["ts"].cast(pa.int64()).to_numpy() // 1_000_000, coded("address", terminal), coded("host", number),
        found["bytes_in"].to_numpy(),
    ])  # fmt: skip
    table = pq.read_table(folder / "log.parquet")
    true = np.stack([
        np.rint(table["ts"].to_numpy() * 1000).astype(np.int64), table["terminal"].to_numpy(),
        table["dest"].to_numpy(), table["bytes"].to_numpy(),
    ])  # fmt: skip
    # The log is in order of the end, the table of the start: before the earliest start that may be missing they agree.
    until = np.sort(seen[0])[-1] - 300_000
    seen, true = seen[:, seen[0] < until], true[:, true[0] < until]
    assert seen.shape == true.shape and seen.shape[1] > 50_000
    assert np.array_equal(seen[:, np.lexsort(seen)], true[:, np.lexsort(true)])
