"""Tables the operator gives: good lines are used, bad ones counted, nothing is fatal that need not be."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mmdb_writer import MMDBWriter
from netaddr import IPSet

from andon.observe.lists import CsvLocator, MmdbLocator, TableError, locator, reverse_names, scanner_list


def test_a_scanner_list_is_read_with_heading_comments_and_bad_lines(tmp_path: Path) -> None:
    path = tmp_path / "scanners.csv"
    path.write_text(
        "cidr,organisation\n# a comment\n192.0.2.0/24,Example Survey\nnonsense,x\n198.51.100.7,One\nalone\n"
    )
    table, skipped = scanner_list(path)
    assert table.to_pylist() == [
        {"cidr": "192.0.2.0/24", "organisation": "Example Survey"},
        {"cidr": "198.51.100.7/32", "organisation": "One"},
    ]
    assert skipped.lines == 2
    assert "nonsense" in "".join(skipped.examples)


def test_the_public_scanner_lists_are_read_whole(andon_data: Path) -> None:
    labels = andon_data / "darknet-data" / "labels"
    assert len(scanner_list(labels / "internet_scanners_openfilters.parquet")[0]) == 22_088
    assert len(scanner_list(labels / "acknowledged_scanners_rasterburn1.parquet")[0]) == 1_266
    assert len(scanner_list(labels / "darkvec_ground_truth_half.parquet")[0]) == 5_017


@pytest.mark.parametrize("content", ["", "only,headings\n", "\x00\x01\x02"])
def test_a_list_without_one_good_line_says_what_is_expected(tmp_path: Path, content: str) -> None:
    path = tmp_path / "empty.csv"
    path.write_text(content)
    with pytest.raises(TableError, match="CIDR,ORGANISATION"):
        scanner_list(path)


def test_a_parquet_file_without_the_columns_says_which_are_needed(tmp_path: Path) -> None:
    pq.write_table(pa.table({"a": [1]}), tmp_path / "x.parquet")
    with pytest.raises(TableError, match="cidr and organisation"):
        scanner_list(tmp_path / "x.parquet")
    (tmp_path / "y.parquet").write_bytes(b"PAR1 no")
    with pytest.raises(TableError, match="not a Parquet file"):
        scanner_list(tmp_path / "y.parquet")


def test_reverse_names_are_lower_case_and_without_the_final_dot(tmp_path: Path) -> None:
    path = tmp_path / "ptr.csv"
    path.write_text("192.0.2.9,Scan-7.Example.ORG.\n999.1.1.1,x\n192.0.2.10\n")
    names, skipped = reverse_names(path)
    assert names == {0xC0000209: "scan-7.example.org"}
    assert skipped.lines == 2


def addresses(*texts: str) -> np.ndarray:
    from ipaddress import IPv4Address

    return np.array([int(IPv4Address(text)) for text in texts], np.uint32)


def test_the_longest_prefix_gives_country_and_as(tmp_path: Path) -> None:
    path = tmp_path / "geo.csv"
    path.write_text("10.0.0.0/8,AA,64500,Big\n10.1.0.0/16,BB,AS64501,Small\n10.1.2.0/24,CC,64502,Tiny\n")
    made = CsvLocator(path)
    countries, systems = made.locate(
        addresses("10.0.0.1", "10.1.0.1", "10.1.2.3", "10.1.3.0", "10.2.0.0", "11.0.0.0")
    )
    assert countries == ["AA", "BB", "CC", "BB", "AA", ""]
    assert systems[:3] == ["AS64500 Big", "AS64501 Small", "AS64502 Tiny"]


@given(
    st.lists(st.tuples(st.integers(0, 255), st.integers(24, 32)), min_size=1, max_size=12),
    st.integers(0, 255),
)
@settings(max_examples=60, deadline=None)
def test_nested_prefixes_agree_with_a_plain_search(prefixes: list[tuple[int, int]], probe: int) -> None:
    from ipaddress import IPv4Address, IPv4Network
    from tempfile import TemporaryDirectory

    networks = {
        str(IPv4Network((f"192.0.2.{n}", length), strict=False)): f"C{i}"
        for i, (n, length) in enumerate(prefixes)
    }
    with TemporaryDirectory() as folder:
        path = Path(folder) / "geo.csv"
        path.write_text("".join(f"{cidr},{label},1\n" for cidr, label in networks.items()))
        (got,), _ = CsvLocator(path).locate(addresses(f"192.0.2.{probe}"))
    holding = [IPv4Network(c) for c in networks if IPv4Address(f"192.0.2.{probe}") in IPv4Network(c)]
    expected = networks[str(max(holding, key=lambda network: network.prefixlen))] if holding else ""
    assert got == expected


def test_an_mmdb_file_gives_country_and_as(tmp_path: Path) -> None:
    writer = MMDBWriter(4, "Test")
    writer.insert_network(
        IPSet(["192.0.2.0/24"]),
        {
            "country": {"iso_code": "ZZ"},
            "autonomous_system_number": 64500,
            "autonomous_system_organization": "Example",
        },
    )
    writer.to_db_file(str(tmp_path / "t.mmdb"))
    made = locator(tmp_path / "t.mmdb")
    assert isinstance(made, MmdbLocator)
    assert made.locate(addresses("192.0.2.1", "198.51.100.1")) == (["ZZ", ""], ["AS64500 Example", ""])


def test_a_file_that_is_no_mmdb_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.mmdb").write_bytes(b"no database")
    with pytest.raises(TableError, match=r"x\.mmdb"):
        locator(tmp_path / "x.mmdb")
