"""What the timeline finds events by, filled by a trigger as events are written, and once for those there are.

The events themselves are neither changed nor locked for it. On a million events this takes minutes.
"""

import django.contrib.postgres.indexes
import django.contrib.postgres.search
import django.db.models.deletion
from django.db import migrations, models


# Words are cut at white space and at every ASCII punctuation mark; approvals.selectors.filters does
# the same. Nothing that somebody wrote may make the event itself fail: length is bounded before anything else.
INSERT = r"""
    INSERT INTO approvals_evententry
        (event_id, at, actor_id, model_id, environment_id, topic, is_rollback, is_override, words)
    SELECT event.id, event.at, event.actor_id, model.id, environment.id,
        CASE
            WHEN event.kind IN ('signal.noted', 'preferences.changed') THEN 'small'
            WHEN event.kind = 'configuration.applied' AND event.data->'changes' = '[]' THEN 'small'
            WHEN split_part(event.kind, '.', 1) IN ('promotion', 'review') THEN 'promotions'
            WHEN split_part(event.kind, '.', 1) IN ('deployment', 'queue', 'registry', 'gate') THEN 'deployments'
            WHEN split_part(event.kind, '.', 1) IN ('signal', 'out_of_band', 'mark') THEN 'watching'
            WHEN split_part(event.kind, '.', 1) = 'evidence' THEN 'evidence'
            WHEN split_part(event.kind, '.', 1) IN ('environment', 'target', 'version') THEN 'restrictions'
            ELSE 'configuration'
        END,
        tale.rollback, event.kind = 'promotion.overridden',
        coalesce(approvals_event_words(concat_ws(' ',
            event.kind, CASE WHEN tale.rollback THEN 'rollback rolled back' END,
            CASE WHEN event.kind = 'promotion.overridden' THEN 'override broke broken break glass' END,
            actor.username, actor.first_name, actor.last_name, model.name, environment.name,
            'v' || version.number,
            (SELECT string_agg(leaf #>> '{}', ' ') FROM jsonb_path_query(event.data, 'strict $.**') AS leaf
             WHERE jsonb_typeof(leaf) IN ('string', 'number')),
            'v' || (event.data->>'version')
        )), ''::tsvector)
    FROM approvals_event AS event
    LEFT JOIN approvals_person AS actor ON actor.id = event.actor_id
    LEFT JOIN approvals_target AS target ON target.id = event.target_id
    -- What is about a version or an environment everywhere has no target; it names them.
    CROSS JOIN LATERAL (SELECT
        coalesce(target.model_id, (
            SELECT id FROM approvals_registeredmodel WHERE name = event.data->>'model')) AS model_id,
        coalesce(target.environment_id, (
            SELECT id FROM approvals_environment WHERE name = event.data->>'environment')) AS environment_id
    ) AS place
    LEFT JOIN approvals_registeredmodel AS model ON model.id = place.model_id
    LEFT JOIN approvals_environment AS environment ON environment.id = place.environment_id
    LEFT JOIN approvals_promotion AS promotion ON promotion.id = event.promotion_id
    LEFT JOIN approvals_modelversion AS version ON version.id = promotion.version_id
    CROSS JOIN LATERAL (SELECT coalesce(promotion.kind = 'rollback', false) OR event.kind IN (
        'deployment.aborting', 'deployment.gone_back', 'signal.rolled_back', 'out_of_band.put_back'
    ) AS rollback) AS tale
    WHERE event.id {which}
    ON CONFLICT (event_id) DO NOTHING"""
WORDS = r"""
CREATE FUNCTION approvals_event_words(texts text) RETURNS tsvector LANGUAGE sql IMMUTABLE AS $$
    SELECT array_to_tsvector(array_agg(DISTINCT left(word, 60)))
    FROM regexp_split_to_table(lower(left(texts, 50000)), '[\s!-/:-@\[-`{-~]+') AS word
    WHERE word <> ''
$$;
"""
# The trigger's own statement names one event, so that its plan is made once for a session: planning took most of
# the time. The other one is for many at once.
CREATE = WORDS + f"""
CREATE FUNCTION approvals_event_enter(first bigint, last bigint) RETURNS void LANGUAGE sql AS $$
{INSERT.replace("{which}", "BETWEEN first AND last")}
$$;
CREATE FUNCTION approvals_event_entered() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
{INSERT.replace("{which}", "= NEW.id")};
    RETURN NULL;
END $$;
CREATE TRIGGER approvals_event_entry AFTER INSERT ON approvals_event
    FOR EACH ROW EXECUTE FUNCTION approvals_event_entered();
"""
FILL = """
SELECT approvals_event_enter(0, coalesce(max(id), 0)) FROM approvals_event;
"""
DROP = """
DROP TRIGGER approvals_event_entry ON approvals_event;
DROP FUNCTION approvals_event_entered;
DROP FUNCTION approvals_event_enter;
DROP FUNCTION approvals_event_words;
"""


class Migration(migrations.Migration):

    dependencies = [
        ('approvals', '0015_pages'),
    ]

    operations = [
        migrations.CreateModel(
            name='EventEntry',
            fields=[
                ('event', models.OneToOneField(db_constraint=False, on_delete=django.db.models.deletion.DO_NOTHING, primary_key=True, related_name='entry', serialize=False, to='approvals.event')),
                ('at', models.DateTimeField()),
                ('actor_id', models.BigIntegerField(null=True)),
                ('model_id', models.BigIntegerField(null=True)),
                ('environment_id', models.BigIntegerField(null=True)),
                ('topic', models.CharField(help_text='What it is about, as selectors.filters.GROUPS.', max_length=20)),
                ('is_rollback', models.BooleanField()),
                ('is_override', models.BooleanField()),
                ('words', django.contrib.postgres.search.SearchVectorField()),
            ],
            options={
                'verbose_name_plural': 'event entries',
                'ordering': ['-at', '-event_id'],
            },
        ),
        migrations.RunSQL(CREATE, DROP),
        migrations.RunSQL(FILL, migrations.RunSQL.noop),
        # Only now: each is sorted once instead of being grown row by row.
        migrations.AddIndex('evententry', models.Index(fields=['at', 'event'], name='entry_all')),
        migrations.AddIndex('evententry', models.Index(condition=models.Q(('topic', 'small'), _negated=True), fields=['at', 'event'], name='entry_news')),
        migrations.AddIndex('evententry', models.Index(fields=['topic', 'at', 'event'], name='entry_topic')),
        migrations.AddIndex('evententry', models.Index(fields=['model_id', 'at', 'event'], name='entry_model')),
        migrations.AddIndex('evententry', models.Index(fields=['model_id', 'topic', 'at', 'event'], name='entry_model_topic')),
        migrations.AddIndex('evententry', models.Index(fields=['model_id', 'environment_id', 'at', 'event'], name='entry_model_environment')),
        migrations.AddIndex('evententry', models.Index(fields=['environment_id', 'at', 'event'], name='entry_environment')),
        migrations.AddIndex('evententry', models.Index(fields=['environment_id', 'topic', 'at', 'event'], name='entry_environment_topic')),
        migrations.AddIndex('evententry', models.Index(fields=['actor_id', 'at', 'event'], name='entry_actor')),
        migrations.AddIndex('evententry', models.Index(fields=['actor_id', 'topic', 'at', 'event'], name='entry_actor_topic')),
        migrations.AddIndex('evententry', models.Index(condition=models.Q(('is_rollback', True)), fields=['at', 'event'], name='entry_rollback')),
        migrations.AddIndex('evententry', models.Index(condition=models.Q(('is_override', True)), fields=['at', 'event'], name='entry_override')),
        migrations.AddIndex('evententry', django.contrib.postgres.indexes.GinIndex(fields=['words'], gin_pending_list_limit=256, name='entry_words')),
    ]
