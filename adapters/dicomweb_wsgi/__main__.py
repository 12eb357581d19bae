"""`python -m dicomweb_wsgi` is the command `dicomweb`."""

from __future__ import annotations

import sys

from dicomweb_wsgi.command_line import main

sys.exit(main())
