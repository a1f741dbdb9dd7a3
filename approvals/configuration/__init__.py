"""Configuration as code: one YAML file, validated, applied by one verb."""

from approvals.configuration.loader import ConfigurationError, load, load_text
from approvals.configuration.schema import Configuration

__all__ = ["Configuration", "ConfigurationError", "load", "load_text"]
