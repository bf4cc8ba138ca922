"""Which engines there are, and in which order they conclude.

Ours are listed here; third parties add theirs through the entry-point group ``andon.engines``. Both give a
function ``engine(site) -> Engine``.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from importlib import import_module
from importlib.metadata import entry_points
from typing import Any

from andon.records.contract import Engine, Site

AnyEngine = Engine[Any, Any]

BUILT_IN = (
    "andon.detect.darknet.census",
    "andon.detect.darknet.tools",
    "andon.detect.darknet.fingerprint",
    "andon.detect.darknet.backscatter",
    "andon.detect.darknet.purpose",
    "andon.detect.darknet.daedalus",
    "andon.detect.darknet.portsets",
    "andon.detect.darknet.campaigns",
    "andon.detect.darknet.synchrony",
    "andon.detect.darknet.glasso",
    "andon.detect.darknet.nmf",
    "andon.detect.darknet.ntd",
    "andon.detect.darknet.changefinder",
    "andon.detect.darknet.sightings",
    "andon.detect.intel.session",
    "andon.detect.darknet.link",
    "andon.detect.intel.profile",
    "andon.detect.darknet.asset",
    "andon.detect.livenet.edges",
    "andon.detect.livenet.url",
    "andon.detect.livenet.redirects",
    "andon.detect.livenet.beacon",
    "andon.detect.livenet.proxygraph",
    "andon.detect.livenet.userrisk",
    "andon.detect.livenet.flowbaseline",
    "andon.triage.screening",
    "andon.triage.evidence",
    "andon.triage.scanned",
    "andon.triage.forecast",
    "andon.triage.nextstep",
)


class EngineError(RuntimeError):
    """An engine cannot be used as it is: unknown name, unmet or circular needs."""


def load_engines(site: Site, names: Sequence[str] | None = None, also: Sequence[str] = ()) -> list[AnyEngine]:
    """Our engines and installed third-party ones, each after those whose tables it needs.

    ``names`` picks some of them by ``Engine.name`` together with what they need. An engine with ``on_request = True``
    runs only if it is named, there or in ``also`` (which adds to the others), or switched on by its setting ``on``.
    An engine that has nothing to do at this site is None and left out. Raises EngineError.
    """
    engines = _every(site)
    if names is None:
        names = [engine.name for engine in engines if not _on_request(engine) or _switched_on(site, engine)]
    return in_order(choose(engines, [*names, *also]))


def known_settings(site: Site) -> set[str]:
    """Names that ``Site.settings`` may have, "ENGINE.NAME", of all engines, running or not."""
    engines = _every(site)
    names = {name for engine in engines for name in engine.uses if name.count(".") == 2}
    return names | {f"{engine.name}.on" for engine in engines if _on_request(engine)}


def _every(site: Site) -> list[AnyEngine]:
    makers = [import_module(module).engine for module in BUILT_IN]
    makers += [entry.load() for entry in entry_points(group="andon.engines")]
    return [engine for engine in (make(site) for make in makers) if engine is not None]


def _on_request(engine: AnyEngine) -> bool:
    return bool(getattr(engine, "on_request", False))


def _switched_on(site: Site, engine: AnyEngine) -> bool:
    return bool(site.settings.get(f"{engine.name}.on", False))


def choose(engines: Sequence[AnyEngine], names: Sequence[str]) -> list[AnyEngine]:
    """The engines of these names and those they need. Raises EngineError for a name that none has."""
    by_name = {engine.name: engine for engine in engines}
    unknown = [name for name in names if name not in by_name]
    if unknown:
        raise EngineError(f"no engine named {', '.join(unknown)}; there are: {', '.join(by_name)}")
    wanted: set[str] = set()
    queue = list(names)
    while queue:
        name = queue.pop()
        if name not in wanted and name in by_name:
            wanted.add(name)
            queue += [need.split(":")[0] for need in by_name[name].needs if not need.endswith("@last")]
    return [engine for engine in engines if engine.name in wanted]


def in_order(engines: Iterable[AnyEngine]) -> list[AnyEngine]:
    """Engines sorted so that each comes after those it needs; otherwise in the order given."""
    waiting = list(engines)
    published = {f"{engine.name}:{table}" for engine in waiting for table in engine.publishes}
    for engine in waiting:
        # A table of an earlier span may be missing, as it is in the first span.
        missing = [need for need in engine.needs if not need.endswith("@last") and need not in published]
        if missing:
            raise EngineError(f"engine {engine.name} needs {', '.join(missing)}, which no engine publishes")
    done: set[str] = set()
    ordered: list[AnyEngine] = []
    while waiting:
        ready = next((engine for engine in waiting if _now(engine) <= done), None)
        if ready is None:
            raise EngineError(f"engines need one another in a circle: {', '.join(e.name for e in waiting)}")
        waiting.remove(ready)
        done.add(ready.name)
        ordered.append(ready)
    return ordered


def _now(engine: AnyEngine) -> set[str]:
    """Names of the engines whose tables of the same span it needs."""
    return {need.split(":")[0] for need in engine.needs if not need.endswith("@last")}
