"""W3C extended logs: Blue Coat's and IIS's."""

from __future__ import annotations

from logs_reading import accounted, read, rows_of

from andon.observe.logs import Options, elff

NAMES = (
    b"date time time-taken c-ip cs-username cs-auth-group x-exception-id sc-filter-result cs-categories cs(Referer) "
    b"sc-status s-action cs-method rs(Content-Type) cs-uri-scheme cs-host cs-uri-port cs-uri-path cs-uri-query "
    b"cs-uri-extension cs(User-Agent) s-ip sc-bytes cs-bytes"
)
BLUECOAT = (
    b"#Software: SGOS 6.7.1.1\n#Version: 1.0\n#Start-Date: 2026-01-05 09:00:00\n#Date: 2026-01-05 09:00:00\n#Fields: "
    + NAMES
    + b'\n2026-01-05 09:30:01 125 192.0.2.10 jdoe staff - OBSERVED "News/Media;Sports" http://ref.example/x 200 '
    b"TCP_NC_MISS GET text/html;%20charset=utf-8 http WWW.Example 80 /a/b ?q=1 - "
    b'"Mozilla/5.0 (X11; ""L"")" 192.0.2.1 4096 512\n'
    b'2026-01-05 09:30:02 1.5 192.0.2.11 - - policy_denied DENIED "Malware" - 403 TCP_ERR_MISS GET - http bad.example '
    b"80 / - - - 192.0.2.1 0 300\n"
    b"2026-01-05 09:30:03 9 192.0.2.11 - - - OBSERVED none - 200 TCP_TUNNELED CONNECT - tcp t.example 443 / - - - "
    b"192.0.2.1 0 300\n"
)
HEADING = b"#Fields: date time c-ip cs-host\n"


def test_bluecoat_lines() -> None:
    rows, skipped, reader = read(BLUECOAT)
    assert not skipped.lines and accounted(len(rows), skipped, reader) == BLUECOAT.count(b"\n")
    first, second, third = rows
    assert first["ts"].isoformat() == "2026-01-05T09:30:00.875000+00:00" and first["duration"] == 125_000_000
    assert (first["host"], first["port"], first["path"]) == ("www.example", 80, "/a/b?q=1")
    assert (first["user"], first["category"], first["agent"]) == (
        "jdoe",
        "News/Media;Sports",
        'Mozilla/5.0 (X11; "L")',
    )
    assert (first["bytes_in"], first["bytes_out"], first["status"]) == (4096, 512, 200)
    assert (first["action"], first["refused"], first["source"]) == ("TCP_NC_MISS", False, "elff")
    assert second["refused"] and second["duration"] == 1_500_000_000  # with a point it is seconds
    assert second["referer"] == "" and second["category"] == "Malware" and second["path"] == "/"
    assert (third["via"], third["host"], third["port"], third["scheme"]) == ("tunnel", "t.example", 443, "")


def test_fields_may_change_inside_a_file() -> None:
    rows, skipped, reader = read(
        HEADING
        + b"2026-01-05 09:30:01 192.0.2.1 a.example\n"
        + b"#Date: 2026-01-06 00:00:00\n#Fields: time cs-uri c-ip sc-status\n"
        + b"00:00:01 https://b.example/x 192.0.2.2 404\n00:00:02 too few\n"
        + b"#Date: 2026-01-07 00:00:00\n00:00:03 https://c.example/ 192.0.2.2 200\n"
        + b"#Fields: nothing of use\na b c\n"
        + b"#Fields: timestamp cs-uri c-ip\n1767571200.5 http://d.example/ 192.0.2.3"
    )
    assert [(row["host"], row["ts"].isoformat()) for row in rows] == [
        ("a.example", "2026-01-05T09:30:01+00:00"),
        ("b.example", "2026-01-06T00:00:01+00:00"),
        ("c.example", "2026-01-07T00:00:03+00:00"),
        ("d.example", "2026-01-05T00:00:00.500000+00:00"),
    ]
    assert skipped.reasons == {"does not fit the format": 2} and [line for line, _ in skipped.examples] == [
        6,
        10,
    ]
    assert accounted(len(rows), skipped, reader) == 12


def test_times_in_brackets() -> None:
    for field, time in (
        (b"gmttime", b"[05/01/2026:09:30:01 GMT]"),
        (b"localtime", b"[05/Jan/2026:18:30:01 +0900]"),
        (b"x-timestamp-unix", b"1767605401"),
    ):
        rows, skipped, _ = read(b"#Fields: " + field + b" c-ip cs-host\n" + time + b" 192.0.2.1 a.example\n")
        assert not skipped.lines and rows[0]["ts"].isoformat() == "2026-01-05T09:30:01+00:00"


def test_iis_lines() -> None:
    rows, skipped, _ = read(
        b"#Software: Microsoft Internet Information Services 10.0\r\n#Version: 1.0\r\n#Date: 2026-01-05 00:00:01\r\n"
        b"#Fields: date time s-ip cs-method cs-uri-stem cs-uri-query s-port cs-username c-ip cs(User-Agent) "
        b"cs(Referer) sc-status sc-substatus sc-win32-status time-taken\r\n"
        b"2026-01-05 00:00:02 192.0.2.80 GET /owa/ a=b 443 CORP\\jdoe 192.0.2.10 Mozilla/5.0+(Win) - 200 0 0 15\r\n"
    )
    (row,) = rows
    assert not skipped.lines and row["source"] == "iis"
    assert (row["host"], row["port"], row["path"], row["user"]) == (
        "192.0.2.80",
        443,
        "/owa/?a=b",
        "CORP\\jdoe",
    )


def test_reading_goes_on_in_the_middle_of_a_file() -> None:
    whole, _, _ = read(BLUECOAT)
    lines = BLUECOAT.splitlines(keepends=True)
    head = b"".join(lines[:6])
    rows, _, reader = rows_of(elff.lines(head, Options(), None), head)
    more, skipped, _ = rows_of(elff.lines(head, Options(), reader.state()), b"".join(lines[6:]))
    assert rows + more == whole and not skipped.lines
    # A reader that knows the heading alone can read on as well.
    assert rows_of(elff.lines(head, Options(), None), b"".join(lines[6:]))[0] == whole[1:]


def test_other_logs_with_a_heading_are_not_recognised() -> None:
    for head in (
        b"#separator \\x09\n#fields\tts\tuid\n",
        b"#Fields: date time\n1 2\n",
        b"# comment\nx\n",
        b"",
        b"#",
    ):
        assert not elff.recognise(head, "x.log")
