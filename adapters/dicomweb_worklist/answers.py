"""What an answer says: success, its warnings, or whose a workitem is."""

from __future__ import annotations

import logging
from typing import Final

from dicomweb_worklist.errors import Conflict, ConnectionLost, ServerFailed, error_of, warnings_of
from dicomweb_worklist.transport import Answer

_logger: Final = logging.getLogger("dicomweb_worklist")

_ALREADY_IN_PROGRESS: Final = 0xC302
_INCONSISTENT: Final = "is inconsistent with the state"
_GATEWAY_LOST: Final = (502, 504)
"""What a proxy says when the server behind it does not answer: no more is known than of a lost connection."""


def expected(answer: Answer, *statuses: int) -> Answer:
    """The answer, if it has one of these statuses. Raises what it stands for otherwise."""
    if answer.status in statuses:
        return answer
    if answer.status in _GATEWAY_LOST:
        raise ConnectionLost(f"The server behind a proxy does not answer ({answer.status}).")
    if answer.status < 400:
        raise ServerFailed(f"The server answers {answer.status}, which is no answer here.", status=answer.status)
    raise error_of(answer)


def log_warnings(answer: Answer) -> None:
    """The warnings of a success, where no caller gets them: what the server changed, or did not do."""
    for warning in warnings_of(answer):
        _logger.info("%s", warning)


def says_we_own_it(error: Conflict, *, by_text: bool) -> bool:
    """That a workitem is already IN PROGRESS is said to its owner; to others, that the Transaction UID is incorrect
    (PS3.4 CC.2.1.2)."""
    if error.code is not None:
        return error.code == _ALREADY_IN_PROGRESS
    return by_text and any(_INCONSISTENT in warning.lower() for warning in error.warnings)
