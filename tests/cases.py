"""Many cases of one kind in one test: what fails says of which case."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def case(*name: object) -> Iterator[None]:
    """Adds the name to what is raised inside; for tables of hundreds of lines, where a test each costs more than
    what it tests."""
    try:
        yield
    except BaseException as error:
        error.add_note("case: " + " | ".join(map(str, name)))
        raise
