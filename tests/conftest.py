"""What holds for all tests: CI draws the same generated examples every time, people new ones; Ctrl-C can be pressed.

A shell starts what runs in its background with SIGINT ignored, and so would every process that a test starts from
there: those that are interrupted to see what they say would never hear of it.
"""

import os
import signal

from hypothesis import settings

settings.register_profile("ci", derandomize=True)
if os.environ.get("CI") == "true":
    settings.load_profile("ci")

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
