"""Statuses of the DIMSE responses about workitems, which the answers over HTTP also carry (PS3.4 CC.2, PS3.7 C)."""

from __future__ import annotations

from enum import IntEnum


class Code(IntEnum):
    """A status (0000,0900)."""

    SUCCESS = 0x0000
    OPTIONAL_NOT_SUPPORTED = 0x0001
    NOT_ALLOWED = 0x0105
    """An attribute that may not be sent."""
    INVALID_VALUE = 0x0106
    DUPLICATE = 0x0111
    INVALID_ARGUMENT = 0x0115
    MISSING_ATTRIBUTE = 0x0120
    MISSING_VALUE = 0x0121
    CREATED_MODIFIED = 0xB300
    LOCK_NOT_GRANTED = 0xB301
    """The deletion lock."""
    ALREADY_CANCELED = 0xB304
    UPDATED_MODIFIED = 0xB305
    ALREADY_COMPLETED = 0xB306
    FINAL = 0xC300
    WRONG_TRANSACTION_UID = 0xC301
    """Or none."""
    ALREADY_IN_PROGRESS = 0xC302
    ONLY_CREATED_SCHEDULED = 0xC303
    FINAL_REQUIREMENTS = 0xC304
    NO_SUCH_WORKITEM = 0xC307
    NOT_CREATED_SCHEDULED = 0xC309
    NOT_IN_PROGRESS = 0xC310
    COMPLETED = 0xC311
    NOT_APPROPRIATE = 0xC314
    """The action, for this target."""
