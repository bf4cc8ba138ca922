"""``andon hub``: run a DAEDALUS hub and its register of members; report to one, and fetch what others saw of us."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from andon.cli.terminal import Format, console, fail, note, safe

if TYPE_CHECKING:
    from andon.share.hub.client import HubClient
    from andon.share.hub.pull import Pull
    from andon.share.hub.store import HubStore

app = typer.Typer(
    help="DAEDALUS hub: members tell each other what their telescopes saw of each other's addresses (docs/hub.md).\n\n"
    "Example: andon hub pull --url https://cert.example.org/hub --member city --key-file key --cursor city.cursor",
    no_args_is_help=True,
    rich_markup_mode=None,
)
_STORE = typer.Option(
    ..., "--store", envvar="ANDON_STORE", help="Store folder; the hub's things are in its hub/."
)
_URL = typer.Option(..., "--url", help="Of the hub, as https://cert.example.org/hub.")
_MEMBER = typer.Option(..., "--member", help="Our name there.")
_KEY = typer.Option(..., "--key-file", help="File that holds our key.")
_CA = typer.Option(None, "--ca-file", help="Certificates of an authority of your own (PEM).")
_NAME = typer.Argument(..., help="Name of the member: a-z, 0-9 and -.")


@app.callback()
def _group() -> None:
    """DAEDALUS hub: what members' telescopes saw of each other's addresses."""


@app.command("add-member")
def add_command(
    name: str = _NAME,
    prefix: list[str] = typer.Option(..., "--prefix", help="A prefix of the member; may be repeated."),
    named: bool = typer.Option(False, "--named", help="Others may be told that it was this member who saw."),
    listed: bool = typer.Option(False, "--listed", help="Its prefixes may stand in the cover as they are."),
    store: Path = _STORE,
) -> None:
    """Register a member, or change one; a new member's key is written to hub/keys/NAME.key, to be handed over safely.

    Example: andon hub add-member city --prefix 198.51.100.0/24 --store /var/lib/andon
    """  # fmt: skip
    import os
    import secrets

    from andon.share.hub.members import member
    from andon.store.durable import make_folder

    hub = _hub(store)
    try:
        hub.add_member(member(name, prefix, named, listed), time.time_ns())
    except ValueError as error:
        fail(safe(str(error)), 2)
    keys = store / "hub" / "keys"
    make_folder(keys)
    keys.chmod(0o700)
    file = keys / f"{name}.key"
    if not file.exists():
        handle = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "w") as out:
            out.write(secrets.token_hex(32) + "\n")
    print(f"{name}: {len(prefix)} prefix{'' if len(prefix) == 1 else 'es'}; its key is in {safe(str(file))}")


@app.command("members")
def members_command(
    store: Path = _STORE,
    format: Format = typer.Option(Format.table, "--format", help="table, or json: one object a line."),
) -> None:
    """List members with what they reported in the last 30 days, how much of it concerned a member, and disputes.

    Example: andon hub members --store /var/lib/andon
    """  # fmt: skip
    hub = _hub(store)
    used = hub.usage(time.time_ns())
    total = sum(one.get("sightings", 0) for one in used.values())
    rows: list[dict[str, Any]] = []
    for one in hub.members():
        mine = used.get(one.name, {})
        rows.append(
            {
                "member": one.name,
                "state": one.state,
                "prefixes": [str(prefix) for prefix in one.prefixes],
                "reports": mine.get("reports", 0),
                "sightings": mine.get("sightings", 0),
                "share": round(mine.get("sightings", 0) / total, 3) if total else 0.0,
                "matched": mine.get("matched", 0),
                "refused": mine.get("refused", 0),
                "disputed": mine.get("disputed", 0),
            }
        )
    if format is Format.json:
        for row in rows:
            print(json.dumps(row))
        return
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False)
    names = ("member", "state", "prefixes", "reports", "sightings", "share", "matched", "refused", "disputed")
    for at, column in enumerate(names):
        table.add_column(column, justify="left" if at < 3 else "right")
    for row in rows:
        shown = {**row, "prefixes": ", ".join(row["prefixes"]), "share": f"{row['share']:.1%}"}
        table.add_row(*(Text(safe(str(shown[column]))) for column in names))
    console().print(table)


@app.command("remove-member")
def remove_command(name: str = _NAME, store: Path = _STORE) -> None:
    """Take a member out: its key is void, what it reported and what is known of its addresses is deleted.

    Example: andon hub remove-member city --store /var/lib/andon
    """  # fmt: skip
    hub = _hub(store)
    _known(hub, name)
    hub.withdraw(name, time.time_ns())
    (store / "hub" / "keys" / f"{name}.key").unlink(missing_ok=True)
    print(f"{name}: withdrawn")


@app.command("resume")
def resume_command(name: str = _NAME, store: Path = _STORE) -> None:
    """Believe a member again that was suspended because others disputed its reports.

    Example: andon hub resume city --store /var/lib/andon
    """
    hub = _hub(store)
    _known(hub, name)
    hub.resume(name, time.time_ns())
    print(f"{name}: active")


@app.command("serve")
def serve_command(
    store: Path = _STORE,
    listen: str = typer.Option("127.0.0.1:8443", "--listen", help="Address and port."),
    certificate: Path | None = typer.Option(None, "--certificate", help="TLS certificate chain (PEM)."),
    key: Path | None = typer.Option(None, "--key", help="TLS key (PEM)."),
    config: Path | None = typer.Option(
        None, "--config", help="TOML file whose [hub] holds the hub's limits."
    ),
) -> None:
    """Serve the hub until stopped. Without a certificate it listens on a loopback address only, for a proxy in front.

    Example: andon hub serve --store /var/lib/andon --listen 0.0.0.0:8443 --certificate hub.pem --key hub.key
    """  # fmt: skip
    import tomllib
    from ipaddress import ip_address

    import uvicorn

    from andon.share.hub.app import application
    from andon.share.hub.store import rules_from
    from andon.store.errors import StoreError

    host, _, port = listen.rpartition(":")
    host = host.strip("[]")
    try:
        loopback = ip_address(host).is_loopback
    except ValueError:
        fail(f"--listen {safe(listen)}: write ADDRESS:PORT", 2)
    if not port.isdigit() or not 0 < int(port) < 65536:
        fail(f"--listen {safe(listen)}: write ADDRESS:PORT", 2)
    if certificate is None and not loopback:
        fail("a hub that others reach needs --certificate and --key", 2)
    try:
        given = tomllib.loads(config.read_text(encoding="utf-8")) if config is not None else {}
        rules = rules_from(given.get("hub", {}))
    except (OSError, ValueError, AttributeError) as error:
        fail(f"{safe(str(config))}: {safe(str(error))}", 2)
    try:
        made = application(store / "hub", rules)
    except StoreError as error:
        fail(safe(str(error)), 1)
    note(f"andon: hub listens on {listen}")
    uvicorn.run(made, host=host, port=int(port), ssl_certfile=certificate, ssl_keyfile=key, access_log=False,
                log_level="warning", lifespan="off", server_header=False, limit_concurrency=256,
                timeout_keep_alive=15)  # fmt: skip


@app.command("report")
def report_command(
    files: list[Path] = typer.Argument(
        ...,
        help="tables/darknet.sightings.sources.parquet of `andon analyze --out`; findings or alerts (NDJSON).",
    ),
    url: str = _URL,
    member: str = _MEMBER,
    key_file: Path = _KEY,
    ca_file: Path | None = _CA,
    own: list[str] = typer.Option([], "--own", help="Own prefixes, of which nothing is reported."),
) -> None:
    """Report what our telescope saw of addresses in the hub's cover; the same file twice counts once.

    Example: andon hub report sources.parquet --url https://cert.example.org/hub --member city --key-file key
    """  # fmt: skip
    from ipaddress import ip_network

    from andon.share.hub.client import reportable, reports
    from andon.share.hub.telescope import heard
    from andon.share.outbox.parcel import Refused, Unreachable

    client = _client(url, member, key_file, ca_file)
    try:
        nets = [ip_network(text) for text in own]
        cover = client.cover()
        every = [one for file in files for one in heard(file, cover, time.time_ns())]
        kept = list(reportable(every, cover, nets))
        sent = [client.report(report) for report in reports(kept)]
    except (Unreachable, Refused, ValueError, OSError) as error:
        fail(safe(str(error)), 1)
    print(
        f"{len(kept):,} of {len(every):,} sightings reported in {len(sent)} report{'' if len(sent) == 1 else 's'}, "
        f"{sent.count(False)} of which the hub had already"
    )


@app.command("pull")
def pull_command(
    url: str = _URL,
    member: str = _MEMBER,
    key_file: Path = _KEY,
    ca_file: Path | None = _CA,
    cursor: Path | None = typer.Option(None, "--cursor", help="File that remembers up to where was read."),
    out: Path | None = typer.Option(
        None, "--out", help="File to append to, for `andon run` or `andon analyze`; else standard output."
    ),
    follow: int | None = typer.Option(
        None, "--follow", min=10, max=86_400, help="Ask again every so many seconds, until stopped."
    ),
) -> None:
    """What others saw of our addresses, as alerts, one JSON object a line; with --cursor only what is new or has grown.

    Example: andon hub pull --url https://cert.example.org/hub --member city --key-file key --cursor city.cursor
    --out hub.ndjson --follow 300
    """  # fmt: skip
    from andon.share.hub.pull import Pull
    from andon.store.errors import StoreError

    try:
        pull = Pull(_client(url, member, key_file, ca_file), cursor, out)
    except (ValueError, OSError, StoreError) as error:
        fail(safe(str(error)), 1)
    try:
        if follow is None:
            _once(pull)
        else:
            _follow(pull, follow)
    except BrokenPipeError:
        raise typer.Exit(0) from None


def _once(pull: Pull) -> None:
    from andon.share.outbox.parcel import Refused, Unreachable
    from andon.store.errors import StoreError

    try:
        told, left_out = pull.round()
    except BrokenPipeError:
        raise
    except (Unreachable, Refused, StoreError, ValueError, OSError) as error:
        fail(safe(str(error)), 1)
    if left_out:
        note(f"andon: {left_out:,} sightings of the hub are none and were left out")
    if pull.out is not None:
        note(f"andon: {told:,} sighting{'' if told == 1 else 's'} appended to {pull.out}")


def _follow(pull: Pull, every: int) -> None:
    """Until SIGTERM or SIGINT. What fails is said once, and tried again."""
    import signal

    from andon.share.outbox.parcel import Refused, Unreachable
    from andon.store.errors import StoreError

    class Stop(BaseException):
        pass

    def stop(*_: object) -> None:
        raise Stop

    for name in (signal.SIGTERM, signal.SIGINT):
        signal.signal(name, stop)
    trouble = ""
    try:
        while True:
            pause = float(every)
            try:
                _, left_out = pull.round()
                said = f"{left_out:,} sightings of the hub are none and were left out" if left_out else ""
            except BrokenPipeError:
                raise
            except (Unreachable, Refused, StoreError, ValueError, OSError) as error:
                said = f"{error}; it is tried again"
                pause = max(pause, min(getattr(error, "retry_after", 0.0) or 0.0, 3600.0))
            if said != trouble:
                note(f"andon: {said or 'the hub answers again'}")
            trouble = said
            time.sleep(pause)
    except Stop:
        return


@app.command("cover")
def cover_command(
    url: str = _URL,
    member: str = _MEMBER,
    key_file: Path = _KEY,
    ca_file: Path | None = _CA,
    toml: bool = typer.Option(
        False, "--toml", help="As an [[organisation]] for the configuration of `andon run`."
    ),
) -> None:
    """Print the prefixes that hold every registered one, a line each.

    Example: andon hub cover --url https://cert.example.org/hub --member city --key-file key --toml
    """
    from andon.share.outbox.parcel import Refused, Unreachable

    try:
        blocks = [str(block) for block in _client(url, member, key_file, ca_file).cover()]
    except (Unreachable, Refused, ValueError) as error:
        fail(safe(str(error)), 1)
    if not toml:
        print("\n".join(blocks))
        return
    print(f'[[organisation]]\nname = "hub"\nprefixes = {json.dumps(blocks)}\nsinks = ["hub"]\n')
    print(f'[[sink]]\nname = "hub"\nkind = "hub"\nurl = {json.dumps(url)}\nmember = {json.dumps(member)}')
    print(f"key_file = {json.dumps(str(key_file.absolute()))}")


@app.command("account")
def account_command(
    url: str = _URL, member: str = _MEMBER, key_file: Path = _KEY, ca_file: Path | None = _CA
) -> None:
    """Print how we stand at the hub: prefixes, quota used, share, disputes.

    Example: andon hub account --url https://cert.example.org/hub --member city --key-file key
    """  # fmt: skip
    from andon.share.outbox.parcel import Refused, Unreachable

    try:
        print(json.dumps(_client(url, member, key_file, ca_file).account(), indent=2))
    except (Unreachable, Refused, ValueError) as error:
        fail(safe(str(error)), 1)


@app.command("dispute")
def dispute_command(
    id: str = typer.Argument(..., metavar="ID", help="Id of the sighting, as `andon hub pull` has it."),
    reason: str = typer.Option(..., "--reason", help="Why it is false; the hub's operator reads it."),
    url: str = _URL,
    member: str = _MEMBER,
    key_file: Path = _KEY,
    ca_file: Path | None = _CA,
) -> None:
    """Say that a sighting of our address is false. Whom several members dispute is suspended.

    Example: andon hub dispute 5c1f0e --reason "never routed" --url https://cert.example.org/hub --member city
    --key-file key
    """  # fmt: skip
    from andon.share.outbox.parcel import Refused, Unreachable

    try:
        _client(url, member, key_file, ca_file).dispute(id, reason)
    except (Unreachable, Refused, ValueError) as error:
        fail(safe(str(error)), 1)
    print(f"{safe(id)}: disputed")


@app.command("leave")
def leave_command(
    url: str = _URL,
    member: str = _MEMBER,
    key_file: Path = _KEY,
    ca_file: Path | None = _CA,
    yes: bool = typer.Option(False, "--yes", help="Really; our key is void afterwards."),
) -> None:
    """Leave the hub: all that we reported and all that is known of our addresses is deleted there.

    Example: andon hub leave --yes --url https://cert.example.org/hub --member city --key-file key
    """  # fmt: skip
    from andon.share.outbox.parcel import Refused, Unreachable

    if not yes:
        fail("this deletes what the hub has of us and makes our key void: say --yes", 2)
    try:
        _client(url, member, key_file, ca_file).withdraw()
    except (Unreachable, Refused, ValueError) as error:
        fail(safe(str(error)), 1)
    print(f"{safe(member)}: withdrawn")


def _hub(store: Path) -> HubStore:
    from andon.share.hub.store import HubStore
    from andon.store.errors import StoreError

    try:
        return HubStore(store / "hub")
    except StoreError as error:
        fail(safe(str(error)), 1)


def _known(hub: HubStore, name: str) -> None:
    if name not in {one.name for one in hub.members()}:
        fail(f"there is no member {safe(name)}", 2)


def _client(url: str, member: str, key_file: Path, ca_file: Path | None) -> HubClient:
    from andon.share.hub.client import HubClient
    from andon.share.outbox.secret import Secret

    try:
        return HubClient(url, member, Secret(key_file), ca_file)
    except ValueError as error:
        fail(safe(str(error)), 2)
