"""Named points at which a worker may be made to die, for the tests that prove that nothing is lost by it.

Dead code in production: a point does nothing unless COUNTERSIGN_FAILPOINTS names a folder *and* SANDBOX is on, and
a system check refuses the one without the other. A test arms a point by creating a file of its name there.
"""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

from django.conf import settings

STRUCK = ".struck-"


def reach(point: str) -> None:
    """Die here, with the whole worker, if this point is armed. It strikes once: renaming the file is atomic."""
    if not (settings.FAILPOINTS and settings.SANDBOX):
        return
    armed = Path(settings.FAILPOINTS) / point
    try:
        armed.rename(armed.with_name(f"{point}{STRUCK}{os.getpid()}-{time.time_ns()}"))
    except FileNotFoundError:
        return
    # The group, so that no sibling is left who could take the work up at once.
    os.killpg(os.getpgrp(), signal.SIGKILL)
