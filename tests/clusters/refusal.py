"""The answer of an API server that does not do what it was asked."""

from __future__ import annotations

from typing import Any

REASONS = {
    400: "BadRequest",
    401: "Unauthorized",
    403: "Forbidden",
    404: "NotFound",
    405: "MethodNotAllowed",
    409: "Conflict",
    410: "Expired",
    415: "UnsupportedMediaType",
    422: "Invalid",
    429: "TooManyRequests",
    503: "ServiceUnavailable",
}


class Refusal(Exception):
    """A status, and the words of a Status object."""

    def __init__(self, status: int, message: str, reason: str | None = None, **details: Any) -> None:
        self.status = status
        self.message = message
        self.reason = reason or REASONS.get(status, "InternalError")
        self.details = details
        super().__init__(message)

    def body(self) -> dict[str, Any]:
        return {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": self.message,
            "reason": self.reason,
            "details": self.details,
            "code": self.status,
        }
