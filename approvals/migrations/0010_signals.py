from django.db import migrations, models
from django.db.models import Q


class Migration(migrations.Migration):
    dependencies = [("approvals", "0009_the_run_is_the_steps")]

    operations = [
        migrations.AddField(
            model_name="signal",
            name="resolved",
            field=models.BooleanField(
                default=False,
                help_text="The sender says that it is over: it is kept and breaches nothing.",
            ),
        ),
        migrations.AddConstraint(
            model_name="promotion",
            constraint=models.CheckConstraint(
                condition=Q(("rolls_back", None)) | Q(("kind", "rollback"), ("via", "system")),
                name="only_countersign_rolls_back_by_itself",
            ),
        ),
    ]
