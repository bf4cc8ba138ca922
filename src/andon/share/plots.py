"""A plot of coordinated activity: sources over time with the alert marked, as PNG or SVG.

What is drawn is the table ``ACTIVITY`` of ``records.coordination``: per port and bin the distinct sources, those never
seen before, and how many new ones the baseline expected. Two lines mark the alert: when the activity began, and the end
of the span after which it was told. The files hold no time of making, so equal input gives equal bytes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from andon.records.coordination import ACTIVITY, STOP
from andon.records.finding import Finding
from andon.store.parquet import whole_file

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FORMATS: Final = ("png", "svg")
MOST_PORTS: Final = 4  # panels of one plot; further ports are named in the title
MOST_PLOTS: Final = 100  # of one analysis, the most surprising first
_PROTOCOLS: Final = {1: "icmp", 6: "tcp", 17: "udp"}
_SOURCES, _NEW, _EXPECTED, _BEGUN, _TOLD = "#37474f", "#90caf9", "#ef6c00", "#c62828", "#6a1b9a"


def write_plots(
    findings: Sequence[Finding], activity: Sequence[pa.Table], folder: Path, kind: str
) -> tuple[list[Path], int]:
    """Plots of the ``coordinated-activity`` findings that have activity, as ``folder/plots/ID.KIND``.

    Gives (files, how many more there would have been than ``MOST_PLOTS``). Raises ValueError for a kind that is not
    in ``FORMATS`` and OSError."""
    if kind not in FORMATS:
        raise ValueError(f"plots are {' or '.join(FORMATS)}, not {kind!r}")
    wanted = [f for f in findings if f.kind == "coordinated-activity"]
    wanted.sort(key=lambda f: (-float(f.attributes.get("log10_e_value", 0.0)), f.window, f.id))
    rows = _newest(activity)
    files = []
    if wanted:
        (folder / "plots").mkdir(parents=True, exist_ok=True)
    for finding in wanted[:MOST_PLOTS]:
        figure = plot(finding, rows)
        if figure is not None:
            files.append(_save(figure, folder / "plots" / f"{finding.id}.{kind}", kind))
    return files, max(0, len(wanted) - MOST_PLOTS)


def plot(finding: Finding, activity: pa.Table) -> Figure | None:
    """The figure of one finding, or None if the table says nothing of its series."""
    mine = activity.filter(pc.equal(activity.column("series"), finding.series))
    if not mine.num_rows:
        return None
    from matplotlib.figure import Figure

    ports = list(_ports(mine))
    shown = ports[:MOST_PORTS]
    figure = Figure(figsize=(9.0, 1.4 + 1.9 * len(shown)), layout="constrained")
    axes = figure.subplots(len(shown), 1, sharex=True, squeeze=False)[:, 0]
    for axis, (protocol, port) in zip(axes, shown, strict=True):
        _panel(axis, _of_port(mine, protocol, port), _name(protocol, port))
        _mark(axis, finding)
    more = f" (and {len(ports) - len(shown)} more ports)" if len(ports) > len(shown) else ""
    figure.suptitle(f"{finding.title}{more}", fontsize=10, wrap=True)
    axes[0].legend(loc="upper left", fontsize=7, frameon=False, ncols=3)
    axes[-1].set_xlabel("time (UTC)", fontsize=8)
    return figure


def _panel(axis: Axes, rows: pa.Table, name: str) -> None:
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter

    start = _times(rows, "start")
    end = _times(rows, "end")
    # A bin that is missing is one without sources, not a straight line between its neighbours.
    edges = np.append(start, end[-1])
    gaps = np.flatnonzero(start[1:] > end[:-1])
    edges = np.insert(edges, gaps + 1, end[gaps])

    def values(column: str) -> np.ndarray:
        return np.insert(rows.column(column).to_numpy().astype(np.float64), gaps + 1, 0.0)

    axis.stairs(values("new_sources"), edges, fill=True, color=_NEW, label="new sources")
    axis.stairs(values("sources"), edges, color=_SOURCES, label="sources", linewidth=1.2)
    axis.stairs(values("expected"), edges, color=_EXPECTED, label="new sources expected", linewidth=1.0)
    axis.set_ylabel(f"{name}\nsources per bin", fontsize=8)
    axis.set_ylim(bottom=0)
    axis.tick_params(labelsize=7)
    locator = AutoDateLocator()
    axis.xaxis.set_major_locator(locator)
    axis.xaxis.set_major_formatter(ConciseDateFormatter(locator))
    axis.spines[["top", "right"]].set_visible(False)


def _mark(axis: Axes, finding: Finding) -> None:
    from matplotlib.dates import date2num

    stopped = finding.attributes.get("event") == STOP
    begun = np.datetime64(finding.last_seen if stopped else finding.first_seen, "ns")
    axis.axvline(float(date2num(begun)), color=_BEGUN, linewidth=1.0, label="stopped" if stopped else "began")
    told = np.datetime64(finding.window[1], "ns")
    axis.axvline(float(date2num(told)), color=_TOLD, linewidth=1.0, linestyle="--", label="alert")


def _newest(tables: Sequence[pa.Table]) -> pa.Table:
    """One row per (series, port, bin): the one that was published last."""
    rows = pa.concat_tables(tables) if tables else ACTIVITY.empty_table()
    if not rows.num_rows:
        return rows
    numbered = rows.append_column("order", pa.array(np.arange(rows.num_rows)))
    last = numbered.group_by(["series", "protocol", "port", "start"]).aggregate([("order", "max")])
    return rows.take(pa.array(np.sort(last.column("order_max").to_numpy())))


def _ports(rows: pa.Table) -> Iterator[tuple[int, int]]:
    """(protocol, port), most new sources first."""
    total = rows.group_by(["protocol", "port"]).aggregate([("new_sources", "sum")])
    keys = sorted(
        zip(*(total.column(n).to_pylist() for n in ("new_sources_sum", "protocol", "port")), strict=True),
        key=lambda key: (-key[0], key[1:]),
    )
    yield from ((protocol, port) for _, protocol, port in keys)


def _of_port(rows: pa.Table, protocol: int, port: int) -> pa.Table:
    chosen = pc.and_(pc.equal(rows.column("protocol"), protocol), pc.equal(rows.column("port"), port))
    return rows.filter(chosen).sort_by("start")


def _times(rows: pa.Table, column: str) -> np.ndarray:
    return np.asarray(rows.column(column).cast(pa.int64()).to_numpy().astype("datetime64[ns]"))


def _name(protocol: int, port: int) -> str:
    known = _PROTOCOLS.get(protocol, f"protocol {protocol}")
    return known if protocol == 1 else f"{port}/{known}"


def _save(figure: Figure, path: Path, kind: str) -> Path:
    import matplotlib

    # Element names of an SVG are random unless salted; the date would differ from run to run.
    with matplotlib.rc_context({"svg.hashsalt": path.stem}), whole_file(path) as temporary:
        figure.savefig(temporary, format=kind, dpi=110, metadata={"Date": None} if kind == "svg" else {})
    return path


__all__ = ["FORMATS", "MOST_PLOTS", "MOST_PORTS", "plot", "write_plots"]
