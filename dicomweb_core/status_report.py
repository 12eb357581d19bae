"""What is answered when a request fails: a Status Report (PS3.18 8.6.3)."""

from __future__ import annotations

from html import escape
from typing import Any

import orjson

from dicomweb_core.errors import (
    DICOMwebError,
    MethodNotAllowed,
    NotAcceptable,
    Overloaded,
    RangeNotSatisfiable,
    StorageUnavailable,
    Unauthorized,
    UnsupportedMediaType,
    UpgradeRequired,
    WorkitemRefused,
)
from dicomweb_core.http_status import status_of
from dicomweb_core.values.messages import Body, HeaderList, Request, Response


def error_response(error: DICOMwebError, request: Request | None = None) -> Response:
    """What went wrong in one sentence, and what would be possible. JSON, or HTML for a
    request of a browser that shows it."""
    report: dict[str, Any] = {"error": type(error).__name__, "detail": error.detail}
    headers: HeaderList = (("Content-Type", "application/json"),)
    match error:
        case NotAcceptable(available=available) if available:
            report["available"] = available
        case UnsupportedMediaType(supported=supported):
            report["supported"] = supported
        case MethodNotAllowed(allowed=allowed):
            headers += (("Allow", ", ".join(allowed)),)
        case Unauthorized(challenge=challenge):
            headers += (("WWW-Authenticate", challenge),)
        case StorageUnavailable() | Overloaded():
            headers += (("Retry-After", "10"),)
        case WorkitemRefused(code=code, warning=warning, offending=offending):
            report["status"] = f"{code:04X}"
            if offending:
                report["offending"] = offending
            if warning and request is not None:
                headers += (("Warning", f"299 {request.base_url}: {warning}"),)
        case UpgradeRequired():
            headers += (("Upgrade", "websocket"), ("Sec-WebSocket-Version", "13"))
        case RangeNotSatisfiable(size=size):
            headers += (("Content-Range", f"bytes */{size}"),)
    status = status_of(error)
    if request is not None and _shows_html(request):
        title = f"{status} {type(error).__name__}"
        possible = "".join(
            f"<li>{escape(form)}</li>" for name in ("available", "supported") for form in report.get(name, ())
        )
        page = f"<!DOCTYPE html><html lang=en><title>{title}</title><h1>{title}</h1><p>{escape(error.detail)}</p>"
        page += f"<p>Possible are:<ul>{possible}</ul></html>" if possible else "</html>"
        of_page = (("Content-Type", "text/html; charset=utf-8"), ("Content-Security-Policy", "default-src 'none'"))
        return Response(status, (*of_page, *headers[1:]), Body.of(page.encode("utf-8", "replace")))
    return Response(status, headers, Body.of(orjson.dumps(report)))


def _shows_html(request: Request) -> bool:
    """Whether the client names text/html and no JSON: browsers do, programs do not."""
    accepted = (request.header("Accept") or "").lower()
    return "text/html" in accepted and "json" not in accepted
