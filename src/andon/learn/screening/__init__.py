"""Learning to screen: labelled episodes in, a model for ``triage.screening`` out (``train``)."""

from andon.learn.screening.training import Audit, audited, train

__all__ = ["Audit", "audited", "train"]
