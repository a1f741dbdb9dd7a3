"""MLflow's client with bounded waits, and its errors in our two words.

The client's defaults block a worker for minutes when the server is down; its knobs are process-wide
environment variables, set here before the import.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

from django.conf import settings

from integrations.errors import Rejected, Unavailable, outside_transaction, why

for _name, _value in {
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
}.items():
    os.environ.setdefault(_name, _value)

import requests  # noqa: E402
import structlog  # noqa: E402
from mlflow import MlflowClient  # noqa: E402
from mlflow.exceptions import MlflowException  # noqa: E402

log = structlog.get_logger(__name__)
GONE = {"RESOURCE_DOES_NOT_EXIST", "NOT_FOUND"}
FORBIDDEN = {"PERMISSION_DENIED", "UNAUTHENTICATED"}


@cache
def _client(uri: str) -> MlflowClient:
    return MlflowClient(tracking_uri=uri, registry_uri=uri)


@contextmanager
def mlflow() -> Iterator[MlflowClient]:
    """The client; inside the block MLflow's errors become Unavailable or Rejected."""
    outside_transaction()
    try:
        yield _client(settings.MLFLOW_TRACKING_URI)
    except MlflowException as error:
        raise _translated(error) from error
    except (requests.RequestException, ConnectionError, TimeoutError) as error:
        raise Unavailable(f"MLflow could not be reached ({why(error)}).") from error


_ONE_AT_A_TIME = threading.Lock()


@contextmanager
def never_repeated() -> Iterator[None]:
    """Inside the block the client sends each request once. It would repeat a POST whose answer was lost, and so
    make a second version. Its knob is process-wide; what other threads send meanwhile is not repeated either."""
    name = "MLFLOW_HTTP_REQUEST_MAX_RETRIES"
    with _ONE_AT_A_TIME:
        usual = os.environ[name]
        os.environ[name] = "0"
        try:
            yield
        finally:
            os.environ[name] = usual


def is_forbidden(error: MlflowException) -> bool:
    """401 or 403, which MLflow does not always say in JSON."""
    text = str(error).split("\n", 1)[0][:300]
    return error.error_code in FORBIDDEN or " 401" in text or " 403" in text


def _translated(error: MlflowException) -> Exception:
    text = str(error).split("\n", 1)[0][:300]
    if error.error_code in GONE:
        return Rejected(f"MLflow has it no longer: {text}")
    if is_forbidden(error):
        return Unavailable(
            "MLflow refused us (401 or 403). Check the credentials, and that its --allowed-hosts names "
            "the host in MLFLOW_TRACKING_URI."
        )
    if error.error_code == "INVALID_PARAMETER_VALUE":
        return Rejected(f"MLflow says: {text}")
    # The text names sockets and addresses that differ each time; it goes to the log only.
    log.warning("mlflow failed", error=text)
    return Unavailable("MLflow could not be reached, or failed.")
