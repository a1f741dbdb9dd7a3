"""The stand-in for GitHub and one real MLflow server for the tests of killed workers."""

from tests.integrations.github_fixtures import github
from tests.integrations.registry import mlflow_server, registry

__all__ = ["github", "mlflow_server", "registry"]
