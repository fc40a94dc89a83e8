from __future__ import annotations

import signal

from hypothesis import settings

settings.register_profile("penjing", deadline=None)  # no test fails because a machine is slow
settings.load_profile("penjing")

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # A shell's background job ignores Ctrl-C and so would every process the tests start.
    signal.signal(signal.SIGINT, signal.default_int_handler)
