from django.db import migrations

ENDED = {"succeeded", "failed", "cancelled"}


def one_step_each(apps, schema_editor):
    """What was deployed before there were steps went all at once: one step, with the promotion's token."""
    Deployment = apps.get_model("approvals", "Deployment")
    Step = apps.get_model("approvals", "Step")
    for deployment in Deployment.objects.select_related("promotion", "workflow_run").order_by("pk"):
        run = deployment.workflow_run
        deployment.step = Step.objects.create(
            deployment=deployment,
            ordinal=1,
            index=0,
            percent=100,
            token=deployment.promotion.token,
            outcome=deployment.status if deployment.status in ENDED else "",
            run_id=deployment.run_id,
            run_url=deployment.run_url,
            workflow_run=run,
            attempt=run.attempt if run and deployment.status in ENDED else 0,
            dispatches=deployment.dispatches,
            detail=deployment.detail,
            began_at=deployment.dispatch_began_at,
            dispatched_at=deployment.dispatched_at,
            finished_at=deployment.finished_at,
        )
        deployment.place = int(deployment.created_at.timestamp() * 1000)
        deployment.percent = 100 if deployment.status == "succeeded" else 0
        deployment.save(update_fields=["step", "place", "percent"])


class Migration(migrations.Migration):
    dependencies = [("approvals", "0007_delivering")]

    operations = [migrations.RunPython(one_step_each, migrations.RunPython.noop)]
