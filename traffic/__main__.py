"""python -m traffic: the service, or one run without it."""

from __future__ import annotations

import sys

try:
    from traffic.cli import main

    sys.exit(main())
except KeyboardInterrupt:  # while it was still importing
    print("interrupted", file=sys.stderr)
    sys.exit(130)
