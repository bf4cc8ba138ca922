"""Are driver and workers the same software? Another andon is refused; other libraries are said."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from importlib import metadata
from typing import TYPE_CHECKING, Any, Final

from andon import __version__
from andon.run.cluster.errors import ClusterError

if TYPE_CHECKING:
    from distributed import Client

PACKAGES: Final = ("andon", "numpy", "numba", "pyarrow")


def check_versions(client: Client, timeout: float) -> list[str]:
    """What differs on the workers that are there and may matter. Raises ClusterError for another andon, or none."""
    mine, workers = versions(client, timeout)
    wrong = {
        address: said.get("andon") for address, said in workers.items() if said.get("andon") != __version__
    }
    if wrong:
        address, found = next(iter(wrong.items()))
        raise ClusterError(
            f"{len(wrong)} of {len(workers)} workers have another andon than this one, {__version__} (the one at "
            f"{address}: {found or 'none'}): install the same on all machines"
        )
    lines = []
    for name in ("python", *PACKAGES[1:]):
        others = {said.get(name) for said in workers.values()} - {mine.get(name)}
        if others:
            lines.append(
                f"{name} is {mine.get(name)} here and {', '.join(sorted(map(str, others)))} on workers: figures that "
                "are not whole numbers may differ in the last place"
            )
    return lines


def versions(client: Client, timeout: float) -> tuple[dict[str, str], dict[str, dict[str, str]]]:
    """(of this process, of workers by address): version by name of ``PACKAGES`` and ``python``; a worker that cannot
    run our code at all has none. Raises ClusterError if they do not answer."""

    async def asked() -> Any:
        return await client.run(here, on_error="return")

    try:
        said = client.sync(asked, callback_timeout=timeout)
    except Exception as error:
        raise ClusterError(f"workers do not say their versions: {error or type(error).__name__}") from error
    # Who cannot import us has none; who died or left meanwhile says nothing about versions.
    known = {
        where: one for where, one in said.items() if isinstance(one, Mapping | ImportError | AttributeError)
    }
    return here(), {where: dict(one) if isinstance(one, Mapping) else {} for where, one in known.items()}


def here() -> dict[str, str]:
    """Of the process that runs this: what it would use, not what was installed last."""
    found = {"python": platform.python_version(), "andon": __version__}
    for name in PACKAGES[1:]:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = "none"
    return found
