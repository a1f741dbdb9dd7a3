"""The short run of ``make test``; ``make chaos`` is the long one (docs/chaos.md)."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.stack.product import OURS

PROMOTIONS, SEED = 20, 20


@pytest.mark.stack
def test_no_run_is_doubled_and_none_is_lost(root: Path) -> None:
    """Real processes of its own; a failure prints its report and the command that replays it."""
    done = subprocess.run(
        [
            *(sys.executable, "-m", "tests.chaos"),
            *("--promotions", str(PROMOTIONS), "--seed", str(SEED)),
        ],
        cwd=root,
        env={name: value for name, value in os.environ.items() if name not in OURS},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=400,
        check=False,
        text=True,
    )
    assert done.returncode == 0, done.stdout
    assert "most runs of one step" in done.stdout
