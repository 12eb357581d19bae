"""Serves the probe origin with one WSGI server: `python servers.py KIND FD MOUNT`. A listening socket is inherited."""

from __future__ import annotations

import socket
import sys

from dicomweb_core.testing.probe_origin import ProbeOrigin
from dicomweb_wsgi import WSGIApplication, wsgi_application


def gunicorn_sync(application: WSGIApplication, listener: socket.socket) -> None:
    _gunicorn(application, listener, "sync")


def gunicorn_gthread(application: WSGIApplication, listener: socket.socket) -> None:
    _gunicorn(application, listener, "gthread")


def _gunicorn(application: WSGIApplication, listener: socket.socket, worker_class: str) -> None:
    from gunicorn.app.base import BaseApplication

    class Served(BaseApplication):  # type: ignore[misc]  # gunicorn is not typed
        def load_config(self) -> None:
            self.cfg.set("bind", [f"fd://{listener.detach()}"])
            self.cfg.set("worker_class", worker_class)
            self.cfg.set("threads", 4 if worker_class == "gthread" else 1)
            self.cfg.set("control_socket_disable", True)

        def load(self) -> WSGIApplication:
            return application

    Served().run()


def waitress(application: WSGIApplication, listener: socket.socket) -> None:
    import waitress as server

    server.serve(application, sockets=[listener], threads=4)


def cheroot(application: WSGIApplication, listener: socket.socket) -> None:
    from cheroot.wsgi import Server

    address = listener.getsockname()
    listener.close()
    Server(address, application, numthreads=4).start()


def werkzeug(application: WSGIApplication, listener: socket.socket) -> None:
    from werkzeug.serving import make_server

    host, port = listener.getsockname()
    make_server(host, port, application, threaded=True, fd=listener.fileno()).serve_forever()


if __name__ == "__main__":
    kind, fd, mount = sys.argv[1:]
    globals()[kind](wsgi_application(ProbeOrigin(), mount=mount), socket.socket(fileno=int(fd)))
