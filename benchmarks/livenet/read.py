"""How fast lines of logs become contacts, beside plain readers of the same lines.

    python benchmarks/livenet/read.py [--lines 300000] [--squid FILE]

CPU seconds of this process (best of three; the machine's load moves them by a third), not wall time. Lines are those of
synth_a (``ANDON_DATA``) or of ``--squid FILE``, written in several formats; files are plain, and the time of reading
them from the disk's cache is in it. ``copies``: the time in copies of the same bytes in memory. Baselines: the loop
that anybody would write (a compiled regular expression of Python's ``re`` and ``urlsplit``, records as tuples), and
polars (``scan_lines`` in one column, ``str.extract_groups``, then the host by a second expression).
"""

from __future__ import annotations

import argparse
import io
import json
import os
import re
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np

from andon.observe.jsonlines import Skipped
from andon.observe.logs import Options, records

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "docs" / "examples"
NATIVE = re.compile(
    rb" *(\d+\.\d+) +(-?\d+) (\S+) ([A-Z_]+)/(\d+) (-?\d+) (\S+) (\S+) (\S+) ([A-Z_]+)/(\S+) (\S+)"
)
ODD = '%ts.%03tu %6tr %>a %Ss/%03>Hs %<st %rm %ru %[un %Sh/%<a %mt "%{Referer}>h" "%{User-Agent}>h"'
AGENTS = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0.0.0 Safari/537.36",
    "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0",
    "curl/8.5.0",
)
ELFF = (
    "#Software: SGOS 6.7.1.1\n#Fields: date time time-taken c-ip cs-username sc-filter-result cs-categories "
    "cs(Referer) sc-status s-action cs-method rs(Content-Type) cs-uri-scheme cs-host cs-uri-port cs-uri-path "
    "cs-uri-query cs(User-Agent) sc-bytes cs-bytes\n"
)


def first_lines(path: Path, count: int) -> Iterator[bytes]:
    from andon.observe.logs.files import blocks

    for block in blocks(path):
        for line in block.splitlines():
            yield line
            count -= 1
            if not count:
                return


def write_all(lines: list[bytes], folder: Path) -> dict[str, tuple[Path, Options]]:
    """The same requests in every format."""
    names = ("squid", "logformat", "combined", "elff", "csv", "jsonl")
    texts = {name: io.StringIO() for name in names}
    texts["elff"].write(ELFF)
    texts["csv"].write("date,time,client,user,verb,url,code,sent,received,ms,verdict,agent\n")
    for number, line in enumerate(lines):
        ts, took, client, action, status, size, method, url, user, via, server, mime = (
            part.decode() for part in NATIVE.fullmatch(line).groups()
        )  # fmt: skip
        agent = AGENTS[number % len(AGENTS)]
        when = datetime.fromtimestamp(float(ts), UTC)
        clf = when.strftime("%d/%b/%Y:%H:%M:%S +0000")
        scheme, _, rest = url.rpartition("://")
        host, slash, path = rest.partition("/")
        host, _, port = host.partition(":")
        texts["squid"].write(line.decode() + "\n")
        texts["logformat"].write(f'{line.decode()} "-" "{agent}"\n')
        texts["combined"].write(
            f'{client} - {user} [{clf}] "{method} {url} HTTP/1.1" {status} {size} "-" "{agent}" {action}:{via}\n'
        )
        texts["elff"].write(
            f'{when:%Y-%m-%d %H:%M:%S} {took} {client} {user} OBSERVED "Web; Other" - {status} {action} {method} '
            f'{mime} {scheme or "tcp"} {host} {port or "-"} {slash + path or "/"} - "{agent}" {size} 300\n'
        )
        texts["csv"].write(
            f'{when:%Y-%m-%d,%H:%M:%S},{client},{user},{method},{url},{status},300,{size},{took},allowed,"{agent}"\n'
        )
        entry = {
            "@timestamp": f"{when:%Y-%m-%dT%H:%M:%S}.{when.microsecond // 1000:03d}Z",
            "client": {"ip": client}, "user": {"name": user}, "url": {"full": url},
            "http": {"request": {"method": method}, "response": {"status_code": int(status), "bytes": int(size)}},
            "user_agent": {"original": agent}, "destination": {"ip": server}, "event": {"duration": int(took) * 10**6},
        }  # fmt: skip
        texts["jsonl"].write(json.dumps(entry, separators=(",", ":")) + "\n")
    found = {}
    for name in names:
        path = folder / f"{name}.log"
        path.write_text(texts[name].getvalue())
        mapping = EXAMPLES / f"logmap-{name}.toml" if name in ("csv", "jsonl") else None
        found[name] = path, Options(logformat=ODD if name == "logformat" else "", mapping=mapping)
    return found


def ours(path: Path, options: Options) -> int:
    skipped = Skipped()
    rows = sum(batch.num_rows for _, batch in records(path, options, skipped))
    assert not skipped.lines, skipped
    return rows


def python_regex(path: Path) -> int:
    made = []
    with path.open("rb") as file:
        for line in file:
            match = NATIVE.match(line)
            if match is None:
                continue
            ts, took, client, action, status, size, method, url, user, _, server, mime = match.groups()
            text = url.decode("utf-8", "replace")
            parts = urlsplit(text if "://" in text else f"//{text}")
            made.append(
                (float(ts) - int(took) / 1000, client.decode(), user.decode(), parts.hostname, parts.port, parts.path,
                 int(status), action.decode(), int(size), method.decode(), server.decode(), mime.decode())
            )  # fmt: skip
    return len(made)


def polars_regex(path: Path) -> int:
    import polars as pl

    frame = pl.read_csv(path, has_header=False, separator="\x01", quote_char=None, new_columns=["line"])
    fields = frame.select(pl.col("line").str.extract_groups(NATIVE.pattern.decode())).unnest("line")
    host = r"^(?:[a-z]+://)?(?:[^@/]*@)?([^/:?#]+)"
    made = fields.select(
        (pl.col("1").cast(pl.Float64) - pl.col("2").cast(pl.Float64) / 1000).alias("ts"),
        pl.col("8").str.extract(host).str.to_lowercase().cast(pl.Categorical).alias("host"),
        pl.col("8").str.extract(r"^[a-z]+://[^/]*(/.*)$").alias("path"),
        pl.col("5").cast(pl.Int32), pl.col("6").cast(pl.Int64),
        *(pl.col(name).cast(pl.Categorical) for name in ("3", "4", "7", "9", "11", "12")),
    )  # fmt: skip
    return int(made.height)


def best(work: Callable[[], int], times: int = 3) -> tuple[int, float]:
    found, seconds = 0, float("inf")
    for _ in range(times):
        begin = time.process_time()
        found = work()
        seconds = min(seconds, time.process_time() - begin)
    return found, seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--lines", type=int, default=300_000)
    data = Path(os.environ.get("ANDON_DATA", ROOT.parent / "shared" / "data"))
    parser.add_argument(
        "--squid", type=Path, default=data / "livenet" / "proxy" / "synth_a" / "access.log.zst"
    )
    arguments = parser.parse_args()
    os.environ.setdefault("POLARS_MAX_THREADS", "1")
    with tempfile.TemporaryDirectory(prefix="andon-read-") as temporary:
        lines = list(first_lines(arguments.squid, arguments.lines))
        files = write_all(lines, Path(temporary))
        del lines
        heads = f"{'bytes/line':>10} {'CPU s':>8} {'lines/CPU s':>12} {'MB/CPU s':>9} {'copies':>7}"
        print(f"{'reader':28} {'lines':>9} {heads}")

        def row(name: str, path: Path, work: Callable[[], int], times: int = 3) -> None:
            rows, seconds = best(work, times)
            room = np.frombuffer(path.read_bytes(), np.uint8)
            _, copy = best(lambda: len(room.copy()), 5)
            size = path.stat().st_size
            print(
                f"{name:28} {rows:9,d} {size / rows:10.0f} {seconds:8.3f} {rows / seconds:12,.0f} "
                f"{size / seconds / 1e6:9.0f} {seconds / copy:7.0f}",
                flush=True,
            )

        for name, (path, options) in files.items():
            ours(path, options)  # kernels are compiled, or loaded, before they are timed
            row(f"andon, {name}", path, lambda path=path, options=options: ours(path, options))
        row("re + urlsplit, squid", files["squid"][0], lambda: python_regex(files["squid"][0]), 1)
        try:
            row("polars regex, squid", files["squid"][0], lambda: polars_regex(files["squid"][0]), 2)
        except ImportError:
            print("polars is not installed")


if __name__ == "__main__":
    main()
