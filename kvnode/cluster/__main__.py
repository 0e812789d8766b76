"""python -m kvnode.cluster; see commandline.py."""

import sys

try:
    from kvnode.cluster.commandline import main

    sys.exit(main())
except KeyboardInterrupt:  # while it was still importing
    print("interrupted", file=sys.stderr)
    sys.exit(130)
