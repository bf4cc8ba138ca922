"""What is said of a grown campaign: each member with reason, probability and path; what it shares with strangers; what
came nearest and did not join.
"""

from __future__ import annotations

from typing import Final

from andon.records.infrastructure import ADDRESS, RELATIONS
from andon.triage.infrastructure.campaign import WIDEST, Campaign, overlap
from andon.triage.infrastructure.evidence import logit, probability
from andon.triage.infrastructure.graph import interval
from andon.triage.infrastructure.growth import Growth, Member, Shared, Step
from andon.triage.infrastructure.nodes import KIND
from andon.triage.infrastructure.value import DESCRIPTIVE

_ADDRESS = KIND[ADDRESS]
_OWN: Final = 0.55  # share of what an address held that makes it the campaign's own


def told(campaign: Campaign, unknown: tuple[str, ...], beside: int) -> Growth:
    """Members with their reasons and paths, what is shared, and the ``beside`` things that came nearest."""
    graph = campaign.graph
    shared = _settle(campaign)
    given = set(campaign.seed_nodes)
    members: list[Member] = []
    done: set[int] = set()
    for entity, odds in campaign.odds.items():
        path = _path(campaign, entity)
        for node in graph.nodes_of(entity).tolist():
            if node in done:
                continue
            done.add(node)
            kind, value = graph.name(node)
            seed = node in given
            members.append(
                Member(
                    kind,
                    value,
                    1.0 if seed else probability(odds),
                    campaign.score.get(entity, 0.0),
                    "given" if seed else campaign.reason[entity],
                    () if seed else path,
                    seed,
                )
            )
    members.sort(key=lambda m: (not m.seed, -m.probability, -m.score, m.kind, m.value))
    near = []
    judged = sorted(((campaign.judge(block), block) for block in campaign.evidence), reverse=True)
    for odds, block in judged[:beside]:
        _, _, _, entity = max(campaign.evidence[block].values())
        kind, value = graph.name(int(graph.entities.head[entity]))
        names = ", ".join(graph.label(key) for key in list(campaign.evidence[block])[:2])
        size = campaign.about(block)[0]
        why = f"meets the campaign at {names}, with {size} names of its own group"
        near.append(Member(kind, value, probability(odds), campaign.score.get(entity, 0.0), why))
    left = max(len(members) - campaign.most, 0)
    return Growth(tuple(members[: campaign.most]), shared, tuple(near), unknown, campaign.stopped, left)


def _settle(campaign: Campaign) -> tuple[Shared, ...]:
    """Which pivots are the campaign's own, and which it shares."""
    graph = campaign.graph
    shared: list[Shared] = []
    for pivot, offer in campaign.offers.items():
        if pivot in campaign.odds:
            continue
        mine, all_of = 0, 0
        begin, end = int(graph.ptr[pivot]), int(graph.ptr[pivot + 1])
        before = -1
        for half in range(begin, min(end, begin + WIDEST)):
            o = int(graph.other[half])
            if o == before or DESCRIPTIVE[graph.kinds[o]]:
                continue
            edge = graph.edge[half]
            when = int(graph.nodes.first[edge]), int(graph.nodes.last[edge])
            if graph.kinds[pivot] == _ADDRESS and not overlap(when, offer.times):
                continue
            before = o
            all_of += 1
            mine += o in campaign.odds
        share = (mine + float(graph.value[pivot])) / (all_of + 1)
        if mine and share >= _OWN:
            weakest = max(campaign.odds[holder] for holder in offer.holders)
            campaign.odds[pivot] = min(logit(min(share, 0.99)), weakest)
            campaign.reason[pivot] = f"{mine} of the {all_of} things that had it at the time are members"
            campaign.parent.setdefault(pivot, (offer.by, offer.half))
        else:
            kind, value = graph.name(int(graph.entities.head[pivot]))
            shared.append(Shared(kind, value, mine, all_of, "most that had it at the time are strangers"))
    for hub, holders in campaign.hubs.items():
        kind, value = graph.name(int(graph.entities.head[hub]))
        why = (
            "describes, does not lead on"
            if DESCRIPTIVE[graph.kinds[hub]]
            else "too many have it, or a list says so"
        )
        shared.append(Shared(kind, value, len(holders), int(graph.size[hub]), why))
    shared.sort(key=lambda thing: (-thing.members, thing.all, thing.kind, thing.value))
    return tuple(shared)


def _path(campaign: Campaign, entity: int) -> tuple[Step, ...]:
    graph, at = campaign.graph, entity
    steps: list[Step] = []
    while at in campaign.parent and len(steps) < 64:
        before, half = campaign.parent[at]
        edge = int(graph.edge[half])
        a, b = int(graph.nodes.source[edge]), int(graph.nodes.target[edge])
        relation = RELATIONS[int(graph.nodes.relation[edge])]
        steps.append(Step(graph.name(a), relation, graph.name(b), *interval(graph, edge)))
        at = before
    return tuple(reversed(steps))
