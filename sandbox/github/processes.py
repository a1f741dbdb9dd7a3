"""Running one step's script for real: a process group of its own, bounded and always ended."""

import os
import signal
import subprocess
import threading
import time
from pathlib import Path

GRACE = 2.0  # seconds between the polite signal and the final one (GitHub: 7.5 and 2.5)
MAX_LOG = 1_000_000  # bytes of a step's log that a page shows
_POLL = 0.02
_INHERITED = ("PATH", "LANG", "LC_ALL", "TMPDIR", "SSL_CERT_FILE")  # never the server's secrets
SHELLS = {
    "bash": ["bash", "--noprofile", "--norc", "-eo", "pipefail"],
    "sh": ["sh", "-e"],
    "python": ["python"],
}


def base_environment() -> dict[str, str]:
    """What a step inherits from the server: where programs are, and nothing secret."""
    return {name: os.environ[name] for name in _INHERITED if name in os.environ}


def _signal_group(pid: int, number: int) -> None:
    try:
        os.killpg(pid, number)
    except (ProcessLookupError, PermissionError):
        return


def run_script(
    script: Path,
    *,
    shell: str,
    folder: Path,
    environment: dict[str, str],
    log: Path,
    seconds: float,
    cancelled: threading.Event,
) -> str:
    """Run a script with its output appended to ``log``; return the step's conclusion.

    ``failure`` on a non-zero exit or after ``seconds``; ``cancelled`` when the event is set. The
    whole process group is gone afterwards, background children included.
    """
    with log.open("ab") as output:
        process = subprocess.Popen(
            [*SHELLS[shell], str(script)],
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        deadline = time.monotonic() + seconds
        reason = ""
        # WNOWAIT leaves the leader unreaped, so its group id cannot be anyone else's meanwhile.
        flags = os.WEXITED | os.WNOHANG | os.WNOWAIT
        while os.waitid(os.P_PID, process.pid, flags) is None:
            late = time.monotonic() > deadline
            if not reason and (late or cancelled.is_set()):
                reason = "The step has timed out." if late else "The operation was canceled."
                _signal_group(process.pid, signal.SIGINT)
                deadline = time.monotonic() + GRACE
            elif reason and late:
                _signal_group(process.pid, signal.SIGKILL)
            time.sleep(_POLL)
        _signal_group(process.pid, signal.SIGKILL)
        code = process.wait()
        if reason:
            output.write(f"Error: {reason}\n".encode())
            return "cancelled" if cancelled.is_set() else "failure"
        if code:
            output.write(f"Error: Process completed with exit code {code}.\n".encode())
        return "failure" if code else "success"


def read_pairs(path: Path) -> dict[str, str]:
    """``NAME=value`` and ``NAME<<MARK`` … ``MARK`` lines, as in GITHUB_ENV and GITHUB_OUTPUT."""
    pairs: dict[str, str] = {}
    lines = iter(path.read_text().splitlines() if path.exists() else [])
    for line in lines:
        name, mark, rest = line.partition("=")
        heredoc, _, end = line.partition("<<")
        if end and len(heredoc) < len(name):
            body = []
            for inner in lines:
                if inner == end:
                    break
                body.append(inner)
            pairs[heredoc] = "\n".join(body)
        elif mark:
            pairs[name] = rest
    return pairs
