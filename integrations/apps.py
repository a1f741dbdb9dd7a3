"""The Django application."""

from django.apps import AppConfig


class IntegrationsConfig(AppConfig):
    """GitHub, MLflow, Slack, mail, and the outbox that feeds them."""

    name = "integrations"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Register the system checks; wake a worker whenever effects were written."""
        from approvals.signals import effects_written
        from config.celery import app  # noqa: F401 - the tasks below belong to it
        from integrations import checks  # noqa: F401
        from integrations.outbox import wake

        effects_written.connect(wake, dispatch_uid="integrations.outbox.wake")
