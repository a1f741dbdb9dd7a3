"""Configuration as code: one YAML file, validated, applied by one verb."""

from approvals.configuration.loader import ConfigurationError, load
from approvals.configuration.schema import Configuration

__all__ = ["Configuration", "ConfigurationError", "load"]
