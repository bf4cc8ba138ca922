"""What a Dask cluster is doing, for ``andon cluster status``."""

from __future__ import annotations

from collections import Counter
from typing import Any

from andon.run.cluster.errors import ClusterError
from andon.run.cluster.executors.addresses import dask_address
from andon.run.cluster.executors.choose import Tls
from andon.run.cluster.executors.dask_library import library, quiet_library, security
from andon.run.cluster.executors.dask_reach import reach
from andon.run.cluster.executors.dask_versions import versions


def cluster_status(address: str, tls: Tls, timeout: float = 15.0) -> dict[str, Any]:
    """JSON values: ``scheduler`` (address, since when), ``andon`` (ours), ``workers`` (each with name, host, state,
    threads, memory and its limit in bytes, tasks running and waiting, versions), ``tasks`` at workers by kind. Raises
    ClusterError if there is no answer within so many seconds."""
    distributed = library()
    whole = dask_address(address, tls)
    secured = security(tls)
    with quiet_library():
        try:
            reach(whole, secured, timeout)
            client = distributed.Client(
                whole, security=secured, timeout=timeout, set_as_default=False, name="andon-status"
            )
        except Exception as error:  # OSError, TimeoutError, ssl errors of the handshake
            reason = str(error).strip() or type(error).__name__
            raise ClusterError(f"no Dask scheduler at {whole}: {reason}") from error
        try:

            async def asked() -> tuple[dict[str, Any], dict[str, Any]]:
                scheduler: Any = client.scheduler
                return await scheduler.identity(n_workers=-1), await scheduler.processing(workers=None)

            try:
                said, processing = client.sync(asked, callback_timeout=timeout)
            except Exception as error:
                raise ClusterError(f"{whole} does not answer: {error or type(error).__name__}") from error
            mine, theirs = versions(client, timeout)
            return _status(whole, said, processing, mine, theirs)
        finally:
            client.close(timeout=2)


def _status(
    address: str,
    said: dict[str, Any],
    processing: dict[str, Any],
    mine: dict[str, Any],
    theirs: dict[str, dict[str, Any]],
) -> dict[str, Any]:
    workers = []
    for where, one in sorted(said.get("workers", {}).items()):
        metrics = one.get("metrics", {})
        counts = metrics.get("task_counts", {})
        running = sum(n for state, n in counts.items() if state in ("executing", "long-running"))
        workers.append(
            {
                "name": str(one.get("name", "")),
                "address": where,
                "host": one.get("host", ""),
                "state": one.get("status", ""),
                "threads": one.get("nthreads", 0),
                "memory": metrics.get("memory", 0),
                "memory_limit": one.get("memory_limit", 0) or 0,
                "running": running,
                "waiting": max(len(processing.get(where, ())) - running, 0),
                "seen": round(float(one.get("last_seen", 0.0)), 1),
                "versions": theirs.get(where, {}),
            }
        )
    kinds = Counter(str(key).partition("-")[0] for keys in processing.values() for key in keys)
    return {
        "scheduler": {"address": address, "started": said.get("started")},
        "andon": mine,
        "workers": workers,
        "tasks": dict(sorted(kinds.items())),
    }
