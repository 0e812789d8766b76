"""python -m kvnode.cluster; see commandline.py."""

import sys

from kvnode.cluster.commandline import main

sys.exit(main())
