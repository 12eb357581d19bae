"""The entry of the command `dicomweb`. A module of its own, for what it runs takes a second to load."""

from __future__ import annotations

import signal


def main() -> int:
    """Runs the command; its exit code. Ctrl-C ends it without a traceback also while it is loaded."""
    interrupts = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if interrupts:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from dicomweb_wsgi.command_line import main as run

    if interrupts:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    return run()
