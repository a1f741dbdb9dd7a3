"""What was live at a moment is read from an index, however much went live before."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("approvals", "0015_pages")]

    operations = [
        migrations.AddIndex(
            model_name="deployment",
            index=models.Index(
                fields=["target", "-finished_at", "-id"],
                condition=models.Q(("status", "succeeded")),
                name="deployment_by_target_end",
            ),
        ),
        migrations.AddIndex(
            model_name="promotion",
            index=models.Index(
                fields=["target", "-requested_at", "-id"], name="promotion_newest_of_target"
            ),
        ),
    ]
