"""The one table error -> HTTP status (PS3.18 8.5). An error answers with the status of its nearest listed class."""

from __future__ import annotations

from typing import Final

from dicomweb_core import errors

STATUS_OF: Final[dict[type[errors.DICOMwebError], int]] = {
    errors.BadRequest: 400,
    errors.ClientDisconnected: 400,
    errors.Unauthorized: 401,
    errors.Forbidden: 403,
    errors.NotFound: 404,
    errors.MethodNotAllowed: 405,
    errors.NotAcceptable: 406,
    errors.Conflict: 409,
    errors.Gone: 410,
    errors.PreconditionFailed: 412,
    errors.TooLarge: 413,
    errors.URITooLong: 414,
    errors.UnsupportedMediaType: 415,
    errors.RangeNotSatisfiable: 416,
    errors.UpgradeRequired: 426,
    errors.CorruptBlob: 500,
    errors.DICOMwebError: 500,
    errors.NotOffered: 501,
    errors.StorageUnavailable: 503,
    errors.Overloaded: 503,
}


def status_of(error: errors.DICOMwebError) -> int:
    """The HTTP status of an error: that of the first class in its inheritance order that the table lists."""
    return next(STATUS_OF[kind] for kind in type(error).__mro__ if kind in STATUS_OF)
