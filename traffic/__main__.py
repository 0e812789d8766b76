"""python -m traffic: the service, or one run without it."""

from __future__ import annotations

import sys

from traffic.cli import main

sys.exit(main())
