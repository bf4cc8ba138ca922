"""Which finding is told to whom: alerts about addresses and notices about suspected systems, to the sinks of the
organisation whose they are; any finding, to sinks that ask for it."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence

from andon.records.finding import Finding
from andon.run.live.config import Config
from andon.share.asset_notice import KIND as SUSPECTED
from andon.share.asset_notice import asset_message
from andon.share.daedalus import alert_message
from andon.share.outbox.subscribed import subscribed
from andon.store.casebook import Message

_MADE_BY = {"own-host-alert": alert_message, SUSPECTED: asset_message}


def messages_for(config: Config) -> Callable[[Finding], Sequence[Message]]:
    """A function from a finding to its messages, one per sink."""
    asked = subscribed(config.sink)
    sinks = {o.name: (o.sinks, o.language) for o in config.organisation}

    def messages(finding: Finding) -> Sequence[Message]:
        out = list(asked(finding))
        make = _MADE_BY.get(finding.kind)
        if make is None:
            return out
        names, language = sinks.get(str(finding.attributes.get("organisation")), ((), "en"))
        if not names:
            return out
        made = make(finding, language)
        return out + [
            Message(
                f"{finding.id}-{finding.revision}",
                name,
                finding.kind,
                made.subject,
                made.text,
                json.loads(made.json),
            )
            for name in names
            if name not in [message.sink for message in out]
        ]

    return messages
