"""Recog's own examples, what is made of them, and what a stranger's banner may not do."""

from __future__ import annotations

import hashlib
import io
import re
import tarfile
import zipfile
from pathlib import Path

import pytest

from andon.observe.recog import LONGEST, NoRecog, Recog, shipped
from andon.observe.recog.fingerprint import Fingerprint, Param, literals
from andon.observe.recog.linear import SHORT, as_re2, groups, repetitions
from andon.observe.recog.load import SHIPPED, load
from andon.observe.recog.parts import parts
from spent import spent


def _xml(body: str, head: str = 'matches="http_header.server" protocol="http"') -> str:
    return f'<?xml version="1.0"?><fingerprints {head}>{body}</fingerprints>'


def _one(pattern: str, params: str = "", flags: str = "") -> str:
    return (
        f'<fingerprint pattern="{pattern}" flags="{flags}"><description>d</description>{params}</fingerprint>'
    )


def test_every_example_of_recog_gives_the_fields_it_promises() -> None:
    failed, count = [], 0
    for database in shipped().databases:
        for fingerprint in database.fingerprints:
            for example in fingerprint.examples:
                assert example.text is not None
                count += 1
                got = fingerprint.match(example.text)
                if got is None or any(got.get(name) != value for name, value in example.expected.items()):
                    failed.append((database.name, fingerprint.pattern, example.text))
    assert count == 7525
    assert failed == []


def test_the_shipped_files_are_the_ones_of_the_project_with_their_licence() -> None:
    assert hashlib.sha256(SHIPPED.read_bytes()).hexdigest() == (
        "0c8e5bfdd64db13c9615029eb9722e3ce49aa223b1b480c79c3098bb5cffc74c"
    )
    assert "Redistributions in binary form must reproduce" in (SHIPPED.parent / "COPYING").read_text()
    assert not shipped().left_out


def test_the_literal_prefilter_never_loses_a_match() -> None:
    with_literal = 0
    for database in shipped().databases:
        for fingerprint in database.fingerprints:
            with_literal += bool(fingerprint.literals)
            for example in fingerprint.examples:
                assert fingerprint.may_match((example.text or "").lower())
    assert with_literal > 4300


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        (r"^abc?d", "ab d"), (r"a|b", ""), (r"x{2}yz", "yz"), (r"[ab]cde\.f", "cde.f"), (r"\x41bc", ""),
        (r"(?:no)+yes", "yes"), (r"^\(x\)$", "(x)"), ("ſtraße", ""), (r"ab\d+ccc", "ccc ab"), (r"[]x]lit", "lit"),
        (r"ab\x41cd", "ab"), (r"AB+cd", "cd a"),
    ],
)  # fmt: skip
def test_literals_are_what_every_match_contains(pattern: str, expected: str) -> None:
    assert " ".join(literals(pattern)) == expected


def test_re2_and_re_give_the_same_groups_for_all_dangerous_patterns() -> None:
    count = 0
    for database in shipped().databases:
        for fingerprint in database.fingerprints:
            _, nested = repetitions(fingerprint.pattern)
            if not nested:
                continue
            text = re.sub(r"^(\^?)\(\?([imsx]+)\)", r"(?\2)\1", fingerprint.pattern)
            quick = as_re2(text, re.RegexFlag(fingerprint.regex.flags))
            for example in fingerprint.examples[:1]:
                found = fingerprint.regex.search(example.text or "")
                assert found is not None
                count += 1
                expected = [found[n] or "" for n in range(found.re.groups + 1)]
                assert groups(quick, example.text or "") == expected
    assert count > 80


# (database, beginning, what is repeated): for these Python's own search takes seconds or for ever.
WORST = [
    ("smtp.banner", "foo.bar SMTP NAVIEG 2.0.1; ", "a http"),
    ("smtp.banner", "ArGoSoft Mail Server, Version 1 (", "1."),
    ("smtp.banner", "foo.bar GroupWise Internet Agent ", "a."),
    ("snmp.sys_description", "Cisco Internetwork Operating System Software ", "\r\n"),
    ("snmp.sys_description", "Aruba ABC123 ", "a "),
    ("telnet_banners", "Welcome to SMG2016", "\r\n"),
    ("html_title", "", "\n"),
    ("sip_header.user_agent", "AVM FRITZ!Fon 7150 ", " "),
]


@pytest.mark.parametrize(("key", "begin", "repeated"), WORST)
def test_no_banner_takes_for_ever(key: str, begin: str, repeated: str) -> None:
    recog = shipped()
    recog.match(key, begin)  # compiles
    for size in (SHORT, 1024, LONGEST, 100 * LONGEST):
        text = (begin + repeated * (size // len(repeated) + 1))[: size - 1] + "\x01"
        with spent() as cost:
            recog.match(key, text)
        assert cost.seconds < 1.5, (key, size)


def test_first_match_in_file_order_wins(tmp_path: Path) -> None:
    first = _one("^Web", '<param pos="0" name="hw.vendor" value="First"/>')
    second = _one("^Web ?Cam", '<param pos="0" name="hw.vendor" value="Second"/>')
    (tmp_path / "a.xml").write_text(_xml(first + second))
    found = Recog(tmp_path).identify("http_header.server", "WebCam")
    assert found is not None
    assert found.vendor == "First"


def test_interpolation_fills_cpe_and_drops_temporary_fields(tmp_path: Path) -> None:
    params = (
        '<param pos="1" name="hw.product"/><param pos="0" name="hw.vendor" value="Acme"/>'
        '<param pos="2" name="_tmp.x"/><param pos="0" name="hw.cpe23" value="cpe:/h:acme:{hw.product}:{hw.version}"/>'
        '<param pos="0" name="hw.model" value="{_tmp.x}!"/>'
    )
    (tmp_path / "a.xml").write_text(_xml(_one(r"^(\w+ \w+)/(\d)$", params)))
    found = Recog(tmp_path).identify("http_header.server", "Big Cam/3")
    assert found is not None
    assert (found.cpe, found.fields["hw.model"]) == ("cpe:/h:acme:big_cam:-", "3!")
    assert "_tmp.x" not in found.fields


def test_folder_zip_tar_and_single_file_are_the_same(tmp_path: Path) -> None:
    xml = _xml(_one("^X", '<param pos="0" name="hw.device" value="NAS"/>')).encode()
    (tmp_path / "tree" / "xml").mkdir(parents=True)
    (tmp_path / "tree" / "xml" / "a.xml").write_bytes(xml)
    (tmp_path / "one.xml").write_bytes(xml)
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("recog-main/xml/a.xml", xml)
    with tarfile.open(tmp_path / "a.tar.gz", "w:gz") as tar:
        member = tarfile.TarInfo("./xml/a.xml")
        member.size = len(xml)
        tar.addfile(member, io.BytesIO(xml))
    for name in ("tree", "one.xml", "a.zip", "a.tar.gz"):
        found = Recog(tmp_path / name).identify("http", "HTTP/1.1 200 OK\r\nServer: X1\r\n")
        assert found is not None, name
        assert found.device == "NAS", name


def test_external_and_base64_examples_are_read(tmp_path: Path) -> None:
    body = (
        '<fingerprint pattern="^a.b"><description>d</description>'
        '<example _encoding="base64">YQBi</example><example _filename="x.txt"/>'
        '<example _filename="missing.txt"/></fingerprint>'
    )
    (tmp_path / "ssh.xml").write_text(_xml(body))
    (tmp_path / "ssh").mkdir()
    (tmp_path / "ssh" / "x.txt").write_bytes(b"a\xe9b")
    examples = load(tmp_path).databases[0].fingerprints[0].examples
    assert [example.text for example in examples] == ["a\0b", "a\xe9b", None]


def test_what_is_no_recog_is_refused_and_what_is_broken_left_out(tmp_path: Path) -> None:
    (tmp_path / "bad.xml").write_text(_xml(_one("(unclosed") + _one("^ok") + _one("x", flags="REG_WHAT")))
    (tmp_path / "cut.xml").write_text('<fingerprints><fingerprint pattern="')
    laughs = '<!DOCTYPE l [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]>' + _xml(_one("&b;"))[21:]
    (tmp_path / "laughs.xml").write_text('<?xml version="1.0"?>' + laughs)
    recog = Recog(tmp_path)
    assert recog.match("http_header.server", "(unclosed x ok") is None
    told = "\n".join(recog.left_out)
    assert "cut.xml" in told
    assert "refused" in told
    assert "REG_WHAT" in told
    for name, content in (("empty.zip", b""), ("noise.tar.zst", b"\x28\xb5\x2f\xfd" + bytes(40))):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(NoRecog):
            Recog(tmp_path / name)


def test_an_archive_that_unpacks_to_more_than_it_should_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "bomb.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("xml/a.xml", bytes(80 << 20))
    with pytest.raises(NoRecog, match="more than"):
        Recog(tmp_path / "bomb.zip")


def test_banners_of_known_devices() -> None:
    recog = shipped()
    camera = recog.identify("http", "HTTP/1.0 401\r\nServer: Hikvision-Webs\r\n\r\n")
    assert camera is not None
    assert (camera.vendor, camera.device) == ("Hikvision", "DVR")
    router = recog.identify("telnet", "BCM96318 Broadband Router\r\nLogin: ")
    assert router is not None
    assert (router.device, router.product) == ("Router", "BCM96318")
    ssh = recog.identify("ssh", "SSH-2.0-dropbear_2017.75\r\n")
    assert ssh is not None
    assert (ssh.device, "Dropbear" in ssh.service) == ("", True)
    assert recog.identify("http", "Server: nothing anybody knows") is None
    assert recog.vendor("qnap") == "QNAP"


@pytest.mark.parametrize(
    ("protocol", "banner", "expected"),
    [
        ("ssh", "SSH-1.99-Cisco-1.25\n", [("ssh.banner", "Cisco-1.25")]),
        ("", "SSH-2.0-x", [("ssh.banner", "x")]),
        ("ftp", "220-Hello there\r\n220 second", [("ftp.banner", "Hello there")]),
        ("https", "Server: a\r\nWWW-Authenticate: b", [("http_header.server", "a"), ("http_header.wwwauth", "b")]),
        ("rtsp", "RTSP/1.0 200 OK\r\nServer: cam", [("rtsp_header.server", "cam")]),
        ("pop3", "+OK Dovecot ready.", [("pop3.banner", "Dovecot ready.")]),
        ("imap", "* OK [CAPABILITY IMAP4rev1] Dovecot", [("imap4.banner", "Dovecot")]),
        ("bacnet", "whatever", []),
        ("http", "<TITLE>A &amp; B</TITLE>", [("html_title", "A & B")]),
    ],
)  # fmt: skip
def test_a_banner_is_taken_apart(protocol: str, banner: str, expected: list[tuple[str, str]]) -> None:
    assert parts(protocol, banner) == expected


def test_a_pattern_that_cannot_be_bounded_is_left_out_rather_than_run() -> None:
    bad = Fingerprint(r"^(a+)+(?=b)\1$", (), "look-ahead in a nest", (Param(0, "hw.vendor", "x"),))
    with spent() as cost, pytest.raises(ValueError, match="for ever"):
        bad.match("a" * 60)
    assert cost.seconds < 1
