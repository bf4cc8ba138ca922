"""The networks (/16) that are compared, and the covariance of their log counts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import pyarrow as pa

from andon.detect.darknet.glasso.kernel import HOST_SHIFT, SPAN_NS
from andon.detect.darknet.glasso.options import Options
from andon.detect.darknet.glasso.summary import Counts
from andon.sketch.hashing import mix64_array

ZERO: Final = 0.1  # stands for a count of none, so that it has a logarithm
SURVEY_SHARE: Final = 0.5  # of a network's scan packets the day before, from which on it is dropped


@dataclass(frozen=True)
class Chosen:
    """``host`` (int64, ascending): upper 16 bits of the sources of each network that takes part; ``counts`` (n,
    samples) its packets. ``active`` networks sent something; ``unknown`` could not be chosen because their ports
    had no room, ``surveys`` were dropped as survey scanners."""

    host: np.ndarray
    counts: np.ndarray
    active: int
    unknown: int
    surveys: int


def choose(summary: Counts, options: Options, start: int, purposes: pa.Table | None) -> Chosen:
    """At most ``most_hosts`` networks. ``start`` (ns) is that of the span: the choice "random" is another in each.

    "hash" takes the lowest keyed hashes, so the same networks are compared from span to span as far as they are
    active; the hash is that by which pairs of network and port are sampled when there are too many."""
    network, counts = summary.table()
    host = network.astype(np.int64)
    active = len(host)
    salt = summary.pairs.salt
    hashed = mix64_array(host.astype(np.uint64) << np.uint64(HOST_SHIFT), salt)
    keep = np.ones(active, np.bool_)
    if summary.pairs.level:
        keep = hashed >> np.uint64(64 - summary.pairs.level) == 0
    unknown = active - int(np.count_nonzero(keep))
    surveys = 0
    if options.survey == "drop" and purposes is not None:
        survey = np.isin(host, survey_networks(purposes))
        surveys = int(np.count_nonzero(survey & keep))
        keep &= ~survey
    host, counts, hashed = host[keep], counts[keep], hashed[keep]
    if len(host) > options.most_hosts:
        if options.hosts == "busiest":
            order = np.lexsort((hashed, -counts.sum(axis=1, dtype=np.int64)))
        elif options.hosts == "random":
            span = np.array([start // SPAN_NS], np.uint64)
            seeded = mix64_array(span, np.uint64(options.seed))[0]
            order = np.argsort(mix64_array(hashed, seeded), kind="stable")
        else:
            order = np.argsort(hashed, kind="stable")
        taken = np.sort(order[: options.most_hosts])
        host, counts = host[taken], counts[taken]
    return Chosen(host, counts, active, unknown, surveys)


def survey_networks(purposes: pa.Table) -> np.ndarray:
    """Networks (upper 16 bits, ascending) of whose scan packets at least half were sent by survey scanners, from the
    table ``darknet.purpose:sources`` of the day before. Coarser than dropping the sources themselves: these cannot be
    told apart any more in counts by /16."""
    network = (purposes["src"].to_numpy() >> 16).astype(np.int64)
    packets = purposes["packets"].to_numpy()
    survey = np.array(purposes["purpose"].to_pylist(), dtype=object) == "survey"
    total = np.bincount(network, packets, 1 << 16)
    of_surveys = np.bincount(network[survey], packets[survey], 1 << 16)
    return np.flatnonzero((of_surveys > 0) & (of_surveys >= SURVEY_SHARE * total))


def covariance(counts: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Covariance (divisor: number of samples) of the log counts of networks (n, samples).

    Networks with equal counts in every sample make one group. Gives the covariance (g, g) of groups, the size (g) and
    the group (n) of each network."""
    series, group, size = np.unique(counts, axis=0, return_inverse=True, return_counts=True)
    logs = np.log(np.where(series == 0, ZERO, series.astype(np.float64)))
    logs -= logs.mean(axis=1, keepdims=True)
    return logs @ logs.T / counts.shape[1], size.astype(np.float64), group.reshape(-1)
