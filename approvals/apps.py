"""The Django application."""

from django.apps import AppConfig


class ApprovalsConfig(AppConfig):
    """Deciding, sealing, firing once, recording."""

    name = "approvals"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Register the system checks, and what is written down when somebody signs in."""
        from approvals import checks  # noqa: F401
        from approvals.web import account  # noqa: F401
