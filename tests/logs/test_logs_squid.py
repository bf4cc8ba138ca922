"""Lines that Squid 5.7 wrote, and how they are read."""

from __future__ import annotations

import re
from typing import Any

import pytest
from logs_reading import SAMPLES, accounted, read, rows_of

from andon.observe.logs import Options
from andon.observe.logs.formatted import Formatted
from andon.observe.logs.logformat import compiled

FORMATS = dict(re.findall(r"^logformat (\S+) (.*)$", (SAMPLES / "squid-formats.conf").read_text(), re.M))
NATIVE = (
    b"1760000000.255    115 10.29.0.162 TCP_TUNNEL/200 416 CONNECT app.a.co.example:443 h.klai "
    b"HIER_DIRECT/198.18.221.224 -\n"
    b"1760000001.989     79 10.21.0.95 TCP_MISS/200 503 GET https://b.test/x?y r.dutine71 "
    b"HIER_DIRECT/198.18.253.193 text/html\n"
)


def native(
    url: str, method: str = "GET", code: str = "TCP_MISS/200", server: str = "HIER_DIRECT/198.51.100.1"
) -> bytes:
    return f"1760000000.000      0 192.0.2.1 {code} 10 {method} {url} - {server} text/html\n".encode()


def one(line: bytes) -> dict[str, Any]:
    rows, skipped, _ = rows_of(Formatted("squid"), line)
    assert len(rows) == 1, skipped
    return rows[0]


def ns(row: dict[str, Any]) -> int:
    return round(row["ts"].timestamp() * 1000)


def test_native_lines_begin_when_the_transaction_began() -> None:
    rows, skipped, _ = read(NATIVE)
    assert not skipped.lines
    first, second = rows
    assert ns(first) == 1_760_000_000_140 and first["duration"] == 115_000_000
    assert (first["via"], first["host"], first["port"], first["path"]) == (
        "tunnel",
        "app.a.co.example",
        443,
        "",
    )
    assert (first["terminal"], first["user"], first["server"]) == ("10.29.0.162", "h.klai", "198.18.221.224")
    assert (first["bytes_in"], first["bytes_out"], first["status"], first["mime"]) == (416, -1, 200, "")
    assert (second["via"], second["scheme"], second["port"], second["path"]) == ("http", "https", 443, "/x?y")
    assert second["referer"] is None and second["agent"] is None  # the format has no such field


@pytest.mark.parametrize(
    ("url", "host", "port", "path"),
    [
        ("http://User:p%40ss@WWW.Example.:8080/A?b#c", "www.example", 8080, "/A?b#c"),
        ("http://a@b@c.example/", "c.example", 80, "/"),
        ("http://[2001:DB8::1]:81/x", "2001:db8::1", 81, "/x"),
        ("http://%5B2001:db8::1%5D:81/x", "2001:db8::1", 81, "/x"),
        ("https://[2001:db8::1]", "2001:db8::1", 443, ""),
        ("http://192.0.2.7/", "192.0.2.7", 80, "/"),
        ("ftp://f.example/pub", "f.example", 21, "/pub"),
        ("wss://w.example/s", "w.example", 443, "/s"),
        ("coap://c.example/s", "c.example", -1, "/s"),
        ("http://h.example?q=1", "h.example", 80, "?q=1"),
        ("http://h.example\\@evil.example/", "h.example", 80, "\\@evil.example/"),
        ("http://h.example:99999/", "h.example", -1, "/"),
        ("http://xn--bcher-kva.example/", "xn--bcher-kva.example", 80, "/"),
        ("http://bücher.example/", "bücher.example", 80, "/"),
    ],
)
def test_urls_are_taken_apart(url: str, host: str, port: int, path: str) -> None:
    row = one(native(url))
    assert (row["host"], row["port"], row["path"]) == (host, port, path)


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("error:invalid-request", "requests without a destination"),
        ("urn:isbn:0451450523", "requests without a destination"),
        ("-", "requests without a destination"),
        ("*", "requests without a destination"),
        ("cache_object://localhost/info", "requests for the proxy itself"),
        ("http://proxy.example:3128/squid-internal-mgr/info", "requests for the proxy itself"),
        ("http:///nothing", "requests without a destination"),
        ("http://[2001:db8::1/", "not a host name"),
        ("http://a]b/", "not a host name"),
        ("http://:80/", "not a host name"),
        (f"http://{'a' * 300}.example/", "not a host name"),
        ("http://a.example:8x/", "not a host name"),
    ],
)
def test_what_has_no_destination_is_counted_with_its_reason(url: str, reason: str) -> None:
    rows, skipped, reader = rows_of(Formatted("squid"), native(url))
    assert not rows and (skipped.reasons + skipped.passed) == {reason: 1}
    assert accounted(0, skipped, reader) == 1


def test_the_address_of_a_parent_proxy_is_not_the_servers() -> None:
    assert one(native("http://a.example/", server="FIRSTUP_PARENT/192.0.2.9"))["server"] == ""
    assert one(native("http://a.example/", server="DIRECT/old.example"))["server"] == ""
    assert one(native("http://a.example/", server="ORIGINAL_DST/2001:db8::5"))["server"] == "2001:db8::5"


def test_refused_is_what_the_proxy_says() -> None:
    assert one(native("a.example:443", "CONNECT", "TCP_DENIED/403"))["refused"]
    assert one(native("a.example:443", "CONNECT", "TCP_DENIED_REPLY/403"))["refused"]
    assert not one(native("http://a.example/", code="TCP_MISS/403"))["refused"]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"garbage\n", "does not fit the format"),
        (NATIVE.split(b"\n")[0][:60] + b"\n", "does not fit the format"),
        (native("http://a.example/").replace(b" 10 ", b" ten "), "a field that should be a number is none"),
        (native("http://a.example/").replace(b"1760000000.000", b"99999999999999999999.1"), "no valid time"),
        (native("http://a.example/").replace(b"1760000000.000", b"1760000x00.000"), "no valid time"),
        (native("http://a.example/").replace(b"192.0.2.1", b"-"), "no client"),
    ],
)
def test_broken_lines_are_counted_with_an_example(line: bytes, reason: str) -> None:
    rows, skipped, _ = rows_of(Formatted("squid"), NATIVE + line + NATIVE)
    assert len(rows) == 4 and skipped.reasons == {reason: 1}
    ((number, text),) = skipped.examples
    assert number == 3 and text.startswith(f"{reason}: ") and len(text) < 300


def test_examples_are_neutral() -> None:
    _, skipped, _ = rows_of(Formatted("squid"), b"x http://evil.example/ \x1b[2J\n")
    assert "hxxp://evil[.]example" in skipped.examples[0][1] and "\x1b" not in skipped.examples[0][1]


def test_negative_and_absurd_numbers_are_unknown() -> None:
    line = native("http://a.example/").replace(b"     0 ", b"    -7 ").replace(b" 10 ", b" -10 ")
    row = one(line)
    assert (row["duration"], row["bytes_in"], ns(row)) == (-1, -1, 1_760_000_000_000)
    line = (
        native("http://a.example/")
        .replace(b"     0 ", b" 99999999999999999999999 ")
        .replace(b" 10 ", b" 9" + b"9" * 30 + b" ")
    )
    row = one(line)
    assert (row["duration"], row["bytes_in"], ns(row)) == (-1, -1, 1_760_000_000_000)


def test_other_encodings_become_utf8_by_escaping() -> None:
    latin = native("http://a.example/caf\xe9").decode().encode("latin-1")
    assert one(latin)["path"] == "/caf\\xe9"
    rows, _, _ = rows_of(Formatted("squid"), latin + native("http://a.example/café"))
    assert [row["path"] for row in rows] == ["/caf\\xe9", "/café"]


def test_user_names_are_unescaped() -> None:
    line = native("http://a.example/").replace(b" - HIER", b" DOM%5cj%C3%A9%20doe HIER")
    assert one(line)["user"] == "DOM\\jé doe"
    line = native("http://a.example/").replace(b" - HIER", b" John Q. Doe HIER")
    assert one(line)["user"] == "John Q. Doe"  # Squid leaves blanks as they are
    line = native("http://a.example/").replace(b" - HIER", b" bad%e9%zz HIER")
    assert one(line)["user"] == "bad%e9%zz"  # it would be no UTF-8


def test_long_urls_are_cut_at_a_character() -> None:
    path = one(native("http://a.example/" + "é" * 3000))["path"]
    assert path.startswith("/éé") and 2040 < len(path.encode()) <= 2048


def test_mime_headers_behind_a_line_are_passed_over() -> None:
    line = native("http://a.example/").rstrip() + rb" [User-Agent: x%20y\r\n] [HTTP/1.1 200 OK\r\n\r]" + b"\n"
    assert one(line)["mime"] == "text/html"


@pytest.mark.parametrize("name", ["native", "combined", "common", "referrer", "odd", "tabbed", "started"])
def test_what_squid_wrote_is_read(name: str) -> None:
    """One request of every kind through Squid 5.7, logged in seven formats at once."""
    data = (SAMPLES / f"squid-{name}.log").read_bytes()
    given = FORMATS.get(name, "referrer" if name == "referrer" else "")
    rows, skipped, reader = read(data, Options(logformat=given))
    assert accounted(len(rows), skipped, reader) == data.count(b"\n") == 18
    # The proxy's own page, and two requests that never came to be. A referer with blanks and no quotes around it
    # cannot be told from the URL behind it.
    assert skipped.passed.total() == 3 and skipped.lines == (1 if name == "referrer" else 0)
    asked = [(row["host"], row["port"], row["via"]) for row in rows]
    expected = [
        ("www.site.example", 38080, "http"), ("shop.example", 38080, "http"), ("www.site.example", 38080, "http"),
        ("www.site.example", 38080, "http"), ("www.site.example", 38080, "tunnel"), ("2001:db8::1", 38081, "http"),
        ("2001:db8::1", 38081, "tunnel"), ("a.denied.example", 80, "http"), ("a.denied.example", 443, "tunnel"),
        ("nowhere.invalid", 80, "http"), ("odd_name.example", 38080, "http"), ("www.site.example", 38080, "http"),
        ("www.site.example", 38080, "http"), ("www.site.example", 38080, "http"), ("www.site.example", 38080, "http"),
    ]  # fmt: skip
    if name == "started":  # this format has no method and no code of the proxy
        expected = [(host, port, "http") for host, port, _ in expected]
    assert asked == expected[len(expected) - len(asked) :]
    assert {row["terminal"] for row in rows} == {"192.0.2.10"}
    if name not in ("referrer", "started"):
        assert [row["refused"] for row in rows] == [row["host"] == "a.denied.example" for row in rows]
    if name in ("combined", "odd"):
        assert rows[0]["referer"] == 'http://ref.example/a"b\\c d'
    if name in ("combined", "odd", "tabbed"):
        assert rows[0]["agent"] == 'Mozilla/5.0 (X11; "odd" \\ agent)'
        assert rows[1]["referer"] == "" and rows[10]["agent"] == ""


def test_start_times_of_formats_agree() -> None:
    """%tS is the begin; %ts less %tr is it too, to the millisecond or two that Squid rounds."""
    begun = read((SAMPLES / "squid-started.log").read_bytes(), Options(logformat=FORMATS["started"]))[0]
    ended = read((SAMPLES / "squid-native.log").read_bytes())[0]
    assert [row["path"].split("?")[0] for row in begun if row["path"]] == [
        row["path"].split("?")[0].replace("|", "%7C") for row in ended if row["path"]
    ]
    assert max(abs(ns(a) - ns(b)) for a, b in zip(begun, ended, strict=True)) <= 2


def test_apache_as_a_forward_proxy_is_read_and_as_a_web_server_it_is_not() -> None:
    line = b'192.0.2.1 - "j doe" [05/Jan/2026:09:30:00 +0900] "%s HTTP/1.1" 200 - "-" "Mo\\"z \\\\ (x)"\n'
    rows, _, _ = read(line % b"GET http://a.example/x" + line % b"CONNECT b.example:443")
    assert [(row["host"], row["bytes_in"], row["agent"]) for row in rows] == [
        ("a.example", -1, 'Mo"z \\ (x)'), ("b.example", -1, 'Mo"z \\ (x)'),
    ]  # fmt: skip
    assert ns(rows[0]) == 1_767_573_000_000
    from andon.observe.logs import squid

    assert not squid.recognise(line % b"GET /x", "access.log")


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("nonsense", "no such format"),
        ("useragent", "no destination"),
        ("%>a %ru", "needs a time"),
        ("%ts %ru", "needs a time"),
        ("%ts %>a%ru", "nothing stands between"),
        ("%ts %>a %ru %{%Q}tl", "%Q is not known"),
        ("%ts %>a %ru %+", "no directive"),
    ],
)
def test_a_format_that_cannot_be_read_is_refused_with_the_reason(text: str, what: str) -> None:
    with pytest.raises(ValueError, match=re.escape(what)):
        compiled(text)


def test_a_directive_of_squid_conf_can_be_given_as_it_stands() -> None:
    plan = compiled("logformat mine %ts.%03tu %6tr %>a %Ss/%03>Hs %<st %rm %ru %ssl::>sni %http::>rd")
    assert plan.name == "mine" and "sni" in plan.contacts.has


def test_the_name_in_a_handshake_says_more_than_an_address() -> None:
    reader = Formatted("%ts.%03tu %tr %>a %Ss/%03>Hs %<st %rm %ru %ssl::>sni")
    data = b"1760000000.000 5 192.0.2.1 TCP_TUNNEL/200 10 CONNECT 198.51.100.1:443 %s\n"
    rows, _, _ = rows_of(reader, data % b"Real.Example" + data % b"-")
    assert [(row["host"], row["server"], row["port"]) for row in rows] == [
        ("real.example", "198.51.100.1", 443), ("198.51.100.1", "", 443),
    ]  # fmt: skip


def test_local_times_and_widths_and_shell_quotes() -> None:
    reader = Formatted("[%{%d/%b/%y %I:%M:%S %p}tl] %-15>a|%<st|%ru|%/{User-Agent}>h")
    rows, skipped, _ = rows_of(
        reader, b'[05/Jan/26 01:02:03 PM] 192.0.2.1      |7|http://a.example/|"a \\"b\\" c"\n'
    )
    assert not skipped.lines
    assert (ns(rows[0]), rows[0]["bytes_in"], rows[0]["agent"]) == (1_767_618_123_000, 7, 'a "b" c')
