"""The stand-in for GitHub and one real MLflow server for all adapters' tests."""

from tests.integrations.gate_fixtures import foreign, gate
from tests.integrations.github_fixtures import github
from tests.integrations.registry import mlflow_server, registry

__all__ = ["foreign", "gate", "github", "mlflow_server", "registry"]
