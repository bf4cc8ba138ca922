"""Plots of coordinated activity: they show what the table says, are whole files, and never change by themselves."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from matplotlib.dates import date2num

from andon.records.coordination import ACTIVITY
from andon.records.finding import Finding
from andon.share.plots import MOST_PORTS, plot, write_plots

SPAN = 600 * 10**9
START = 1_767_225_600 * 10**9


def finding(**changed: object) -> Finding:
    made = Finding(
        engine="darknet.synchrony", engine_version=1, kind="coordinated-activity", title="300 hosts woke on 5555/tcp",
        statement="", confidence=0.9, calibration="none", window=(START + 6 * SPAN, START + 7 * SPAN),
        subject=("port-set", "5555/tcp"), first_seen=START + 6 * SPAN + 60 * 10**9, last_seen=START + 7 * SPAN,
        count=1200, attributes={"event": "start", "log10_e_value": 12.0},
    )  # fmt: skip
    return replace(made, **changed)  # type: ignore[arg-type]


def activity(series: str, port: int = 5555, bins: tuple[int, ...] = (0, 1, 2, 5, 6)) -> pa.Table:
    start = START + np.array(bins) * SPAN
    values = {
        "series": [series] * len(bins), "port": [port] * len(bins), "protocol": [6] * len(bins), "start": start,
        "end": start + SPAN, "sources": [3, 4, 2, 5, 310], "new_sources": [1, 0, 1, 2, 300], "expected": [0.8] * 5,
    }  # fmt: skip
    return pa.Table.from_arrays(
        [pa.array(values[field.name], pa.int64()).cast(field.type)
         if field.name in ("start", "end") else pa.array(values[field.name], field.type) for field in ACTIVITY],
        schema=ACTIVITY,
    )  # fmt: skip


def test_a_bin_without_sources_is_drawn_as_zero_and_the_alert_is_marked() -> None:
    figure = plot(finding(), activity(finding().series))
    assert figure is not None
    axis = figure.axes[0]
    new, sources, expected = axis.patches
    assert sources.get_data().values.tolist() == [3, 4, 2, 0, 5, 310]
    assert new.get_data().values.max() == 300 and expected.get_data().values.max() == 0.8
    begun, told = (line.get_xdata()[0] for line in axis.lines)
    assert begun == date2num(np.datetime64(finding().first_seen, "ns"))
    assert told == date2num(np.datetime64(START + 7 * SPAN, "ns"))


@pytest.mark.parametrize(("kind", "magic"), [("png", b"\x89PNG"), ("svg", b"<?xml")])
def test_files_are_whole_and_the_same_every_time(tmp_path: Path, kind: str, magic: bytes) -> None:
    for folder in ("a", "b"):
        files, more = write_plots([finding()], [activity(finding().series)], tmp_path / folder, kind)
        assert [path.name for path in files] == [f"{finding().id}.{kind}"] and more == 0
    first, second = ((tmp_path / folder / "plots" / files[0].name).read_bytes() for folder in ("a", "b"))
    assert first.startswith(magic) and first == second


def test_the_row_published_last_stands() -> None:
    series = finding().series
    old = activity(series).set_column(
        ACTIVITY.get_field_index("sources"), ACTIVITY.field("sources"), pa.array([9] * 5, pa.int64())
    )
    figure = plot(finding(), pa.concat_tables([activity(series)]))
    assert figure is not None
    from andon.share.plots import _newest

    assert _newest([old, activity(series)]).column("sources").to_pylist() == [3, 4, 2, 5, 310]


def test_many_ports_are_named_but_not_all_drawn() -> None:
    series = finding().series
    table = pa.concat_tables([activity(series, port) for port in range(1, MOST_PORTS + 4)])
    figure = plot(finding(), table)
    assert figure is not None
    assert len(figure.axes) == MOST_PORTS and "3 more ports" in figure.get_suptitle()


def test_findings_without_activity_have_no_plot_and_other_kinds_none(tmp_path: Path) -> None:
    assert plot(finding(), activity("another")) is None
    assert write_plots([replace(finding(), kind="census")], [], tmp_path, "png") == ([], 0)
    with pytest.raises(ValueError, match="png or svg"):
        write_plots([finding()], [], tmp_path, "pdf")
