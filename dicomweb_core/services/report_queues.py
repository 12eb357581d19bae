"""Reports into the queues of their receivers, none of which grows without bound."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from dicomweb_core.rules.workitem_reports import ServerStatus, Start, server_status
from dicomweb_core.storage.worklists import WorklistTransaction
from dicomweb_core.values.limits import Limits
from dicomweb_core.values.workitems import EventReport

RESTARTED: Final = server_status(ServerStatus.RESTARTED, Start.WARM, Start.WARM)
"""Subscriptions and workitems are there; the AE should look at them anew (PS3.4 CC.2.4.2, CC.2.4.3)."""


def queue_reports(
    transaction: WorklistTransaction, receivers: Iterable[str], reports: Iterable[EventReport], limits: Limits
) -> None:
    """All reports, in order, for each receiver. A queue that is full loses its oldest tenth, and says so."""
    ordered = tuple(reports)
    for receiver in receivers:
        for report in ordered:
            if transaction.queue_length(receiver) >= limits.queued_reports:
                transaction.shorten(receiver, limits.queued_reports * 9 // 10, RESTARTED)
            transaction.queue(receiver, report)
