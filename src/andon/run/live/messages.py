"""Which finding is told to whom: alerts to the sinks of the organisation whose address it is, others on request."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence

from andon.records.finding import Finding
from andon.run.live.config import Config
from andon.share.daedalus import alert_message
from andon.store.casebook import Message


def messages_for(config: Config) -> Callable[[Finding], Sequence[Message]]:
    """A function from a finding to its messages, one per sink."""
    sinks = {o.name: (o.sinks, o.language) for o in config.organisation}

    def messages(finding: Finding) -> Sequence[Message]:
        if finding.kind != "own-host-alert":
            return ()
        names, language = sinks.get(str(finding.attributes.get("organisation")), ((), "en"))
        if not names:
            return ()
        made = alert_message(finding, language)
        return [
            Message(
                f"{finding.id}-{finding.revision}",
                name,
                finding.kind,
                made.subject,
                made.text,
                json.loads(made.json),
            )
            for name in names
        ]

    return messages
