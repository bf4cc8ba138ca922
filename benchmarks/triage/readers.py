"""How fast alerts of others become records, beside Python's own JSON; and what the listeners take in.

    python benchmarks/triage/readers.py [--alerts 40000] [--listeners]

Bars: >= 150,000 alerts per CPU second of Suricata's EVE and of Wazuh, >= 100,000 of CEF. Files are made in the
shapes of the products (``tests/alerts``), other values in each alert, and read through the sensor that recognises them;
the best of three runs counts, compilation not. ``json.loads`` only parses each line. With ``--listeners``: CPU
seconds of this process, which sends as well.
"""

from __future__ import annotations

import argparse
import http.client
import json
import socket
import sys
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from time import process_time

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tests" / "alerts"))
import alert_samples as made

from andon.observe.jsonlines import Skipped
from andon.observe.live.bulk import BulkSource
from andon.observe.live.syslog import SyslogSource
from andon.observe.sensors import sniff

BARS = {"eve": 150_000, "wazuh": 150_000, "cef": 100_000}


def cef(n: int) -> bytes:
    parts = [
        f"<134>{made.moment(n):%b %d %H:%M:%S} fw1 CEF:0|Acme|IPS|1.0|{n % 50}|attempt {n % 50} seen|{n % 10}|",
        f"start={made.ns(n) // 1_000_000} src={made.inside(n)} spt={n % 60_000} dst={made.outside(n)} dpt=443",
        f" act=blocked request=http://x{n % 300}.example/abc/def?id={n} cat=exploit externalId={n} suser=user{n % 90}",
        " proto=TCP msg=a message of some length that says what the device thinks has happened here cs1Label=Policy",
        " cs1=Default-Policy cs2Label=Zone cs2=untrust deviceDirection=0 cn1Label=risk cn1=4\n",
    ]
    return "".join(parts).encode()


def leef(n: int) -> bytes:
    parts = [
        f"<134>{made.moment(n):%b %d %H:%M:%S} gw LEEF:2.0|Example|Gateway|1.0|EV-{n % 40}|^|",
        f"devTime={made.ns(n) // 10**6}^src={made.inside(n)}^dst={made.outside(n)}^srcPort={n % 60_000}^dstPort=443^",
        f"proto=TCP^sev={n % 10}^cat=malware^usrName=user{n % 90}^url=http://x{n % 300}.example/abc/def?id={n}^",
        "policy=Default policy of the gateway\n",
    ]
    return "".join(parts).encode()


def files(count: int) -> dict[str, bytes]:
    table = b"time,name,ip,host,short,time_label,event_label\n" + b"".join(
        b"%d,Wazuh: IDS event.,%s,srv%d,W-All-Evt,false_positive,-\n"
        % (made.ns(n) // 10**9, made.inside(n).encode(), n % 9)
        for n in range(count)
    )
    search = json.dumps({"hits": {"hits": [*map(made.hit, range(count // 4))]}}, indent=1).encode()
    return {
        "eve": made.lines(*map(made.eve, range(count))),
        "wazuh": made.lines(*map(made.wazuh, range(count))),
        "aminer": made.lines(*map(made.aminer, range(count))),
        "notice.log": made.notice_text(count),
        "cef": b"".join(map(cef, range(count))),
        "leef": b"".join(map(leef, range(count))),
        "ocsf": made.lines(*map(made.ocsf, range(count))),
        "ecs": made.lines(*(made.kibana(n, True) for n in range(count))),
        "ecs, a search's answer": search,
        "hayabusa": made.lines(*map(made.hayabusa, range(count))),
        "ait-ads csv": table,
    }


def best(work: Callable[[], int], runs: int = 3) -> float:
    rates = []
    for _ in range(runs):
        begun = process_time()
        rates.append(work() / max(process_time() - begun, 1e-9))
    return max(rates)


def read(path: Path) -> int:
    sensor = sniff(path)
    assert sensor is not None, path
    return sum(batch.num_rows for batch in sensor.read(path, Skipped()))


def offline(count: int) -> bool:
    good = True
    print(f"{'format':24} {'bytes each':>10} {'alerts/CPU s':>13} {'json.loads':>11} {'bar':>9}")
    with tempfile.TemporaryDirectory() as folder:
        for name, data in files(count).items():
            path = Path(folder) / name.replace(" ", "_")
            path.write_bytes(data)
            alerts = read(path)  # compiles
            rate = best(lambda path=path: read(path))
            lines = data.splitlines() if data.startswith(b"{") and not data.startswith(b"{\n") else []
            beside = best(lambda lines=lines: sum(1 for line in lines if json.loads(line)), 2) if lines else 0
            bar = BARS.get(name, 0)
            good &= rate >= bar
            said = f"{beside:,.0f}" if beside else "-"
            print(
                f"{name:24} {len(data) / alerts:10,.0f} {rate:13,.0f} {said:>11} {f'{bar:,}' if bar else '-':>9}"
            )
    return good


def syslog(count: int) -> None:
    for transport in ("udp", "tcp"):
        source = SyslogSource("s", transport, "127.0.0.1", 0, buffer=64 << 20, clock=lambda: made.ns(count))
        source.open(None)
        lines = [cef(n) for n in range(count)]

        def send(lines: list[bytes] = lines, transport: str = transport, port: int = source.port) -> None:
            if transport == "udp":
                with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
                    for line in lines:
                        sender.sendto(line, ("127.0.0.1", port))
            else:
                with socket.create_connection(("127.0.0.1", port)) as sender:
                    for at in range(0, len(lines), 100):
                        sender.sendall(b"".join(lines[at : at + 100]))

        begun, rows = process_time(), 0
        thread = threading.Thread(target=send)
        thread.start()
        idle = 0
        while idle < 5:
            pieces = source.poll(0.1)
            rows += sum(piece.batch.num_rows for piece in pieces)
            idle = 0 if pieces or thread.is_alive() else idle + 1
        lost = sum(event["rows"] for event in source._intake.events(last=True) if event["type"] == "lost")
        rate = rows / (process_time() - begun)
        print(
            f"syslog {transport}: {rows:,} of {count:,} CEF messages, {lost:,} told lost, {rate:,.0f} per CPU second"
        )
        source.close()


def posted(count: int, size: int = 500) -> None:
    source = BulkSource("b", port=0, clock=lambda: made.ns(count))
    source.open(None)
    stop = threading.Event()
    rows = 0

    def keep() -> None:
        nonlocal rows
        while not stop.is_set():
            for piece in source.poll(0.02):
                rows += piece.batch.num_rows
                source.kept(piece.position)

    threading.Thread(target=keep, daemon=True).start()
    documents = [made.wazuh(n) for n in range(count)]
    begun = process_time()
    connection = http.client.HTTPConnection("127.0.0.1", source.port, timeout=60)
    for at in range(0, count, size):
        body = b"".join(b'{"create":{}}\n' + made.lines(one) for one in documents[at : at + size])
        connection.request("POST", "/_bulk", body)
        assert connection.getresponse().read()
    rate = rows / (process_time() - begun)
    print(
        f"http-bulk: {rows:,} Wazuh alerts in requests of {size}, {rate:,.0f} per CPU second, the sender's included"
    )
    connection.close()
    stop.set()
    source.close()


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--alerts", type=int, default=40_000)
    parser.add_argument("--listeners", action="store_true")
    given = parser.parse_args()
    good = offline(given.alerts)
    if given.listeners:
        syslog(given.alerts)
        posted(given.alerts // 2)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
