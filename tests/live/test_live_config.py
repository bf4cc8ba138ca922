"""The configuration: every mistake is said with its line, by `check-config` and by `run` alike."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from andon.cli import app
from andon.records.contract import Site
from andon.run.live.config import ConfigError, load
from andon.run.live.parts import engines_of, site_of

GOOD = """\
[telescope]
prefixes = ["192.0.2.0/24"]

[[source]]
name = "tap"
kind = "folder"
path = "caps"

[[organisation]]
name = "Example"
prefixes = ["203.0.113.0/24"]
sinks = ["file"]

[[sink]]
name = "file"
kind = "file"
path = "alerts.ndjson"

[engine."darknet.daedalus"]
alerts = 7

[store]
path = "store"
"""
# What is replaced, by what, the line it is said of, words of it.
MISTAKES = [
    ('["192.0.2.0/24"]', '["192.0.2.1/24"]', 2, "has host bits set"),
    ('["192.0.2.0/24"]', '["2001:db8::/32"]', 2, "look at no IPv6"),
    ('"tap"', '"tap tap"', 5, "source.0.name"),
    ('kind = "folder"', 'kind = "dir"', 6, "interface"),
    ('path = "caps"', 'paht = "caps"', 7, "source.0.paht: there is no such setting"),
    ('path = "caps"', "", 4, 'needs path = "DIR"'),
    ('path = "caps"', 'path = "caps"\nsettle = "soon"', 8, "soon"),
    ('sinks = ["file"]', 'sinks = ["mail"]', 12, "no such [[sink]]"),
    ('["203.0.113.0/24"]', "[]", 11, "at least 1"),
    ('kind = "file"', 'kind = "fax"', 16, "kind is one of"),
    ('"alerts.ndjson"', "7", 17, "path is a path"),
    ("alerts = 7", "alarms = 7", 20, "there is no such setting"),
    ("alerts = 7", "alerts = 0", 20, "darknet.daedalus.alerts is 0"),
    ('path = "store"', 'path = "store"\ncommit_rows = 0', 24, "greater than or equal to 1"),
    ('path = "store"', 'path = "store"\njournal_bytes = "much"', 24, "is not a size"),
    ('path = "store"', "path = ", 23, "Invalid value"),
    ("[store]", '[metrics]\nlisten = "9464"\n[store]', 23, "HOST:PORT"),
    ("[store]", '[lists]\nrdns = "missing.csv"\n[store]', 23, "missing.csv: No such file"),
    ("[store]", '[lists.scanners]\nknown = "missing.csv"\n[store]', 23, "missing.csv: No such file"),
    ("[telescope]", 'engines = ["darknet.nothing"]\n[telescope]', 1, "no engine named darknet.nothing"),
    ("[[sink]]", '[[source]]\nname = "tap"\nkind = "stdin"\n[[sink]]', 15, "two sources are named 'tap'"),
]


def checked(folder: Path, text: str) -> tuple[int, str]:
    path = folder / "andon.toml"
    path.write_text(text)
    result = CliRunner().invoke(app, ["check-config", str(path)])
    return result.exit_code, result.output


def test_a_good_configuration_is_called_good(tmp_path: Path) -> None:
    code, said = checked(tmp_path, GOOD)
    assert code == 0, said
    assert "1 source(s), 1 organisation(s), 1 sink(s)" in said
    assert "there is no folder" in said  # on this machine, which is no mistake


@pytest.mark.parametrize(("old", "new", "line", "words"), MISTAKES)
def test_a_mistake_is_said_with_its_line(tmp_path: Path, old: str, new: str, line: int, words: str) -> None:
    assert old in GOOD
    code, said = checked(tmp_path, GOOD.replace(old, new, 1))
    assert code == 2
    assert f"andon.toml:{line}:" in said, said
    assert words in said, said
    assert "Traceback" not in said


def test_all_mistakes_of_a_kind_are_said_at_once(tmp_path: Path) -> None:
    text = GOOD.replace('"tap"', '"t p"').replace("[store]", "[store]\ncommit = 1")
    with pytest.raises(ConfigError) as failed:
        path = tmp_path / "andon.toml"
        path.write_text(text)
        load(path)
    assert len(str(failed.value).splitlines()) == 2


def test_a_file_that_is_not_there_is_said_with_where_an_example_is(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["check-config", str(tmp_path / "none.toml")])
    assert result.exit_code == 2
    assert "docs/live.md" in result.output


def test_engine_tables_may_be_written_with_and_without_quotes(tmp_path: Path) -> None:
    for header in ('[engine."darknet.daedalus"]', "[engine.darknet.daedalus]"):
        path = tmp_path / "andon.toml"
        path.write_text(GOOD.replace('[engine."darknet.daedalus"]', header))
        site, _ = site_of(load(path), path)
        assert isinstance(site, Site)
        assert site.settings == {"darknet.daedalus.alerts": 7}
        assert engines_of(load(path), site, path)


def test_paths_are_relative_to_the_configuration(tmp_path: Path) -> None:
    path = tmp_path / "andon.toml"
    path.write_text(GOOD)
    config = load(path)
    assert config.store.path == tmp_path / "store"
    assert config.source[0].path == tmp_path / "caps"
