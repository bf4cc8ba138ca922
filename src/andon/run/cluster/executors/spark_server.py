"""The server that a job uses, ours or somebody's, and the session at it: renewed when one is lost.

What goes wrong at a server comes as an error of its client with pages of a Java or Python stack in it. ``readable``
makes a line of it, without the token.
"""

from __future__ import annotations

import os
import re
import threading
from contextlib import suppress
from typing import Any, Final

from andon.run.cluster.errors import ClusterError
from andon.run.cluster.executors.choose import Cluster, Tls
from andon.run.cluster.executors.spark_address import channel_builder, remote_of, token_secret
from andon.run.cluster.executors.spark_sail import Sail

_OWN_TRIES = 1  # of a call to a server on loopback of which we see whether it runs
_TRIES = 8  # of a call to another server: about a minute

# What another session at the same server would meet as well.
_HOPELESS: Final = (
    "PYTHON_VERSION_MISMATCH",
    "No module named",
    "ImportError",
    "AttributeError: Can't get attribute",
    "StatusCode.UNAUTHENTICATED",
    "StatusCode.PERMISSION_DENIED",
    "StatusCode.UNIMPLEMENTED",
    "CERTIFICATE_VERIFY_FAILED",
    "PARSE_SYNTAX_ERROR",
    "UNSUPPORTED",
)


class Server:
    """``own``: it was started for this job; ``slots``: the tasks that it is to run at once, if so. Raises
    ClusterError."""

    def __init__(self, cluster: Cluster) -> None:
        self.own = not cluster.address
        self.slots = cluster.workers or os.cpu_count() or 1
        self._cluster = cluster
        self._secret = None if self.own else token_secret()
        self._remote = None if self.own else remote_of(cluster.address, cluster.tls)
        self._lock = threading.RLock()
        self._sail: Sail | None = None
        self._session: Any = None
        self._number = 0
        self._closed = False

    @property
    def where(self) -> str:
        """For people."""
        return "the Sail server of this job" if self._remote is None else self._remote.plain

    @property
    def address(self) -> str:
        """Without parameters; "" while our own server is not there."""
        with self._lock:
            if self._remote is not None:
                return self._remote.plain
            return "" if self._sail is None else self._sail.address

    @property
    def pid(self) -> int | None:
        """Of our own server."""
        with self._lock:
            return None if self._sail is None else self._sail.pid

    def hide(self, text: str) -> str:
        """A text without the token, whoever put it there."""
        return text if self._secret is None else self._secret.hide(text)

    def session(self) -> tuple[Any, int]:
        """A session that is believed to be good, and its number. Raises ClusterError, and what its library does."""
        with self._lock:
            if self._closed:
                raise ClusterError("the job has ended")
            if self._session is None:
                self._session = self._connected()
            return self._session, self._number

    def _connected(self) -> Any:
        from pyspark.sql.connect.client.retries import DefaultPolicy
        from pyspark.sql.connect.session import SparkSession

        remote = self._remote
        if remote is None:
            if self._sail is None or not self._sail.alive:
                if self._sail is not None:
                    self._sail.close()
                self._sail = Sail(self._cluster.memory * self.slots)
            remote = remote_of(self._sail.address)
        builder = channel_builder(remote, Tls() if self.own else self._cluster.tls, self._secret)
        session = SparkSession.builder.channelBuilder(builder).create()
        tries = _OWN_TRIES if self.own else _TRIES
        session.client.set_retry_policies([DefaultPolicy(max_retries=tries, max_backoff=15_000)])
        return session

    def lost(self, number: int) -> bool:
        """The session of this number is no good. Gives whether nobody said so before."""
        with self._lock:
            if number != self._number or self._session is None:
                return False
            self._session = None
            self._number += 1
            return True

    def last_words(self) -> str:
        """Of our own server, if it is gone; else ""."""
        with self._lock:
            return "" if self._sail is None or self._sail.alive else self._sail.last_words()

    def interrupt(self) -> None:
        """Have the server stop what this session asked for, if it can be reached."""
        with self._lock:
            session = self._session
        if session is not None:
            with suppress(Exception):
                session.interruptAll()

    def close(self) -> None:
        """End the session, and the process if it is ours."""
        with self._lock:
            self._closed = True
            session, self._session = self._session, None
            if session is not None:
                with suppress(Exception):
                    session.stop()
            if self._sail is not None:
                self._sail.close()
                self._sail = None


def hopeless(error: BaseException) -> bool:
    """Would it be the same again?"""
    text = f"{type(error).__name__}: {error}"
    return any(one in text for one in _HOPELESS)


def readable(error: BaseException, server: Server) -> str:
    """One line: where it was, what happened, and what to do if that is known."""
    text = f"{error}"
    if words := server.last_words():
        return f"{server.where} is gone: {words}"
    if "No module named" in text:
        what = re.search(r"No module named '?([\w.]+)", text)
        return server.hide(
            f"workers of {server.where} cannot import {what[1] if what else 'what they need'}: install the same andon, "
            "with its extra spark, in the Python that runs their tasks (spark.pyspark.python, PYSPARK_PYTHON)"
        )
    if "PYTHON_VERSION_MISMATCH" in text:
        return server.hide(
            f"workers of {server.where} run another Python than this one: the first two numbers of their versions must "
            "be the same (spark.pyspark.python, PYSPARK_PYTHON)"
        )
    lines = [line.strip() for line in text.split("JVM stacktrace", maxsplit=1)[0].split("\n") if line.strip()]
    details = re.findall(r"details = \"([^\"]{1,300})", text)
    told = details[0] if details else (_last_error(lines) or (lines[0] if lines else type(error).__name__))
    status = re.search(r"StatusCode\.([A-Z_]+)", text)
    return server.hide(f"{server.where}: {told[:500]}{f' ({status[1]})' if status else ''}")


def _last_error(lines: list[str]) -> str:
    """The line of a Python stack that says what it was."""
    if not any("Traceback" in line for line in lines):
        return ""
    return next(
        (line for line in reversed(lines) if re.match(r"[\w.]+(Error|Exception|Interrupt)\b", line)), ""
    )
