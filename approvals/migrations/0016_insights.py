from django.db import migrations, models
from django.db.models import Q


class Migration(migrations.Migration):
    """What the insights and pipelines ask for by time."""

    dependencies = [("approvals", "0015_pages")]

    operations = [
        migrations.AddIndex(
            "deployment", models.Index(fields=["finished_at"], name="deployment_by_end")
        ),
        migrations.AddIndex(
            "deployment",
            models.Index(
                fields=["target", "-finished_at", "-id"],
                condition=Q(status="succeeded"),
                name="deployment_live_at",
            ),
        ),
        migrations.AddIndex(
            "promotion", models.Index(fields=["decided_at"], name="promotion_by_decision")
        ),
        migrations.AddIndex(
            "promotion",
            models.Index(fields=["id"], condition=Q(kind="rollback"), name="promotion_rollbacks"),
        ),
        migrations.AddIndex("step", models.Index(fields=["finished_at"], name="step_by_end")),
        migrations.AddIndex("mark", models.Index(fields=["placed_at"], name="mark_by_time")),
        migrations.AddIndex(
            "outofbandchange", models.Index(fields=["declared_at"], name="change_by_declaration")
        ),
        migrations.AddIndex(
            "workflowrun", models.Index(fields=["-created_at", "-id"], name="run_newest")
        ),
        migrations.AddIndex(
            "workflowrun", models.Index(fields=["kind", "-created_at", "-id"], name="run_newest_of_kind")
        ),
    ]
