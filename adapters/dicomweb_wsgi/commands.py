"""What each subcommand of `dicomweb` does. All return the exit code: 0, or 1 when problems were found."""

from __future__ import annotations

import argparse
import importlib.util
import logging
import os
import socket
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Final

from dicomweb_core import (
    CodecProcesses,
    InstanceStore,
    Limits,
    OnDuplicate,
    OriginServer,
    WorklistPolicy,
    WorklistStore,
)
from dicomweb_wsgi import stores
from dicomweb_wsgi.application import Application, wsgi_application
from dicomweb_wsgi.importing import ImportReport, import_files, sample_folder
from dicomweb_wsgi.serving import Service, bind, default_server, is_loopback, serve
from dicomweb_wsgi.stores import CannotRun

_MOST_REFUSALS: Final = 20
"""Named before serving: what is to be read then is the address."""


def serve_command(arguments: argparse.Namespace) -> int:
    """Imports the folders, then serves until stopped."""
    if not arguments.allow_unauthenticated and not is_loopback(arguments.host):
        raise CannotRun(
            f"everybody who reaches {arguments.host} could read and change the patients' data, for this server asks "
            "for no password; put an authenticating proxy in front of 127.0.0.1, or add --allow-unauthenticated"
        )
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    paths = list(arguments.folders)
    if arguments.sample:
        paths.append(_samples())
    with bind(arguments.host, arguments.port) as bound:
        in_memory = None if arguments.store else stores.memory_store()
        # Opened here also when there is nothing to import: what is wrong with it is better said now than by a worker.
        first = in_memory or stores.lmdb_store(arguments.store)
        try:
            if paths:
                report = import_files(_origin(first, arguments), paths)
                _tell(report, _MOST_REFUSALS if arguments.folders else 0)
                if arguments.sample and report.refused:
                    print("(among the samples are damaged files, and instances in several encodings)", file=sys.stderr)
        finally:
            if first is not in_memory:
                first.close()
        worklist = stores.memory_worklist() if arguments.worklist and not arguments.store else None
        if arguments.worklist and arguments.store:
            with closing(stores.lmdb_worklist(arguments.store)) as kept:
                _origin(stores.memory_store(), arguments, worklist=kept).announce_restart()
        server = arguments.server or default_server()
        with _event_port(arguments, server) as events:
            serve(server, _service(arguments, bound, in_memory, worklist, events), bound)
    return 0


@contextmanager
def _event_port(arguments: argparse.Namespace, server: str) -> Iterator[socket.socket | None]:
    """A socket for notification connections beside a server that lets no WebSocket through; None beside others."""
    if server != "waitress":
        if arguments.event_port is not None:
            raise CannotRun(f"{server} has notification connections on its own port; --event-port is for waitress")
        yield None
    elif arguments.worklist and importlib.util.find_spec("websockets"):
        with bind(arguments.host, arguments.event_port or 0) as bound:
            yield bound
    else:
        yield None


def _service(
    arguments: argparse.Namespace,
    bound: socket.socket,
    in_memory: InstanceStore | None,
    worklist_in_memory: WorklistStore | None,
    events: socket.socket | None,
) -> Service:
    # What is in memory is in the memory of one process.
    cores = min(4, os.cpu_count() or 1)
    workers = 1 if in_memory else arguments.workers or cores
    # Also those who have one process only decode on all cores.
    codecs = max(1, cores // workers) if arguments.codec_processes is None else arguments.codec_processes

    event_url = arguments.event_url
    if events is not None and event_url is None:
        event_url = f"ws://{{host}}:{events.getsockname()[1]}{arguments.mount}"

    def application() -> Application:
        worklist = worklist_in_memory
        if arguments.worklist and worklist is None:
            worklist = stores.lmdb_worklist(arguments.store)
        instances = in_memory or stores.lmdb_store(arguments.store)
        made = wsgi_application(
            _origin(instances, arguments, codecs, worklist, event_url),
            mount=arguments.mount,
            public_url=arguments.public_url,
            trusted_proxies=arguments.trusted_proxy,
        )
        if events is not None:
            made.open_event_port(events, root)
        return made

    host, port = bound.getsockname()[:2]
    reachable = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, f"[{host}]" if ":" in host else host)
    root = arguments.public_url or f"http://{reachable}:{port}{arguments.mount}"

    def ready() -> None:
        print(f"Serving {root}/studies (Ctrl-C stops)", flush=True)

    return Service(application, ready, workers, arguments.threads)


def import_command(arguments: argparse.Namespace) -> int:
    """Stores files and names those that were refused; 1 if there is one."""
    with closing(stores.lmdb_store(arguments.store)) as instances:
        report = import_files(_origin(instances, arguments), arguments.paths)
    _tell(report)
    return 1 if report.refused else 0


def verify_command(arguments: argparse.Namespace) -> int:
    """Prints every problem; 1 if there is one."""
    problems = 0
    with closing(stores.lmdb_store(arguments.store, must_exist=True)) as instances:
        for problem in instances.verify():
            problems += 1
            where = f"{problem.ref.path}: " if problem.ref else ""
            print(f"{where}{problem.description}")
        checked = instances.statistics().instances
    print(f"{checked} instances checked, {problems} problems", file=sys.stderr)
    return 1 if problems else 0


def stats_command(arguments: argparse.Namespace) -> int:
    """Prints how much there is."""
    with closing(stores.lmdb_store(arguments.store, must_exist=True)) as instances:
        counts = instances.statistics()
    print(
        f"studies   {counts.studies}\nseries    {counts.series}\ninstances {counts.instances}\nbytes     {counts.bytes}"
    )
    return 0


def _origin(
    instances: InstanceStore,
    arguments: argparse.Namespace,
    codecs: int = 0,
    worklist: WorklistStore | None = None,
    event_url: str | None = None,
) -> OriginServer:
    limits = _limits(arguments.inline_bytes)
    days = getattr(arguments, "keep_workitems", None)
    return OriginServer(
        instances=instances,
        worklist=worklist,
        worklist_policy=WorklistPolicy(retention_seconds=None if days is None else days * 86_400.0),
        event_channel_url=event_url,
        on_duplicate=OnDuplicate(arguments.on_duplicate),
        allow_delete=getattr(arguments, "allow_delete", False),
        cors_origins=getattr(arguments, "cors_origin", ()),
        limits=limits,
        codec=CodecProcesses(limits, processes=codecs) if codecs else None,
    )


def _limits(inline_bytes: int | None) -> Limits:
    if inline_bytes is None:
        return Limits()
    return Limits(
        inline_binary_bytes=inline_bytes,
        inline_numbers_bytes=inline_bytes,
        inline_icc_profile_bytes=inline_bytes,
        inline_text_bytes=inline_bytes,
    )


def _samples() -> str:
    folder = sample_folder()
    if folder is None:
        raise CannotRun("the sample files that come with pydicom are not installed")
    return folder


def _tell(report: ImportReport, most_refusals: int | None = None) -> None:
    for line in report.lines(most_refusals=most_refusals):
        print(line, file=sys.stderr)
