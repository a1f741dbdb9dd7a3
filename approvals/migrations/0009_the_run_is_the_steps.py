from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("approvals", "0008_one_step_each")]

    operations = [
        migrations.RemoveField(
            model_name='deployment',
            name='dispatch_began_at',
        ),
        migrations.RemoveField(
            model_name='deployment',
            name='dispatched_at',
        ),
        migrations.RemoveField(
            model_name='deployment',
            name='dispatches',
        ),
        migrations.RemoveField(
            model_name='deployment',
            name='run_id',
        ),
        migrations.RemoveField(
            model_name='deployment',
            name='run_url',
        ),
        migrations.RemoveField(
            model_name='deployment',
            name='workflow_run',
        ),
    ]
