# What was to be written below a message follows from the history now; an effect of its own is not needed.

from django.db import migrations, models


def bring_up_to_date_instead(apps, schema_editor):
    apps.get_model("approvals", "Effect").objects.filter(kind="notify").update(kind="announce")


class Migration(migrations.Migration):

    dependencies = [
        ("approvals", "0013_deliveries_by_age"),
    ]

    operations = [
        migrations.RunPython(bring_up_to_date_instead, migrations.RunPython.noop),
        migrations.AlterField(
            model_name='effect',
            name='kind',
            field=models.CharField(choices=[('gather_facts', 'Gather the facts'), ('dispatch', 'Start the deployment workflow'), ('look_up', 'Look an unconfirmed workflow run up'), ('set_alias', 'Write the live version to the registry'), ('announce', 'Bring the message and its thread up to date'), ('alert', "Tell the target's channel"), ('mail', 'Send an e-mail'), ('tell', 'Tell a person directly'), ('home', "Bring a person's Home view up to date"), ('unfold', 'Show what a pasted address leads to'), ('answer_gate', "Answer GitHub's deployment protection rule")], max_length=20),
        ),
    ]
