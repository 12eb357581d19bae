"""The command `dicomweb`: serve DICOM files as DICOMweb, and look after a store of them."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import Final, NoReturn

from dicomweb_core.errors import DICOMwebError
from dicomweb_wsgi.base_url import TrustedProxies, parse_event_url, parse_mount, parse_origin, parse_public_url
from dicomweb_wsgi.commands import import_command, serve_command, stats_command, verify_command
from dicomweb_wsgi.commands_worklist import add_worklist
from dicomweb_wsgi.serving import SERVERS
from dicomweb_wsgi.stores import CannotRun

_USAGE_ERROR: Final = 2
_INTERRUPTED: Final = 130

_EXAMPLES: Final = """\
examples:
  dicomweb serve --sample                            try it, with the files that come with pydicom
  dicomweb serve ~/scans                             look at a folder; nothing is written to disk
  dicomweb serve --store /srv/dicom                  an archive that keeps what is sent to it
  dicomweb import --store /srv/dicom /media/cdrom    also while the server runs
  dicomweb verify --store /srv/dicom                 read everything back and compare checksums
  dicomweb worklist watch                            what happens on the worklist of the server on this machine

exit codes: 0 done, 1 problems found or files refused, 2 it could not be done, 130 interrupted
"""

_SERVE_EXAMPLES: Final = """\
examples:
  dicomweb serve --sample
      then open http://127.0.0.1:8042/dicom-web/studies
  dicomweb serve --store /srv/dicom --cors-origin https://viewer.example.org
      for a viewer in the browser that comes from another site
  dicomweb serve --store /srv/dicom --trusted-proxy 127.0.0.1
      behind nginx or the like on the same machine, which sets X-Forwarded-Proto and X-Forwarded-Host
  dicomweb serve --store /srv/dicom --public-url https://pacs.example.org/dicom-web
      the same, with a fixed address
"""


class _OneLineParser(argparse.ArgumentParser):
    """Says what is wrong in one line, as every error of this command."""

    def error(self, message: str) -> NoReturn:
        self.exit(_USAGE_ERROR, f"dicomweb: error: {message} (see {self.prog} --help)\n")


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command; the exit code: 0 done, 1 problems found, 2 it could not be done, 130 interrupted."""
    chosen = _parser().parse_args(arguments)
    run: Callable[[argparse.Namespace], int] = chosen.run
    try:
        return run(chosen)
    except (CannotRun, DICOMwebError) as error:
        return _failed(str(error))
    except BrokenPipeError:
        # Who read our output has left; Python would complain once more when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return _USAGE_ERROR
    except OSError as error:
        where = f": {error.filename}" if error.filename else ""
        return _failed(f"{error.strerror or error}{where}")
    except KeyboardInterrupt:
        return _INTERRUPTED


def _failed(message: str) -> int:
    print(f"dicomweb: error: {' '.join(message.split())}", file=sys.stderr)
    return _USAGE_ERROR


def _parser() -> argparse.ArgumentParser:
    parser = _OneLineParser(
        prog="dicomweb",
        description="Serve DICOM files as DICOMweb, and look after a store of them.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"dicomweb-core {_version()}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    _add_serve(commands)

    command = commands.add_parser("import", help="put DICOM files into a store")
    command.add_argument("paths", nargs="+", metavar="PATH", help="files, and folders with all that is below them")
    _add_store(command, required=True)
    _add_on_duplicate(command)
    _add_inline_bytes(command)
    command.set_defaults(run=import_command)

    command = commands.add_parser("verify", help="read a store back and report what is damaged")
    _add_store(command, required=True)
    command.set_defaults(run=verify_command)

    command = commands.add_parser("stats", help="how much is in a store")
    _add_store(command, required=True)
    command.set_defaults(run=stats_command)

    add_worklist(commands)
    return parser


def _add_serve(commands: argparse._SubParsersAction[_OneLineParser]) -> None:
    command = commands.add_parser(
        "serve",
        help="serve DICOMweb over HTTP",
        description="Serve DICOMweb over HTTP, after importing the DICOM files of the folders.",
        epilog=_SERVE_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    command.add_argument("folders", nargs="*", metavar="FOLDER", help="what to import first, with all that is below")
    command.add_argument("--sample", action="store_true", help="import the sample files that come with pydicom")
    _add_store(command, required=False)
    _add_on_duplicate(command)
    _add_inline_bytes(command)
    command.add_argument("--allow-delete", action="store_true", default=True, help="let clients delete (default)")
    command.add_argument("--no-delete", dest="allow_delete", action="store_false", help="let nobody delete")
    command.add_argument("--no-worklist", dest="worklist", action="store_false", help="offer no worklist of workitems")
    command.add_argument(
        "--keep-workitems",
        type=_count,
        metavar="DAYS",
        help="remove workitems so long after they were completed or canceled, if nobody has a deletion lock "
        "(default: keep them)",
    )

    _add_network(command)

    processes = command.add_argument_group("processes")
    processes.add_argument("--server", choices=sorted(SERVERS), help="WSGI server (default: gunicorn, else waitress)")
    processes.add_argument(
        "--workers", type=_count, metavar="N", help="processes of gunicorn (default: one a core, 4 at most)"
    )
    processes.add_argument(
        "--threads", type=_count, default=8, metavar="N", help="threads of a process (default: %(default)s)"
    )
    processes.add_argument(
        "--codec-processes",
        type=_count_or_zero,
        metavar="N",
        help="processes beside each of these in which frames are decoded and encoded: a damaged frame that crashes "
        "a codec or keeps it busy for ever then costs itself only (default: one a core in all, 4 at most; 0: none, "
        "codecs run in the server)",
    )
    command.set_defaults(run=serve_command)


def _add_network(command: _OneLineParser) -> None:
    network = command.add_argument_group("network")
    network.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    network.add_argument("--port", type=_port, default=8042, help="default: %(default)s; 0 takes a free one")
    network.add_argument(
        "--allow-unauthenticated",
        action="store_true",
        help="listen where other machines can connect, although nobody is asked for a password",
    )
    network.add_argument(
        "--mount", type=_checked(parse_mount), default="/dicom-web", metavar="PATH", help="default: %(default)s"
    )
    network.add_argument(
        "--public-url",
        type=_checked(parse_public_url),
        metavar="URL",
        help="address of the service as clients see it, with the path (default: taken from each request)",
    )
    network.add_argument(
        "--trusted-proxy",
        action="append",
        default=[],
        type=_checked(_proxy),
        metavar="NET",
        help="address or network of a proxy whose X-Forwarded-* headers are believed; may be repeated",
    )
    network.add_argument(
        "--cors-origin",
        action="append",
        default=[],
        type=_checked(parse_origin),
        metavar="ORIGIN",
        help="web site whose pages may use this server (https://viewer.example.org); may be repeated",
    )

    network.add_argument(
        "--event-port",
        type=_port,
        metavar="PORT",
        help="port of notification connections (WebSockets) with waitress, which lets none through its own "
        "(default: a free one)",
    )
    network.add_argument(
        "--event-url",
        type=_checked(parse_event_url),
        metavar="URL",
        help="address of notification connections as clients see it, ws://... or wss://..., with the path "
        "(default: beside that of the service)",
    )


def _add_store(command: argparse.ArgumentParser, *, required: bool) -> None:
    otherwise = "" if required else " (default: memory, gone when the server stops)"
    command.add_argument("--store", required=required, metavar="DIR", help=f"folder of the store{otherwise}")


def _add_on_duplicate(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--on-duplicate",
        choices=("keep", "replace", "ignore"),
        default="keep",
        help="when an instance is there with other content: keep it and refuse the new one, replace it, or ignore "
        "the new one silently (default: %(default)s)",
    )


def _add_inline_bytes(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--inline-bytes",
        type=_size,
        metavar="N",
        help="values of at most N bytes stand in the metadata, longer ones are a BulkDataURI where DICOM allows it; "
        "decided when an instance is stored (default: 1024 for binary values, 65536 for numbers, 1 MiB for text)",
    )


def _size(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 12):
        raise argparse.ArgumentTypeError(f"not a number of bytes: {text}")
    return int(text)


def _checked(parse: Callable[[str], str]) -> Callable[[str], str]:
    def convert(text: str) -> str:
        try:
            return parse(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from None

    return convert


def _proxy(text: str) -> str:
    TrustedProxies.parse([text])
    return text


def _port(text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text) < 65536):
        raise argparse.ArgumentTypeError(f"not a port: {text}")
    return int(text)


def _count(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 0 < int(text) <= 1024):
        raise argparse.ArgumentTypeError(f"not a number from 1 to 1024: {text}")
    return int(text)


def _count_or_zero(text: str) -> int:
    return 0 if text == "0" else _count(text)


def _version() -> str:
    try:
        return version("dicomweb-core")
    except PackageNotFoundError:
        return "(not installed)"


if __name__ == "__main__":
    sys.exit(main())
