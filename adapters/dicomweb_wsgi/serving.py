"""The WSGI servers the command line can run, each on a socket it is given."""

from __future__ import annotations

import contextlib
import gc
import importlib.util
import ipaddress
import os
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from dicomweb_wsgi.application import Application
from dicomweb_wsgi.stores import CannotRun, missing_extra

try:
    import resource
except ModuleNotFoundError:  # on Windows
    resource = None  # type: ignore[assignment]

_HEADER_BYTES: Final = 32_768
_REQUEST_LINE_BYTES: Final = 8_190
_KEEP_ALIVE_SECONDS: Final = 30
_QUICK_SECONDS: Final = 3
"""For requests under way when Ctrl-C was pressed."""


@dataclass(frozen=True, slots=True)
class Service:
    """What is to be served. `application` makes the WSGI application, once in each process that answers requests;
    `ready` is called when connections are accepted."""

    application: Callable[[], Application]
    ready: Callable[[], None]
    workers: int
    threads: int


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach a server bound to the host. Raises CannotRun for an unknown name."""
    try:
        found = socket.getaddrinfo(host or "0.0.0.0", None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        raise CannotRun(f"the host {host} is not known") from None
    return all(ipaddress.ip_address(str(address[0]).partition("%")[0]).is_loopback for *_, address in found)


def bind(host: str, port: int) -> socket.socket:
    """A socket bound to the address, not yet listening. Raises CannotRun."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    bound = socket.socket(family, socket.SOCK_STREAM)
    try:
        if os.name == "posix":
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind((host, port))
    except (OSError, OverflowError) as error:
        bound.close()
        reason = getattr(error, "strerror", None) or "no such port"
        raise CannotRun(f"cannot listen on {host} port {port}: {reason}") from None
    return bound


def default_server() -> str:
    """The best of the servers that are installed."""
    if os.name == "posix" and importlib.util.find_spec("gunicorn"):
        return "gunicorn"
    return "waitress" if importlib.util.find_spec("waitress") else "werkzeug"


def with_gunicorn(service: Service, listener: socket.socket) -> None:
    """Processes of threads; the application is made after the fork, for what it opens must not cross one."""
    try:
        from gunicorn.app.base import BaseApplication
        from gunicorn.workers.gthread import ThreadWorker
    except ModuleNotFoundError:
        raise missing_extra("gunicorn", "server") from None

    class Worker(ThreadWorker):  # type: ignore[misc]  # gunicorn is not typed
        """Stops when it is told to: its own handlers run in the middle of what the main thread does, and one of them
        wants a lock that the main thread may have; and nothing would tell those who wait for events."""

        def init_signals(self) -> None:
            # it goes through the defaults, which kill
            with _signals_waiting():
                super().init_signals()

        def handle_exit(self, sig: int, frame: object) -> None:
            if not self.booted:
                # nothing was begun yet that has to be ended
                os._exit(0)
            self.wsgi.end_events()
            super().handle_exit(sig, frame)

        def handle_quit(self, sig: int, frame: object) -> None:
            self.handle_exit(sig, frame)
            # the kernel ends what does not end itself
            signal.signal(signal.SIGALRM, signal.SIG_DFL)
            signal.alarm(_QUICK_SECONDS)

        def run(self) -> None:
            super().run()
            # Ctrl-C reaches every process of a terminal, and then the master tells its workers once more. Python takes
            # its handlers back before it ends, and a worker killed there is news for the log.
            for told in (signal.SIGINT, signal.SIGQUIT):
                signal.signal(told, signal.SIG_IGN)

    settings = {
        "bind": [f"fd://{listener.detach()}"],
        "worker_class": Worker,
        "workers": service.workers,
        "threads": service.threads,
        "keepalive": _KEEP_ALIVE_SECONDS,
        "limit_request_line": _REQUEST_LINE_BYTES,
        "limit_request_field_size": _HEADER_BYTES,
        # Whom to believe about forwarding is decided in one place, `base_url`.
        "forwarded_allow_ips": "",
        "control_socket_disable": True,
        "loglevel": "warning",
        "when_ready": lambda _arbiter: service.ready(),
    }

    class Embedded(BaseApplication):  # type: ignore[misc]  # gunicorn is not typed
        def load_config(self) -> None:
            for name, value in settings.items():
                # A setting of a newer gunicorn than the one installed has nothing to switch off in it.
                if name in self.cfg.settings:
                    self.cfg.set(name, value)

        def load(self) -> Application:
            return service.application()

    _end_what_begins()
    # What is loaded now stays shared with the workers: the collector would write to every page of it.
    gc.collect()
    gc.freeze()
    Embedded().run()


def with_waitress(service: Service, listener: socket.socket) -> None:
    """One process of threads, on every system; takes requests in whole before they are answered."""
    try:
        import waitress
    except ModuleNotFoundError:
        raise missing_extra("waitress", "server") from None
    options: dict[str, Any] = {
        "threads": service.threads,
        "max_request_body_size": 1 << 42,
        "clear_untrusted_proxy_headers": False,
        "asyncore_use_poll": True,
        "ident": None,
    }
    application = service.application()
    _stop_when_told(application)
    server = waitress.create_server(application, sockets=[listener], **options)
    service.ready()
    server.run()


def with_werkzeug(service: Service, listener: socket.socket) -> None:
    """Werkzeug's own server, for trying things out."""
    try:
        from werkzeug.serving import WSGIRequestHandler, make_server
    except ModuleNotFoundError:
        raise missing_extra("Werkzeug", "wsgi") from None

    class Quiet(WSGIRequestHandler):
        def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
            """Nothing: queries contain names of patients."""

    host, port = listener.getsockname()[:2]
    application = service.application()
    _stop_when_told(application)
    server = make_server(host, port, application, threaded=True, request_handler=Quiet, fd=listener.fileno())
    service.ready()
    server.serve_forever()


def _end_what_begins() -> None:
    """A worker that is told to stop before it has set its handlers has those of the master, which only make a note of
    it, and the master would wait for that worker. So signals wait for the fork, and then end the child."""

    def in_child() -> None:
        # not in the main thread it cannot be done, and is no worker of ours
        with contextlib.suppress(ValueError):
            for one in _stopping():
                # a worker that a signal has killed would be news for the log
                signal.signal(one, lambda *_: os._exit(0))
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _stopping())

    os.register_at_fork(
        before=lambda: signal.pthread_sigmask(signal.SIG_BLOCK, _stopping()),
        after_in_parent=lambda: signal.pthread_sigmask(signal.SIG_UNBLOCK, _stopping()),
        after_in_child=in_child,
    )


def _stopping() -> set[signal.Signals]:
    """What tells a process to stop."""
    return {signal.SIGTERM, signal.SIGINT, signal.SIGQUIT}


@contextlib.contextmanager
def _signals_waiting() -> Iterator[None]:
    """They come when the block is left."""
    signal.pthread_sigmask(signal.SIG_BLOCK, _stopping())
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _stopping())


def _stop_when_told(application: Application) -> None:
    """Has SIGTERM and SIGINT end this process; who waits for events in one of its threads would keep it."""

    def stop(_sig: int, _frame: object) -> None:
        application.end_events()
        sys.exit(0)

    for name in ("SIGTERM", "SIGINT"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), stop)


def _allow_many_connections() -> None:
    """Each subscriber of events keeps one open, and the usual limit is one of the time before select was replaced."""
    if resource is not None:
        _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


SERVERS: Final[dict[str, Callable[[Service, socket.socket], None]]] = {
    "gunicorn": with_gunicorn,
    "waitress": with_waitress,
    "werkzeug": with_werkzeug,
}


def serve(name: str, service: Service, bound: socket.socket) -> None:
    """Serves until SIGINT or SIGTERM. Raises CannotRun."""
    _allow_many_connections()
    try:
        bound.listen(1024)
    except OSError as error:
        raise CannotRun(f"cannot listen: {error.strerror}") from None
    try:
        SERVERS[name](service, bound)
    except KeyboardInterrupt:
        pass
