"""The history is append-only, whoever asks: a trigger refuses UPDATE, DELETE and TRUNCATE."""

from django.db import migrations

# A test database is emptied between tests; only a session that says so may truncate.
CREATE = """
CREATE FUNCTION approvals_event_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'TRUNCATE' AND current_setting('countersign.test_database', true) = 'on' THEN
        RETURN NULL;
    END IF;
    RAISE EXCEPTION 'the history is append-only: % is refused', TG_OP;
END $$;
CREATE TRIGGER approvals_event_append_only_rows
    BEFORE UPDATE OR DELETE ON approvals_event
    FOR EACH ROW EXECUTE FUNCTION approvals_event_append_only();
CREATE TRIGGER approvals_event_append_only_table
    BEFORE TRUNCATE ON approvals_event
    FOR EACH STATEMENT EXECUTE FUNCTION approvals_event_append_only();
"""
DROP = """
DROP TRIGGER approvals_event_append_only_table ON approvals_event;
DROP TRIGGER approvals_event_append_only_rows ON approvals_event;
DROP FUNCTION approvals_event_append_only();
"""


class Migration(migrations.Migration):
    dependencies = [("approvals", "0001_initial")]
    operations = [migrations.RunSQL(CREATE, DROP)]
