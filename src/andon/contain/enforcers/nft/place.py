"""The one thread that talks to the kernel, in the network namespace where the rules stand.

It enters the namespace once and stays there: a process per change (``ip netns exec``) costs some 15 ms. If a namespace
of that name is made anew, the thread enters the new one, and whoever asks is told by ``entered``.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as Late
from pathlib import Path
from typing import Final, TypeVar

from andon.contain.contract import Unreachable
from andon.contain.enforcers.nft.library import Library
from andon.contain.enforcers.nft.netlink import Netlink

_NEW_NETWORK: Final = 0x40000000  # CLONE_NEWNET
T = TypeVar("T")


class Place:
    """``netns``: a name under /run/netns, a path, or "" for the namespace that this process is in."""

    def __init__(self, netns: str, library: str, patience: float) -> None:
        self._path = None if not netns else Path("/run/netns") / netns
        self._name = library
        self._patience = patience
        self._pool: ThreadPoolExecutor | None = None
        self._pending: Future[object] | None = None
        self._inode: tuple[int, int] | None = None
        self._library: Library | None = None
        self._netlink: Netlink | None = None
        self.entered = 0  # how many times a namespace was entered

    @property
    def idle(self) -> bool:
        return self._pending is None or self._pending.done()

    def here(self) -> Library | None:
        """The library for use in the calling thread: only if the thread of the place has nothing to do, and is where it
        should be. It saves two changes of threads, which take milliseconds while others keep the interpreter busy."""
        if self._library is None or not self.idle:
            return None
        try:
            there = None if self._path is None else _inode(self._path)
        except OSError:
            return None
        return self._library if there == self._inode else None

    def call(self, work: Callable[[Library], T]) -> T:
        """What ``work`` gives, done in the thread. Raises Unreachable after ``patience`` seconds, and as long as an
        earlier call that took too long has not come back."""
        future = self.start(work)
        try:
            return future.result(self._patience)
        except Late as error:
            raise Unreachable(f"the kernel has not answered for {self._patience:g} s") from error

    def start(self, work: Callable[[Library], T]) -> Future[T]:
        """The same without waiting. Raises Unreachable if the thread is still at something."""
        if self._pending is not None and not self._pending.done():
            try:
                self._pending.result(self._patience)
            except Late as error:
                raise Unreachable("an earlier call has not come back from the kernel") from error
            except Exception:  # told to whoever started it
                pass
        if self._pool is None:
            self._pool = ThreadPoolExecutor(1, thread_name_prefix="nft")
        future: Future[T] = self._pool.submit(self._within, work)
        self._pending = future  # type: ignore[assignment]
        return future

    def _within(self, work: Callable[[Library], T]) -> T:
        return work(self._there())

    def _there(self) -> Library:
        try:
            inode = None if self._path is None else _inode(self._path)
        except OSError as error:
            raise Unreachable(f"network namespace {self._path}: {error.strerror}") from error
        if self._library is not None and inode == self._inode:
            return self._library
        self._leave()
        if self._path is not None:
            _enter(self._path)
        library = Library(self._name)
        try:
            self._netlink = Netlink()
        except OSError as error:
            library.close()
            raise Unreachable(f"nf_tables: {error.strerror}") from error
        self._library, self._inode = library, inode
        self.entered += 1
        return self._library

    @property
    def netlink(self) -> Netlink:
        """For work in the thread."""
        assert self._netlink is not None
        return self._netlink

    def _leave(self) -> None:
        if self._library is not None:
            self._library.close()
        if self._netlink is not None:
            self._netlink.close()
        self._library = self._netlink = None

    def close(self) -> None:
        """What hangs in the kernel is left to itself."""
        idle = self.idle
        if self._pool is not None:
            self._pool.shutdown(wait=idle)
        self._pool = self._pending = None
        if idle:
            self._leave()
        self._library = self._netlink = None


def _inode(path: Path) -> tuple[int, int]:
    found = path.stat()
    return found.st_dev, found.st_ino


def _enter(path: Path) -> None:
    """Of the calling thread alone."""
    libc = ctypes.CDLL(None, use_errno=True)
    try:
        with path.open("rb") as handle:
            if libc.setns(handle.fileno(), _NEW_NETWORK):
                raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    except OSError as error:
        raise Unreachable(f"network namespace {path} cannot be entered: {error.strerror}") from error
