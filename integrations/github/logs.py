"""The last lines of a deployment's log, for whoever asks why it failed.

GitHub answers a job's log with an address that is good for a minute, on another host. No credential of ours goes
there: the address is the permission. Logs exist once a job has ended, at times some seconds later, and are removed
after a while.
"""

from __future__ import annotations

import re
import time
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any
from urllib.parse import urljoin, urlsplit

import requests
from django.conf import settings
from django.utils import timezone

from approvals import services
from approvals.models import WorkflowRun
from approvals.wording import clean_text, straight
from integrations.errors import Rejected, Unavailable, outside_transaction
from integrations.github.client import Answer, read
from integrations.redaction import redacted

MOST_LINES = 60
MOST_BYTES = 8 * 1024
LONGEST_LINE = 500
# A log may be as large as somebody likes: only its end is kept while it is read, and so much is read.
KEPT_BYTES = 256 * 1024
READ_BYTES = 64 * 1024 * 1024
READ_SECONDS = 30.0
TIMEOUT_SECONDS = 10
# So long after a run's end a missing log may be one that GitHub has not put together yet.
LATE = timedelta(minutes=2)
GONE = (404, 410)
BAD = ("failure", "timed_out", "cancelled", "startup_failure", "action_required")

_TIME = re.compile(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z ?")
_ESCAPE = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-Z\\-_])")
_MARKS = {"error": "Error: ", "warning": "Warning: ", "notice": "Notice: ", "command": "$ "}
_MARK = re.compile(r"^##\[(\w+)\]")
CLEANUP = "Post job cleanup."


def read_log(name: str, run_id: int) -> tuple[Answer | None, bool]:
    """Keep the last lines of a completed run, once for each attempt; returns GitHub's answer, None where it said
    no, and whether that is done. Raises Unavailable."""
    run = WorkflowRun.objects.get(repository=name, run_id=run_id)
    attempt = run.attempt
    try:
        answer = read(f"/repos/{name}/actions/runs/{run_id}/jobs?per_page=100")
    except (
        Rejected
    ):  # the run was deleted, or may not be read: nothing that anybody has to mend for a log
        services.record_log(run_pk=run.pk, attempt=attempt, tail="")
        return None, True
    jobs = [
        job
        for job in answer.data.get("jobs", [])
        if int(job.get("run_attempt") or 1) == attempt and job.get("id")
    ]
    job = telling(jobs)
    tail: str | None = ""
    if job is not None:
        tail = _tail_of(name, int(job["id"]), failed=str(job.get("conclusion")) in BAD)
    if tail is None and timezone.now() - run.updated_at < LATE:
        return answer, False
    services.record_log(run_pk=run.pk, attempt=attempt, tail=tail or "")
    return answer, True


def telling(jobs: Sequence[Mapping[str, Any]]) -> Mapping[str, Any] | None:
    """The job whose log says most: the first that failed, else the last that ran; None where none did."""
    ran = [job for job in jobs if job.get("conclusion") not in {None, "skipped"}]
    failed = [job for job in ran if job.get("conclusion") in BAD]
    # What was cancelled with the failed one tells nothing.
    failed.sort(key=lambda job: job.get("conclusion") == "cancelled")
    return failed[0] if failed else ran[-1] if ran else None


def _tail_of(name: str, job_id: int, *, failed: bool) -> str | None:
    """The lines; None where GitHub has no log, or shows us none."""
    try:
        answer = read(f"/repos/{name}/actions/jobs/{job_id}/logs", redirects=True)
    except Rejected:
        return None
    location = urljoin(settings.GITHUB_API_URL, str(answer.headers.get("location", "")))
    end = _download(location)
    return None if end is None else last_lines(end, failed=failed)


def _download(address: str) -> bytes | None:
    """The end of what is there; None where there is nothing, empty where it is too long. Raises Unavailable."""
    outside_transaction()
    wanted = {"https"} if settings.GITHUB_API_URL.startswith("https:") else {"https", "http"}
    if urlsplit(address).scheme not in wanted:
        return None
    until, size, end = time.monotonic() + READ_SECONDS, 0, b""
    try:
        with requests.get(
            address,
            headers={"User-Agent": "countersign"},
            # None would look for credentials in ~/.netrc: nothing of ours goes there.
            auth=_nobody,
            allow_redirects=False,
            stream=True,
            timeout=TIMEOUT_SECONDS,
        ) as answer:
            if answer.status_code in GONE:
                return None
            if answer.status_code != 200:
                # The address is good for a minute: the next attempt asks for a fresh one.
                raise Unavailable(f"GitHub's log could not be had (HTTP {answer.status_code}).")
            for chunk in answer.iter_content(65_536):
                size += len(chunk)
                end = (end + chunk)[-KEPT_BYTES:]
                if size > READ_BYTES or time.monotonic() > until:
                    return b""  # longer than is worth reading; it is there on GitHub
    except requests.RequestException as error:
        raise Unavailable(f"GitHub's log could not be had ({type(error).__name__}).") from error
    return end


def _nobody(request: requests.PreparedRequest) -> requests.PreparedRequest:
    return request


def last_lines(log: bytes, *, failed: bool) -> str:
    """The lines that matter at a log's end: where it failed those up to the last error, and never the tidying up
    after the job. Without times, colours, control characters and secrets; at most 60 lines and 8 KB."""
    lines = [_plain(line) for line in log.decode("utf-8", errors="replace").split("\n")]
    raw = [line for line in lines if line is not None]
    if len(log) >= KEPT_BYTES:
        raw = raw[1:]  # it begins in the middle of a line
    errors = [index for index, line in enumerate(raw) if line.startswith("Error: ")]
    if failed and errors:
        raw = raw[: errors[-1] + 1]
    elif CLEANUP in raw and raw.index(CLEANUP):
        raw = raw[: raw.index(CLEANUP)]
    text = redacted("\n".join(raw).rstrip())
    kept = text.split("\n")[-MOST_LINES:]
    while len("\n".join(kept).encode()) > MOST_BYTES:
        kept.pop(0)
    return "\n".join(kept).strip("\n")


def _plain(line: str) -> str | None:
    """One line for a page; None for one that only marks something."""
    line = _TIME.sub("", line.removeprefix("\ufeff"))
    line = straight(_ESCAPE.sub("", line.rstrip("\r").rsplit("\r", 1)[-1]))
    mark = _MARK.match(line)
    if mark:
        if mark[1] == "endgroup":
            return None
        line = _MARKS.get(mark[1], "") + line[mark.end() :]
    indent = len(line) - len(line.lstrip(" "))
    line = " " * min(indent, 40) + clean_text(line)
    return line if len(line) <= LONGEST_LINE else f"{line[: LONGEST_LINE - 1]}…"
