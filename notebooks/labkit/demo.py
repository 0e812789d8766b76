"""python -m labkit.demo: the former name of labkit.launch.start, which still answers."""

import sys

from labkit.launch.start import main

if __name__ == "__main__":
    sys.exit(main())
