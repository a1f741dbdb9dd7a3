from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('integrations', '0005_slack'),
    ]

    operations = [
        migrations.AddField(
            model_name='slackidentity',
            name='name',
            field=models.CharField(blank=True, help_text='As Slack last said.', max_length=200),
        ),
        migrations.AddField(
            model_name='slackworkspace',
            name='enterprise_id',
            field=models.CharField(blank=True, help_text='E…, where the workspace belongs to an organisation.', max_length=40),
        ),
    ]
