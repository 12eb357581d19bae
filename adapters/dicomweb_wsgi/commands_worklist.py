"""What `dicomweb worklist` does: over HTTP, or on the worklist of a store in this process."""

from __future__ import annotations

import argparse
import json
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, NoReturn

from dicomweb_core import OriginServer
from dicomweb_worklist import (
    Event,
    EventType,
    HTTPTransport,
    OriginTransport,
    Transport,
    WorklistClient,
    WorklistError,
    text,
    uid_of,
)
from dicomweb_wsgi import stores
from dicomweb_wsgi.stores import CannotRun

DEFAULT_URL: Final = "http://127.0.0.1:8042/dicom-web"
_AETITLE: Final = "DICOMWEB"


def add_worklist(commands: argparse._SubParsersAction[Any]) -> None:
    """Adds the command and its own commands to a parser."""
    worklist = commands.add_parser("worklist", help="list, create and watch workitems")
    actions = worklist.add_subparsers(title="commands", metavar="COMMAND", required=True)

    command = actions.add_parser("list", help="workitems, a line each")
    command.add_argument(
        "filters", nargs="*", type=_pair, metavar="NAME=VALUE", help="match keys, as ProcedureStepState=SCHEDULED"
    )
    command.add_argument("--limit", type=_count, metavar="N", help="at most so many (default: all)")
    command.add_argument("--json", action="store_true", help="as DICOM JSON, one workitem a line")
    _add_where(command)
    command.set_defaults(run=list_command)

    command = actions.add_parser("create", help="workitems from a file; prints their UIDs")
    command.add_argument("file", metavar="FILE.json", help="DICOM JSON, one data set or an array of them; - is stdin")
    _add_where(command)
    command.set_defaults(run=create_command)

    command = actions.add_parser("show", help="a workitem as DICOM JSON")
    command.add_argument("uid", metavar="UID")
    _add_where(command)
    command.set_defaults(run=show_command)

    command = actions.add_parser("watch", help="what happens to workitems, a line for each event, until stopped")
    command.add_argument("uid", nargs="?", metavar="UID", help="of one workitem (default: all)")
    command.add_argument(
        "--filter",
        dest="filters",
        action="append",
        default=[],
        type=_pair,
        metavar="NAME=VALUE",
        help="those that match only; may be repeated",
    )
    command.add_argument(
        "--aet", default=_AETITLE, metavar="TITLE", help="AE title that is subscribed (default: %(default)s)"
    )
    command.add_argument("--keep", action="store_true", help="stay subscribed at the end, so that nothing is missed")
    command.add_argument(
        "--timeout", type=_seconds, metavar="SECONDS", help="end when nothing happened for so long (default: never)"
    )
    command.add_argument("--json", action="store_true", help="events as DICOM JSON, one a line")
    _add_where(command)
    command.set_defaults(run=watch_command)


def list_command(arguments: argparse.Namespace) -> int:
    """Prints a line for each workitem that matches: UID, state, priority, start, label."""
    with _client(arguments) as client:
        for workitem in client.search(dict(arguments.filters), limit=arguments.limit):
            if arguments.json:
                _say(_json(workitem))
            else:
                state, priority, start, label = (
                    text(workitem, tag) for tag in ("00741000", "00741200", "00404005", "00741204")
                )
                _say(_printable(f"{uid_of(workitem)}  {state:<11}  {priority:<6}  {start:<14}  {label}"))
    return 0


def create_command(arguments: argparse.Namespace) -> int:
    """Creates workitems in the order of the file and prints the UID of each as soon as it is there."""
    workitems = _workitems(arguments.file)
    with _client(arguments) as client:
        for position, workitem in enumerate(workitems, 1):
            try:
                _say(client.create(workitem))
            except WorklistError as error:
                which = f"workitem {position} of {len(workitems)}: " if len(workitems) > 1 else ""
                raise CannotRun(f"{which}{error}{_offending(error)}") from None
    return 0


def show_command(arguments: argparse.Namespace) -> int:
    """Prints a workitem."""
    with _client(arguments) as client:
        # ASCII: what a workitem says is no command to a terminal.
        _say(json.dumps(client.retrieve(arguments.uid), indent=2))
    return 0


def watch_command(arguments: argparse.Namespace) -> int:
    """Subscribes, prints events as they come, and unsubscribes at the end unless it is to keep the subscription."""
    if arguments.uid and arguments.filters:
        raise CannotRun("watch a workitem, or those that match a filter")
    filters = dict(arguments.filters) or None
    with (
        _client(arguments) as client,
        _stopped_by_sigterm(),
        # Connected before it subscribes: some servers keep nothing for who is not there.
        client.events(timeout=arguments.timeout) as events,
    ):
        client.subscribe(arguments.uid, filter=filters)
        try:
            for event in events:
                _say(_json(_report(event)) if arguments.json else _line(event))
        finally:
            if not arguments.keep:
                _unsubscribe(client, arguments.uid, filtered=filters is not None)
    return 0


def _unsubscribe(client: WorklistClient, uid: str | None, *, filtered: bool) -> None:
    try:
        client.unsubscribe(uid, filtered=filtered)
    except WorklistError as error:
        # Said and not raised: there may be a better reason to end with.
        print(f"dicomweb: {client.aetitle} is still subscribed: {error}", file=sys.stderr)


@contextmanager
def _client(arguments: argparse.Namespace) -> Iterator[WorklistClient]:
    """Over HTTP, or over a store that is opened here. What fails is one line for the person who asked."""
    aetitle = getattr(arguments, "aet", _AETITLE)
    server: OriginServer | None = None
    transport: Transport
    try:
        if arguments.store is None:
            transport = HTTPTransport(arguments.url)
        else:
            worklist = stores.lmdb_worklist(arguments.store, must_exist=True)
            server = OriginServer(instances=stores.memory_store(), worklist=worklist)
            transport = OriginTransport(server)
        client = WorklistClient(transport, aetitle=aetitle)
    except ValueError as error:
        raise CannotRun(str(error)) from None
    try:
        with client:
            yield client
    except WorklistError as error:
        raise CannotRun(f"{error}{_offending(error)}") from None
    finally:
        if server is not None:
            server.close()


def _offending(error: WorklistError) -> str:
    """The attributes it is about, but for those that it names anyway."""
    unnamed = [name for name in error.offending if name not in str(error)]
    return f" [{', '.join(unnamed)}]" if unnamed else ""


def _workitems(file: str) -> list[dict[str, Any]]:
    content = sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()
    try:
        found = json.loads(content, parse_constant=_no_number)
    except (ValueError, RecursionError) as error:
        raise CannotRun(f"{file} is not JSON: {error}") from None
    workitems = found if isinstance(found, list) else [found]
    if not all(isinstance(one, dict) for one in workitems):
        raise CannotRun(f"{file} is not a data set in DICOM JSON, nor an array of them")
    return workitems


def _no_number(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no number")


@contextmanager
def _stopped_by_sigterm() -> Iterator[None]:
    """As by Ctrl-C, so that what has to be done at the end is done."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _add_where(command: argparse.ArgumentParser) -> None:
    where = command.add_mutually_exclusive_group()
    where.add_argument("--url", default=DEFAULT_URL, help="root of the service (default: %(default)s)")
    where.add_argument("--store", metavar="DIR", help="the worklist of this store, also while a server uses it")


def _pair(argument: str) -> tuple[str, str]:
    name, equals, value = argument.partition("=")
    if not (name and equals):
        raise argparse.ArgumentTypeError(f"not NAME=VALUE: {argument}")
    return name, value


def _count(argument: str) -> int:
    if not (argument.isascii() and argument.isdigit() and len(argument) <= 9):
        raise argparse.ArgumentTypeError(f"not a number: {argument}")
    return int(argument)


def _seconds(argument: str) -> float:
    try:
        seconds = float(argument)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds <= 1e9:
        raise argparse.ArgumentTypeError(f"not a number of seconds: {argument}")
    return seconds


# -- lines ----------------------------------------------------------------------------------------------------------


def _say(line: str) -> None:
    print(line, flush=True)


def _json(dataset: dict[str, Any]) -> str:
    return json.dumps(dataset, separators=(",", ":"))


def _report(event: Event) -> dict[str, Any]:
    """As it was sent, without what is the same in all of them."""
    return {
        "00000110": {"vr": "US", "Value": [event.message_id]},
        "00001000": {"vr": "UI", "Value": [event.workitem]},
        "00001002": {"vr": "US", "Value": [int(event.type)]},
        **event.attributes,
    }


def _line(event: Event) -> str:
    told = _TOLD.get(int(event.type))
    said = told(event.attributes) if told else f"event {int(event.type)}"
    return _printable(f"{datetime.now():%H:%M:%S}  {event.workitem}  {said}")


def _state(attributes: dict[str, Any]) -> str:
    readiness, reason = text(attributes, "00404041"), text(attributes, "00741238")
    inputs = f", inputs {readiness}" if readiness not in ("", "READY") else ""
    return f"{text(attributes, '00741000')}{inputs}{f': {reason}' if reason else ''}"


def _cancellation(attributes: dict[str, Any]) -> str:
    reason = text(attributes, "00741238")
    return f"cancellation requested by {text(attributes, '00741236')}{f': {reason}' if reason else ''}"


def _progress(attributes: dict[str, Any]) -> str:
    item = (attributes.get("00741002", {}).get("Value") or [{}])[0]
    percent, description = text(item, "00741004"), text(item, "00741006")
    return f"progress{f' {percent} %' if percent else ''}{f': {description}' if description else ''}"


def _server_status(attributes: dict[str, Any]) -> str:
    return f"server {text(attributes, '00741242')}"


def _assigned(attributes: dict[str, Any]) -> str:
    items = (attributes.get(tag, {}).get("Value") or [] for tag in ("00404025", "00404009"))
    names = [text(item, "00080104") or text(item, "00080100") for sequence in items for item in sequence]
    return f"assigned to {', '.join(names) or text(attributes, '00404036')}"


_TOLD: Final[Mapping[int, Callable[[dict[str, Any]], str]]] = MappingProxyType(
    {
        EventType.STATE_REPORT: _state,
        EventType.CANCEL_REQUESTED: _cancellation,
        EventType.PROGRESS_REPORT: _progress,
        EventType.SERVER_STATUS: _server_status,
        EventType.ASSIGNED: _assigned,
    }
)
"""What a line says of an event."""


def _printable(line: str) -> str:
    """Texts come from others: none of them is to end the line or to command the terminal."""
    return "".join(one if one.isprintable() else "\N{REPLACEMENT CHARACTER}" for one in line)
