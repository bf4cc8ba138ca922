"""What ``[[source]]`` says of logs and exports reaches the source; mistakes name the line."""

from __future__ import annotations

from pathlib import Path

import pytest

from andon.observe.live.any_log import AnyLog
from andon.observe.live.netflow import NetFlowSource
from andon.records.contract import Site
from andon.records.kinds import ALERT, CONTACT, FLOW, HONEYPOT_SESSION
from andon.run.live.clocks import Clocks
from andon.run.live.config import ConfigError, load
from andon.run.live.parts import kinds_of, source_of, sources_of


def config(folder: Path, source: str) -> Path:
    path = folder / "andon.toml"
    path.write_text(f'[[source]]\nname = "one"\n{source}\n[store]\npath = "store"\n')
    return path


def test_options_of_a_log(tmp_path: Path) -> None:
    from typer.testing import CliRunner

    from andon.cli import app
    from andon.observe.logs.pseudonyms import read_key

    assert CliRunner().invoke(app, ["pseudonym", "key", str(tmp_path / "key")]).exit_code == 0
    key = read_key(tmp_path / "key")
    said = 'kind = "log"\npath = "access.log"\nlogformat = "combined"\n'
    said += 'terminal = "address"\nkey = "key"\nslack = "2min"'
    loaded = load(config(tmp_path, said))
    source = source_of(loaded.source[0], Site(telescope=(), inside=("192.0.2.0/24",)))
    assert isinstance(source, AnyLog) and source.slack == 120.0 and source.path == tmp_path / "access.log"
    options = source.options
    assert (options.logformat, options.terminal, options.key) == ("combined", "address", key)
    assert options.inside == ("192.0.2.0/24",)
    assert kinds_of(source) == (HONEYPOT_SESSION, CONTACT, FLOW, ALERT)


def test_a_key_that_is_none_names_the_line(tmp_path: Path) -> None:
    path = config(tmp_path, 'kind = "log"\npath = "access.log"\nkey = "key"')
    for text in (None, "no key at all"):
        if text is not None:
            (tmp_path / "key").write_text(text)
            (tmp_path / "key").chmod(0o600)
        with pytest.raises(ConfigError, match=r"andon.toml:5: .*key"):
            sources_of(load(path), Site(telescope=()), path)


def test_a_listener_for_exports(tmp_path: Path) -> None:
    said = 'kind = "netflow"\naddress = "127.0.0.1"\nport = 9995\n'
    said += 'exporters = ["192.0.2.1/32"]\nbuffer = "1MB"\nslack = "30min"'
    source = source_of(load(config(tmp_path, said)).source[0])
    assert isinstance(source, NetFlowSource) and (source.address, source.port) == ("127.0.0.1", 9995)
    assert kinds_of(source) == (FLOW,)
    assert source_of(load(config(tmp_path, 'kind = "netflow"')).source[0]).port == 2055  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("said", "line", "what"),
    [
        ('kind = "netflow"\nport = 99999', 4, "port"),
        ('kind = "netflow"\naddress = "collector"', 4, "address"),
        ('kind = "netflow"\nexporters = ["x"]', 4, "exporters"),
        ('kind = "log"\npath = "x"\nterminal = "mac"', 5, "terminal"),
        ('kind = "log"', 1, "needs path"),
        ('kind = "log"\npath = "x"\nslack = "soon"', 5, "slack"),
    ],
)
def test_mistakes_name_the_line(tmp_path: Path, said: str, line: int, what: str) -> None:
    with pytest.raises(ConfigError) as error:
        load(config(tmp_path, said))
    assert f"andon.toml:{line}:" in str(error.value) and what in str(error.value)


class Reads:
    """As much of an engine as clocks look at."""

    def __init__(self, name: str, *reads: str) -> None:
        self.name, self.reads, self.needs = name, reads, ()


def test_an_engine_waits_for_sources_of_any_kind_that_it_reads() -> None:
    engines = [Reads("edges", CONTACT), Reads("flows", FLOW), Reads("packets", "packet")]
    clocks = Clocks(engines, {"eve": (CONTACT, FLOW), "netflow": (FLOW,), "wire": "packet"})  # type: ignore[arg-type]
    assert clocks.group == {
        "edges": frozenset({"eve"}),
        "flows": frozenset({"eve", "netflow"}),
        "packets": frozenset({"wire"}),
    }
    clocks.promise("eve", 100)
    assert (clocks.before("edges"), clocks.before("flows"), clocks.before("packets")) == (100, None, None)
    clocks.promise("netflow", 70)
    assert clocks.before("flows") == 70
