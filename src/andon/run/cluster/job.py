"""What a job is, as a file that every task names: the site, the engines, how logs are read.

``DIR/jobs/DIGEST/`` is written by the driver and read by the workers, once for each task that one of them runs at the
same time as others: the engines made of it are lent to one task at a time. Engines are known by a *key*: a digest of
name, version, windows, columns and the site's settings that they use. Summaries are filed under it, so that an engine
that changed, or a setting that matters to it, makes new ones, and the others' are still good.
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from andon import __version__
from andon.observe.logs.options import Options
from andon.records.contract import Site
from andon.run.cluster.clean import touch
from andon.run.cluster.errors import ClusterError
from andon.run.cluster.site_file import Bytes, site_files, site_of
from andon.run.cluster.work_folder import ensure, put
from andon.run.engines import AnyEngine, EngineError, load_engines
from andon.run.feed import Telescope
from andon.run.settings import digest_of

FORMAT: Final = (
    1  # of job files, summaries and results: raised when an old work folder must not be used again
)
_MAPPING: Final = "log-map.toml"
_KEPT = 4  # jobs that a worker keeps ready


@dataclass(frozen=True)
class Job:
    """``folder``: its own; ``work``: of all jobs. ``engines``: those that read anything, by key. ``options``: how
    logs are read (``observe.logs.options``), as JSON values."""

    work: Path
    folder: Path
    site: Site
    engines: Mapping[str, AnyEngine]
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def columns(self) -> tuple[str, ...]:
        """Of packets, that any engine looks at."""
        return tuple(dict.fromkeys(name for engine in self.engines.values() for name in engine.columns))

    @property
    def telescope(self) -> Telescope | None:
        """None if every packet counts."""
        return Telescope(self.site.telescope) if self.site.telescope else None

    @property
    def log_options(self) -> Options:
        """As sensors of logs want them: leases are in the site's assets, the mapping is as it was when the job was
        written."""
        return Options(
            logformat=str(self.options.get("logformat", "")),
            mapping=self.folder / _MAPPING if self.options.get("mapping") else None,
            terminal=str(self.options.get("terminal", "user")),
            inside=tuple(self.options.get("inside", ())),
            leases=self.site.assets,
        )


def key_of(site: Site, engine: AnyEngine) -> str:
    """Digest of what an engine's summaries depend on, but for the rows."""
    window = engine.window
    said = [
        FORMAT,
        engine.name,
        engine.version,
        window.tile,
        list(window.spans),
        list(engine.columns),
    ]
    said += [
        list(engine.reads),
        list(site.telescope),
        site.hash_key,
        digest_of(replace(site, locator=None), engine),
    ]
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()[:32]


def write_job(
    work: Path, site: Site, engines: Sequence[AnyEngine], options: Mapping[str, Any] | None = None
) -> Job:
    """The job's folder; what is not there, or is damaged, is written. Raises ClusterError."""
    reading = {key_of(site, engine): engine for engine in engines if engine.reads}
    files = site_files(site)
    if mapping := (options or {}).get("mapping"):
        try:
            files[_MAPPING] = Path(mapping).read_bytes()
        except OSError as error:
            raise ClusterError(f"{mapping}: {error.strerror}") from error
    said = {
        "format": FORMAT,
        "andon": __version__,
        "engines": {key: [engine.name, engine.version] for key, engine in reading.items()},
        "options": dict(options or {}),
        "files": {name: _digest(data) for name, data in files.items()},
    }
    text = json.dumps(said, sort_keys=True).encode()
    place = work / "jobs" / hashlib.sha256(text).hexdigest()[:32]
    ensure(place)
    for name, data in {**files, "job.json": text}.items():  # the last last: where it is, the rest is
        if not _is(place / name, data):
            put(place / name, data)
        touch(place / name)
    return Job(work, place, site, reading, dict(options or {}))


def _is(path: Path, data: Bytes) -> bool:
    try:
        return path.stat().st_size == len(data) and path.read_bytes() == data
    except OSError:
        return False


def _digest(data: Bytes) -> str:
    return hashlib.blake2b(data, digest_size=16).hexdigest()


# Not by thread: Sail ends the state of a thread after each of its tasks, and what hangs on it would be made anew for
# every task and destroyed where Python before 3.12.4 must not (CPython, issue 119585).
_idle: dict[Path, list[Job]] = {}
_lock = threading.Lock()


@contextmanager
def borrowed(folder: Path) -> Iterator[Job]:
    """The job of a folder, with engines that nobody else uses meanwhile. Raises ClusterError where this machine has
    another version than the driver, and OSError where the folder is not there."""
    with _lock:
        there = _idle.get(folder)
        job = there.pop() if there else None
    job = job or _read(folder)
    yield job
    # After an error it is not given back: nobody knows what state its engines are in.
    with _lock:
        there = _idle.pop(folder, [])
        while len(_idle) >= _KEPT:
            del _idle[next(iter(_idle))]
        _idle[folder] = [*there, job]  # the one used last is the last to go


def _read(folder: Path) -> Job:
    try:
        text = (folder / "job.json").read_bytes()
        if hashlib.sha256(text).hexdigest()[:32] != folder.name:
            raise ValueError("job.json is not what was written")
        said = json.loads(text)
        if said["format"] != FORMAT or said["andon"] != __version__:
            raise ClusterError(
                f"the driver is andon {said['andon']}, this worker {__version__}: install the same on all machines"
            )
        files = {name: (folder / name).read_bytes() for name in said["files"]}
        for name, digest in said["files"].items():
            if _digest(files[name]) != digest:
                raise ValueError(f"{name} is not what was written")
        site = site_of(files)
    except FileNotFoundError as error:
        raise ClusterError(
            f"{error.filename} is not there: the work folder must be the same on every machine under the same path "
            "(a shared file system)"
        ) from error
    except (ValueError, KeyError, TypeError) as error:
        raise ClusterError(
            f"{folder}: not a job ({error}); submit it again to have it written anew"
        ) from error
    names = [name for name, _ in said["engines"].values()]
    try:
        engines = {engine.name: engine for engine in load_engines(site, names)}
    except EngineError as error:
        raise ClusterError(f"this worker lacks an engine of the driver's: {error}") from error
    keyed = {}
    for key, (name, version) in said["engines"].items():
        engine = engines.get(name)
        if engine is None or engine.version != version or key_of(site, engine) != key:
            raise ClusterError(
                f"engine {name} of this worker is not the driver's (version {version}): install the same on all "
                "machines"
            )
        keyed[key] = engine
    return Job(folder.parent.parent, folder, site, keyed, said["options"])
