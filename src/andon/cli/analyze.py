"""``andon analyze``: every engine over files of packets and other records."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from andon.cli import past
from andon.cli import runner as where
from andon.cli.terminal import Format, fail, note, progress, unreadable

if TYPE_CHECKING:
    from andon.observe.logs.options import Options
    from andon.records.contract import Site
    from andon.records.model import Model
    from andon.run.batch import Analysis
    from andon.run.inputs import Inputs
    from andon.run.mask import Mask


def command(
    files: list[str] = typer.Argument(
        None,
        metavar="[FILE...]",
        help="Captures; logs of proxies, Zeek, Suricata, honeypots; flows; tables of darknet sources, reports, asset "
        "lists; - for standard input.",
    ),
    history: Path | None = past.HISTORY,
    start: str = past.FROM,
    end: str = past.TO,
    telescope: str = typer.Option(
        "", "--telescope", help="Dark prefixes, comma separated; inferred from the traffic if not given."
    ),
    format: Format = typer.Option(Format.table, "--format", help="table, or json: one finding a line."),
    out: Path | None = typer.Option(
        None, "--out", help="Folder for findings.ndjson, entities.parquet and tables/."
    ),
    mask: bool = typer.Option(False, "--mask", help="Give nothing away about where the telescope is."),
    cases: str = typer.Option(
        "",
        "--cases",
        help="Keep alerts and findings in this casebook (folder or postgresql://...) and make cases of them.",
    ),
    packets: bool = typer.Option(False, "--packets", help="With --out: packets.parquet too, for SQL."),
    plots: str = typer.Option(
        "", "--plots", help="With --out: png or svg of each coordinated activity, sources over time."
    ),
    known: list[str] = typer.Option(
        [], "--list", help="NAME=FILE: known scanners as CIDR,ORGANISATION (CSV or Parquet). Repeatable."
    ),
    geo: Path | None = typer.Option(
        None, "--geo", help="Country and AS: an .mmdb file, or CSV CIDR,CC,ASN,NAME."
    ),
    assets: list[str] = typer.Option(
        [], "--assets", help="An asset list: CSV, nmap, Shodan, Censys, runZero, OCSF, leases. Repeatable."
    ),
    owner: str = typer.Option(
        "",
        "--assets-owner",
        help="Whose the listed systems are, whatever the lists say: name of an organisation.",
    ),
    logformat: str = typer.Option(
        "",
        "--logformat",
        help="Format of text logs: a Squid logformat, or the name of one (squid, combined).",
    ),
    log_map: Path | None = typer.Option(
        None,
        "--log-map",
        help="TOML file that says what the fields of CSV or JSON lines mean (docs/logs.md).",
    ),
    terminal: str = typer.Option(
        "user", "--terminal", help="What a terminal is known by: user (else the address), or address."
    ),
    pseudonym_key: Path | None = typer.Option(
        None, "--pseudonym-key", help="Users and addresses of logs as pseudonyms under the key in this file."
    ),
    inside: list[str] = typer.Option(
        [],
        "--inside",
        help="The organisation's own prefixes, comma separated; private addresses if not given. Repeatable.",
    ),
    rdns: Path | None = typer.Option(
        None, "--rdns", help="Reverse names: CSV ADDRESS,NAME. Nothing is looked up."
    ),
    black: list[str] = typer.Option(
        [], "--black", help="[NAME=]FILE: malicious names, addresses, URLs (docs/lists.md). Repeatable."
    ),
    white: list[str] = typer.Option(
        [], "--white", help="[NAME=]FILE: harmless names and addresses, or a ranking. Repeatable."
    ),
    vulnerabilities: list[str] = typer.Option(
        [],
        "--vulnerabilities",
        help="CVE records: which of them the darknet is scanned for now. Repeatable.",
    ),
    engine: list[str] = typer.Option(
        [], "--engine", help="Run only this engine and what it needs. Repeatable."
    ),
    also: list[str] = typer.Option(
        [], "--with", help="Run this engine besides the usual ones, e.g. darknet.glasso. Repeatable."
    ),
    top: int = typer.Option(5, "--top", min=1, help="Findings of one kind to show in the table."),
    hash_key: int = typer.Option(
        0,
        "--hash-key",
        min=0,
        max=2**64 - 1,
        help="Key for the hashes of bounded tables; set your own if you are a target.",
    ),
    setting: list[str] = typer.Option(
        [], "--set", help="ENGINE.NAME=VALUE, e.g. darknet.tools.false_alarms=0.001. Repeatable."
    ),
    runner: str = where.RUNNER,
    cluster: str = where.CLUSTER,
    work: Path | None = where.WORK,
    workers: str = where.WORKERS,
    tls_ca: Path | None = where.TLS_CA,
    tls_cert: Path | None = where.TLS_CERT,
    tls_key: Path | None = where.TLS_KEY,
    digests: Path | None = where.DIGESTS,
) -> None:
    """Say who scans, with which tool, and for what; and which terminals of the own network are infected.

    Example: andon analyze --telescope 192.0.2.0/24,198.51.100.0/24 captures/*.pcap.gz --out result

    Example: andon analyze access.log zeek/conn.log --black maltrail.csv --white tranco.csv --out result

    Example: andon analyze alerts.json conn.log --assets assets.csv --cases soc && andon cases list --store soc

    Example: andon analyze --history /var/lib/andon --from 2026-01-01 --to 2026-02-01 --out result

    Example: andon analyze 2026-01/*.pcap.gz --runner dask --work /shared/andon --out result
    """
    files = files or []
    received = past.asked(files, history, start, end)
    if mask and cases:
        fail("--cases keeps everything as it is; it does not go with --mask", 2)
    if mask and packets:
        fail("--packets writes dark addresses; it does not go with --mask", 2)
    if packets and out is None:
        fail("--packets needs --out DIR", 2)
    if plots and (out is None or plots not in ("png", "svg")):
        fail("--plots is png or svg, and needs --out DIR", 2)
    from andon.records.contract import Site
    from andon.run.engines import EngineError, known_settings, load_engines
    from andon.run.inputs import Inputs, with_assets
    from andon.run.spool import spooled
    from andon.store.errors import StoreError

    _usable(files, out)
    site = _site(Site, telescope, known, geo, rdns, setting, _prefixes(",".join(inside)))
    if black or white:
        site = replace(site, reputation=_reputation(black, white))
    if vulnerabilities:
        site = replace(site, vulnerabilities=_vulnerabilities(vulnerabilities))
    if hash_key:
        site = replace(site, hash_key=hash_key)
    try:
        with spooled(files) as paths, progress("analyze") as report:
            inputs = Inputs.of(paths, _log_options(logformat, log_map, terminal, pseudonym_key, site.inside))
            if received is not None:
                received.add_to(inputs)
            _lists(inputs, assets)
            site = with_assets(site, inputs, owner)
            site = replace(site, models=_models(cases, site)) if cases else site
            engines = load_engines(site, engine or None, also)
            _known_settings(site, known_settings(site))
            logs = {
                "logformat": logformat,
                "mapping": str(log_map.resolve()) if log_map else "",
                "terminal": terminal,
                "inside": list(site.inside),
            }
            with (
                _kept(cases, inputs, site) as keep,
                where.digested(digests) as witness,
                where.chosen(
                    runner, cluster, work, workers, (tls_ca, tls_cert, tls_key), files, logs
                ) as analyze,
            ):
                result = analyze(inputs, site, engines, report, witness=witness)
                keep(result)
                if witness is not None:
                    witness.finish(result.findings)
            for item in result.files:
                if item.error is not None:
                    note(unreadable(item.path, item.error))
            if result.readable:
                _answer(result, site, mask, format, top)
                if out is not None:
                    _write(result, out, site, mask, packets, plots)
    except (EngineError, ValueError) as error:
        fail(str(error), 2)
    except BrokenPipeError:
        raise  # whoever read our output has had enough: main ends quietly
    except (OSError, StoreError) as error:
        fail(f"{error}", 1)
    if not result.readable:
        fail("none of the files could be read", 1)


def _models(place: str, site: Site) -> Mapping[str, Model]:
    """What was promoted in the casebook of ``--cases``, over what is shipped."""
    from andon.learn.feedback.shelf import Shelf, ShelfError, models_in_use
    from andon.store.casebook import Casebook

    if "://" in place or not (Path(place) / "learn").is_dir():
        return site.models
    try:
        with Casebook(place) as book:
            book.migrate()
            return models_in_use(book, Shelf(Path(place) / "learn"))
    except ShelfError as error:
        fail(f"--cases {place}: {error}", 1)


@contextmanager
def _kept(place: str, inputs: Inputs, site: Site) -> Iterator[Callable[[Analysis], None]]:
    """The casebook of ``--cases``: alerts go into it as they are read, the rest when the analysis is given."""
    if not place:
        yield lambda result: None
        return
    from andon.run.casework import Casework, InMemory
    from andon.run.casework.intake import take_analysis, tapped
    from andon.store.casebook import Casebook

    if "://" not in place:
        Path(place).mkdir(parents=True, exist_ok=True)
    with Casebook(place) as book:
        book.migrate()
        tapped(inputs, book)

        def keep(result: Analysis) -> None:
            take_analysis(book, result)
            done = Casework(book, InMemory(result.tables), site).run()
            note(f"{done.opened:,} cases opened, {done.changed:,} changed: andon cases list --store {place}")

        yield keep


def _log_options(
    logformat: str, mapping: Path | None, terminal: str, key: Path | None, inside: tuple[str, ...]
) -> Options:
    from andon.observe.logs.options import Options

    if terminal not in ("user", "address"):
        fail(f"--terminal {terminal}: it is user or address", 2)
    secret = None
    if key is not None:
        from andon.observe.logs.pseudonyms import read_key

        try:
            secret = read_key(key)
        except (OSError, ValueError) as error:
            fail(f"--pseudonym-key {key}: {error}", 2)
    return Options(logformat, mapping, terminal, secret, inside=inside)


def _usable(files: list[str], out: Path | None) -> None:
    """Say what is wrong with the command line before hours of work rather than after."""
    for name in dict.fromkeys(files):
        if files.count(name) > 1:
            note(f"andon: {name} is given {files.count(name)} times and read once")
        if Path(name).is_dir():
            fail(f"{name} is a folder: give its files, for example {name.rstrip('/')}/*", 2)
    if out is not None:
        try:
            (out / "tables").mkdir(parents=True, exist_ok=True)
        except OSError as error:
            fail(f"cannot write results to {out}: {error.strerror}", 2)


def _answer(result: Analysis, site: Site, mask: bool, format: Format, top: int) -> None:
    from andon.run.mask import Mask, telescope_networks

    findings = result.findings
    if mask:
        cover = Mask(telescope_networks(result.tables, site.telescope))
        findings = [cover.finding(finding) for finding in findings]
    if format is Format.json:
        for finding in findings:
            print(finding.to_json(), flush=False)
        return
    from andon.cli.report import show

    show(result, findings, masked=mask, given=site.telescope, top=top)


def _lists(inputs: Inputs, paths: list[str]) -> None:
    """Put the files of ``--assets`` among the asset lists."""
    from andon.run.inputs import Inputs

    given = Inputs.of(paths)
    for report in given.reports:
        if not any(report is mine for _, mine in given.assets):
            fail(f"--assets {report.path}: not an asset list (or it cannot be read)", 2)
    inputs.assets += given.assets
    inputs.reports += given.reports


def _write(result: Analysis, out: Path, site: Site, mask: bool, packets: bool, plots: str) -> None:
    from andon.run.inputs import readable
    from andon.run.mask import Mask, telescope_networks
    from andon.run.results import write_activity_plots, write_packets_of, write_results

    cover = Mask(telescope_networks(result.tables, site.telescope)) if mask else None
    write_results(result, out, cover)
    known = _write_profiles(result, out, cover)
    if known:
        note(f"{known} profiles of malware in {out / 'profiles'} and {out / 'profiles.stix.json'}")
    if packets:
        rows = write_packets_of(readable(result.files), site.telescope, out / "packets.parquet")
        note(f"{rows:,} packets in {out / 'packets.parquet'}")
    if plots:
        made, more = write_activity_plots(result, out, plots, cover)
        note(f"{made} plots in {out / 'plots'}" + (f"; {more} less surprising ones left out" if more else ""))
    note(f"results in {out}")


def _write_profiles(result: Analysis, out: Path, cover: Mask | None) -> int:
    from andon.share.profile import write_profiles

    tables = {name: kept for name, kept in result.tables.items() if name.startswith("intel.profile:")}
    findings = [finding for finding in result.findings if finding.kind == "malware-profile"]
    if cover is not None:
        tables = {
            name: [shown for table in kept if (shown := cover.table(name, table)) is not None]
            for name, kept in tables.items()
        }
        findings = [cover.finding(finding) for finding in findings]
    return write_profiles(tables, out, [finding.to_dict() for finding in findings])


def _site(
    make: type[Site],
    telescope: str,
    known: list[str],
    geo: Path | None,
    rdns: Path | None,
    setting: list[str],
    inside: tuple[str, ...],
) -> Site:
    from andon.learn.registry import shipped
    from andon.observe import lists

    settings: dict[str, Any] = {}
    for item in setting:
        name, equals, value = item.partition("=")
        if not equals or name.count(".") < 2:
            fail(f"--set {item!r}: write ENGINE.NAME=VALUE, e.g. darknet.tools.false_alarms=0.001", 2)
        settings[name] = _value(value)
    tables = {}
    names: dict[int, str] = {}
    where = None
    try:
        for item in known:
            name, equals, path = item.partition("=")
            if not equals:
                name, path = Path(item).stem, item
            tables[name], skipped = lists.scanner_list(path)
            _warn(path, skipped)
        if rdns is not None:
            names, skipped = lists.reverse_names(rdns)
            _warn(rdns, skipped)
        if geo is not None:
            where = lists.locator(geo)
    except (OSError, lists.TableError) as error:
        fail(str(error), 2)
    prefixes = tuple(part.strip() for part in telescope.split(",") if part.strip())
    return make(
        telescope=prefixes,
        lists=tables,
        rdns=names,
        locator=where,
        models=shipped(),
        inside=inside,
        settings=settings,
    )


def _prefixes(text: str) -> tuple[str, ...]:
    """Prefixes of ``--inside``, each as it is written by the book."""
    from ipaddress import ip_network

    try:
        return tuple(str(ip_network(part.strip(), strict=False)) for part in text.split(",") if part.strip())
    except ValueError as error:
        fail(f"--inside {error}", 2)


def _reputation(black: list[str], white: list[str]) -> Any:
    """What the files of ``--black`` and ``--white`` say, as one table."""
    from andon.observe.reputation import TableError, merged, reputation

    tables = []
    for colour, items in (("black", black), ("white", white)):
        for item in items:
            name, equals, path = item.partition("=")
            if not equals or Path(item).exists():
                name, path = "", item
            try:
                table, skipped = reputation(path, colour, name or None)
            except TableError as error:
                fail(f"--{colour} {error}", 2)
            except OSError as error:
                fail(f"--{colour} {path}: {error.strerror or error}", 2)
            tables.append(table)
            _warn(path, skipped)
    return merged(tables)


def _vulnerabilities(paths: list[str]) -> Any:
    from andon.observe.vulnerability import vulnerabilities

    try:
        table, skipped = vulnerabilities(paths)
    except (OSError, ValueError) as error:
        fail(f"--vulnerabilities {error}", 2)
    _warn(", ".join(paths), skipped)
    return table


def _known_settings(site: Site, known: set[str]) -> None:
    unknown = [name for name in site.settings if name not in known]
    if unknown:
        fail(f"--set {unknown[0]}: there is no such setting; there are {', '.join(sorted(known))}", 2)


def _value(text: str) -> int | float | str:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def _warn(path: str | Path, skipped: Any) -> None:
    if skipped.lines:
        note(f"andon: {path}: {skipped.lines:,} lines skipped ({'; '.join(skipped.examples)})")
