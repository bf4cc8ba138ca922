"""The product under test: ``andon run`` with a configuration of the lab, on the capture host."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, Final

from parts.site import C1, C2, CAP, DARK, GW, INSIDE, NS, PX, WEB, Lab
from parts.spaces import inside, started

ANDON: Final = (sys.executable, "-c", "from andon.cli import main; main()")
ENGINES: Final = ("darknet.daedalus", "triage.screening", "triage.evidence")
ASSETS: Final = (
    "address,hostname,mac,device\n"
    + "".join(
        f"{address},{name}.lab.example,{host.mac},{device}\n"
        for host, name, device in (
            (C1, "ws-clean", "workstation"), (C2, "ws-infected", "workstation"), (WEB, "erp-web", "server"),
            (PX, "proxy", "proxy"), (NS, "ns", "dns server"), (CAP, "capture", "monitor"), (GW, "gw", "router"),
        )
        for address in (host.v4, host.v6)
    )
)  # fmt: skip


class Andon:
    """``start()``, ``kill()``, ``stop()``; ``cli`` asks it as an operator would. Everything is under ``folder``."""

    def __init__(
        self, lab: Lab, logs: Sequence[tuple[str, Path]], more: str = "", store: Path | None = None
    ) -> None:
        self.folder = lab.folder / "andon"
        self.folder.mkdir(exist_ok=True)
        self.store = store or self.folder / "store"
        self.config = self.folder / "andon.toml"
        self.said = self.folder / "andon.log"
        self.process: subprocess.Popen[bytes] | None = None
        (self.folder / "assets.csv").write_text(ASSETS)
        (self.folder / "black.csv").write_text("host,family\ncdn.bad.example,stealer\n203.0.113.11,stealer\n")
        sources = "".join(
            f'[[source]]\nname = "{name}"\nkind = "log"\npath = "{path}"\nslack = "1s"\nsettle = "1s"\nidle = "20s"\n'
            for name, path in logs
        )
        prefixes = json.dumps(list(INSIDE))
        self.config.write_text(
            f'engines = {json.dumps(list(ENGINES))}\ninside = {prefixes}\n[telescope]\nprefixes = ["{DARK}"]\n'
            f'[[source]]\nname = "dark"\nkind = "interface"\ninterface = "dark0"\n{sources}'
            f'[store]\npath = "{self.store}"\ncommit = "1s"\nhistory = false\n'
            f'[[organisation]]\nname = "Lab"\nprefixes = {prefixes}\nsinks = ["soc"]\n'
            f'[[assets]]\npath = "assets.csv"\nowner = "Lab"\n[lists]\nblack = {{ lab = "black.csv" }}\n'
            f'[[sink]]\nname = "soc"\nkind = "file"\npath = "{self.folder}/told.ndjson"\n'
            f'[triage]\nevery = "1s"\nsinks = ["soc"]\n{more}'
        )

    def more(self, lines: str) -> None:
        """Further lines of the configuration."""
        self.config.write_text(self.config.read_text() + lines)

    def start(self) -> None:
        with self.said.open("ab") as said:
            self.process = started(
                "cap", [*ANDON, "run", "--config", str(self.config), "--log", "json"],
                stdin=subprocess.DEVNULL, stdout=said, stderr=said, env={**os.environ, "ANDON_ANALYST": "lab"},
            )  # fmt: skip

    def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        self.process.wait(60)

    def stop(self, seconds: float = 90) -> int:
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(seconds)

    def cli(self, *words: str, seconds: float = 60, check: bool = True) -> str:
        with inside("cap"):
            done = subprocess.run(
                [*ANDON, *words], check=False, capture_output=True, text=True, timeout=seconds,
                env={**os.environ, "ANDON_STORE": str(self.store), "ANDON_ANALYST": "alice"},
            )  # fmt: skip
        if check and done.returncode:
            raise RuntimeError(f"andon {' '.join(words)}: {done.stderr or done.stdout}")
        return done.stdout + done.stderr

    def contain(self, *words: str) -> str:
        return self.cli("contain", *words, "--config", str(self.config))

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        """From the casebook, while it is written to; [] if it is not there yet."""
        try:
            with closing(
                sqlite3.connect(f"file:{self.store}/casebook.db?mode=ro", uri=True, timeout=10)
            ) as book:
                return list(book.execute(query))
        except sqlite3.OperationalError:
            return []

    def cases(self) -> list[tuple[Any, ...]]:
        return self.rows("SELECT id, tier, level, title, statement FROM cases ORDER BY last_seen")

    def alarms(self) -> list[tuple[str, str]]:
        """(kind, text) of what the containment of this store has raised, in order."""
        lines = self.said.read_text().splitlines() if self.said.exists() else []
        told = (json.loads(line) for line in lines if line.startswith("{"))
        return [(one["kind"], one["text"]) for one in told if one.get("event") == "alarm"]

    def troubles(self) -> list[str]:
        """What stood in the way of the rest of the product, as `andon status` has it, in order."""
        lines = self.said.read_text().splitlines() if self.said.exists() else []
        told = (json.loads(line) for line in lines if line.startswith("{"))
        found = [one["what"] for one in told if one.get("event") == "trouble"]
        return list(
            dict.fromkeys(text for what in found for text in (what if isinstance(what, list) else [what]))
        )

    def alive(self) -> bool:
        if self.process is None or self.process.poll() is not None:
            raise RuntimeError(f"andon run has ended: {self.said.read_text()[-3000:]}")
        return True

    def wait(self, what: str, tried: Any, seconds: float) -> Any:
        """What ``tried()`` gives once it is true. Raises TimeoutError, RuntimeError if the product has ended."""
        end = time.monotonic() + seconds
        while not (found := tried()):
            self.alive()
            if time.monotonic() > end:
                said = self.said.read_text()[-3000:]
                raise TimeoutError(f"{what} did not come within {seconds:g} s: {said}")
            time.sleep(0.1)
        return found
