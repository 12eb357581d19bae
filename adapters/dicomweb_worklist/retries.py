"""Trying again when an answer is lost."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from dicomweb_worklist.errors import ConnectionLost
from dicomweb_worklist.transport import Answer


@dataclass(frozen=True, slots=True)
class Attempts:
    """How often a request is sent, and the pause in seconds before the second time; it doubles from time to time."""

    most: int = 4
    pause: float = 0.2

    def __post_init__(self) -> None:
        if self.most < 1:
            raise ValueError("A request is sent at least once.")


def attempted(request: Callable[[bool], Answer], attempts: Attempts, *, idempotent: bool = True) -> Answer:
    """The answer to a request. It is told whether an earlier attempt may have arrived, and raises what an answer means.

    What is not idempotent is repeated only while it was not sent at all. Raises ConnectionLost in the end.
    """
    maybe_arrived = False
    pause = attempts.pause
    for number in range(1, attempts.most + 1):
        try:
            return request(maybe_arrived)
        except ConnectionLost as error:
            maybe_arrived = maybe_arrived or error.sent
            if number == attempts.most or (maybe_arrived and not idempotent):
                raise
        time.sleep(pause)
        pause *= 2
    raise AssertionError("the last attempt returns or raises")
