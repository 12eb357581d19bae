"""What goes wrong between a client and a worklist, by what it means to the client.

Statuses alone do not tell: PS3.18 11.6 and 11.7 use 400 and 409 for much the same, and servers differ. So a refusal is
understood by the DIMSE status code of its report if there is one, then by its Warning texts, then by its status.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

from dicomweb_worklist.transport import Answer


class WorklistError(Exception):
    """A transaction failed. `str` is one sentence for a person, never with a Transaction UID of ours."""

    def __init__(
        self,
        detail: str,
        *,
        status: int | None = None,
        code: int | None = None,
        warnings: tuple[str, ...] = (),
        offending: tuple[str, ...] = (),
    ) -> None:
        super().__init__(detail)
        self.status = status
        """Of HTTP; None where there was no answer."""
        self.code = code
        """Status of DIMSE (PS3.4 CC.2), as 0xC301; None if the server did not say it."""
        self.warnings = warnings
        """Texts of the Warning headers."""
        self.offending = offending
        """Attributes that the server complains about, as it names them."""


class ConnectionLost(WorklistError):
    """No answer: whether the request was done is not known unless `sent` is False, then it was not."""

    def __init__(self, detail: str, *, sent: bool = True) -> None:
        super().__init__(detail)
        self.sent = sent


class Untrusted(WorklistError):
    """The server is not who it should be: its certificate cannot be verified. Nothing was sent."""


class InvalidRequest(WorklistError):
    """The server does not understand or does not want what was sent (400, 413, 415 ...)."""


class Refused(WorklistError):
    """Not allowed: 401, 403."""


class NotFound(WorklistError):
    """There is no such workitem, subscription, or worklist."""


class Gone(NotFound):
    """There was such a workitem, and it was deleted."""


class Conflict(WorklistError):
    """The state of the workitem does not allow it."""


class AlreadyExists(Conflict):
    """There is or was a workitem of this UID."""


class Incomplete(Conflict):
    """The workitem lacks what a final state requires (PS3.4 CC.2.5.1.1)."""


class LostClaim(Conflict):
    """The Transaction UID is not that of the workitem: somebody else has claimed it, or canceled it before."""


class ServerFailed(WorklistError):
    """A failure of the server (5xx), or an answer that is none."""


class MissingLibrary(WorklistError):
    """An optional library is not installed."""


_BY_CODE: Final[Mapping[int, type[WorklistError]]] = MappingProxyType(
    {
        0x0111: AlreadyExists,
        0x0124: Refused,
        0xC300: Conflict,
        0xC301: LostClaim,
        0xC302: Conflict,
        0xC303: Conflict,
        0xC304: Incomplete,
        0xC307: NotFound,
        0xC310: Conflict,
        0xC311: Conflict,
        0xC312: Conflict,
        0xC313: Conflict,
        0xC315: Refused,
    }
)
"""PS3.4 Tables CC.2.1-2, CC.2.2-2, CC.2.3-3, CC.2.5-4, CC.2.6-1. Others mean what their HTTP status does."""

_BY_TEXT: Final[tuple[tuple[str, type[WorklistError]], ...]] = (
    ("transaction uid is incorrect", LostClaim),
    ("transaction uid is missing", LostClaim),
    ("is inconsistent with the", Conflict),
    ("did not reference a claimed workitem", Conflict),
)
"""What is in a Warning text (PS3.18 11.6.3.2, 11.7.3.2), in lower case."""

_BY_STATUS: Final[Mapping[int, type[WorklistError]]] = MappingProxyType(
    {401: Refused, 403: Refused, 404: NotFound, 409: Conflict, 410: Gone}
)
_ERROR_STATUS: Final = "00000900"
_MOST_SHOWN: Final = 300


def error_of(answer: Answer) -> WorklistError:
    """The error that an answer stands for; its status is not one of success."""
    report = _report(answer)
    code = _code(report)
    warnings = warnings_of(answer)
    kind: type[WorklistError] | None = _BY_CODE.get(code) if code is not None else None
    if answer.status in (401, 403, 404, 410):
        kind = _BY_STATUS[answer.status]  # a filter that is not supported is C307 with 403
    if kind is None and answer.status < 500:
        texts = " ".join(warnings).lower()
        kind = next((found for text, found in _BY_TEXT if text in texts), None)
    if kind is None:
        kind = _BY_STATUS.get(answer.status, InvalidRequest if 400 <= answer.status < 500 else ServerFailed)
    said = report.get("detail")
    detail = said if isinstance(said, str) and said else "; ".join(warnings)
    if not detail:
        missing = answer.status == 404
        detail = "There is no such resource, or no Worklist Service." if missing else "The server refused it."
    offending = report.get("offending")
    return kind(
        f"{detail[:_MOST_SHOWN]} ({answer.status})",
        status=answer.status,
        code=code,
        warnings=warnings,
        offending=tuple(map(str, offending)) if isinstance(offending, list) else (),
    )


def warnings_of(answer: Answer) -> tuple[str, ...]:
    """The texts of Warning headers, without code and agent (PS3.18 11.4.3.2: `299 <service>: <text>`).

    Servers differ in it: also `299 agent "text"` as RFC 7234 has it, a text alone, and one that repeats `Warning:`.
    """
    return tuple(_text_of(value) for value in answer.values("Warning"))


def _text_of(value: str) -> str:
    value = value.strip().removeprefix("Warning:").strip()
    code, _, rest = value.partition(" ")
    if not (len(code) == 3 and code.isdigit()):
        return value
    agent, _, text = rest.partition(" ")
    text = text.strip()
    if not text:
        return agent
    if text.startswith('"') and text.find('"', 1) > 0:
        return text[1 : text.find('"', 1)]
    return text


def _report(answer: Answer) -> dict[str, Any]:
    if "json" not in (answer.header("Content-Type") or ""):
        return {}
    try:
        found = json.loads(answer.body)
    except (ValueError, RecursionError):
        return {}
    if isinstance(found, list) and found:
        found = found[0]
    return found if isinstance(found, dict) else {}


def _code(report: dict[str, Any]) -> int | None:
    """From our report, or from a data set with the command element Status."""
    status = report.get("status")
    if isinstance(status, str):
        try:
            return int(status, 16)
        except ValueError:
            return None
    element = report.get(_ERROR_STATUS)
    values = element.get("Value") if isinstance(element, dict) else None
    return values[0] if isinstance(values, list) and values and isinstance(values[0], int) else None
