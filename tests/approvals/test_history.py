"""The history: append-only, one unbroken chain, and tampering is found."""

from __future__ import annotations

import threading

import pytest
from django.core.management import CommandError, call_command
from django.db import DatabaseError, connection, transaction

from approvals.audit import verify_history
from approvals.models import Event, Promotion
from approvals.services.history import record
from approvals.states import Via
from tests.world import World

APPEND_ONLY = "the history is append-only: {} is refused"


def sql(text: str, *parameters: int) -> None:
    with connection.cursor() as cursor:
        cursor.execute(text, parameters)


def tamper(text: str, *parameters: int) -> None:
    """What only somebody with the database's own rights can do."""
    sql("SET CONSTRAINTS ALL IMMEDIATE")  # PostgreSQL alters no table while checks are waiting
    sql("ALTER TABLE approvals_event DISABLE TRIGGER USER")
    sql(text, *parameters)
    sql("ALTER TABLE approvals_event ENABLE TRIGGER USER")


@pytest.mark.parametrize(
    ("verb", "statement"),
    [
        ("UPDATE", "UPDATE approvals_event SET kind = 'x'"),
        (
            "UPDATE",
            "UPDATE approvals_event SET kind = kind WHERE id = (SELECT max(id) FROM approvals_event)",
        ),
        ("DELETE", "DELETE FROM approvals_event"),
        ("TRUNCATE", "TRUNCATE approvals_event CASCADE"),
    ],
)
def test_nothing_can_be_changed(world: World, verb: str, statement: str) -> None:
    world.request()
    before = list(Event.objects.values_list("pk", "hash"))
    # The tests' own session may empty the table; no other session may.
    sql("SET LOCAL countersign.test_database = 'off'")
    sql("SET CONSTRAINTS ALL IMMEDIATE")
    with pytest.raises(DatabaseError, match=APPEND_ONLY.format(verb)), transaction.atomic():
        sql(statement)
    assert list(Event.objects.values_list("pk", "hash")) == before


def test_not_by_the_orm_either(world: World) -> None:
    promotion = world.request()
    event = Event.objects.filter(promotion=promotion).latest("pk")
    event.kind = "something.else"
    for act in (event.save, event.delete, Event.objects.all().delete):
        with pytest.raises(DatabaseError, match="append-only"), transaction.atomic():
            act()
    with pytest.raises(RuntimeError, match="belongs to the transaction"):
        connection.in_atomic_block = False
        try:
            record("a.kind", via=Via.SYSTEM)
        finally:
            connection.in_atomic_block = True
    assert verify_history().broken_at is None


def test_what_is_referred_to_cannot_vanish(world: World) -> None:
    promotion = world.request()
    for row in (promotion, promotion.target, promotion.requester):
        with pytest.raises(Exception, match="protected"), transaction.atomic():
            row.delete()
    assert Promotion.objects.filter(pk=promotion.pk).exists()


@pytest.mark.parametrize(
    "change",
    [
        "kind = 'review.rejected'",
        'data = data || \'{"reason": "another"}\'',
        "actor_id = (SELECT id FROM approvals_person WHERE username = 'mallory')",
        "at = at + interval '1 second'",
        "via = 'slack'",
        "promotion_id = NULL",
        "hash = repeat('0', 64)",
        "previous_hash = ''",
    ],
)
def test_a_changed_line_is_found(world: World, change: str) -> None:
    promotion = world.request()
    world.review(promotion, "bob")
    assert verify_history().broken_at is None
    victim = Event.objects.get(kind="promotion.requested")
    tamper(f"UPDATE approvals_event SET {change} WHERE id = %s", victim.pk)  # noqa: S608
    assert verify_history().broken_at == victim.pk
    with pytest.raises(CommandError, match=f"event {victim.pk} "):
        call_command("verify_history")


def test_removed_inserted_and_swapped_lines_are_found(world: World) -> None:
    promotion = world.request()
    world.review(promotion, "bob")
    first, second, third = Event.objects.order_by("pk")[:3]
    last = Event.objects.latest("pk")

    def broken(statement: str, *parameters: int) -> int | None:
        mark = transaction.savepoint()
        tamper(statement, *parameters)
        found = verify_history().broken_at
        transaction.savepoint_rollback(mark)
        return found

    assert broken("DELETE FROM approvals_event WHERE id = %s", second.pk) == third.pk
    assert broken("DELETE FROM approvals_event WHERE id = %s", first.pk) == second.pk
    copied = "at, kind, via, data, previous_hash, actor_id, promotion_id, target_id"
    forged = broken(
        f"INSERT INTO approvals_event (hash, {copied}) "  # noqa: S608
        f"SELECT repeat('a', 64), {copied} FROM approvals_event WHERE id = %s",
        last.pk,
    )
    assert forged is not None and forged > last.pk
    assert broken("UPDATE approvals_event SET id = %s WHERE id = %s", last.pk + 9, second.pk)
    assert verify_history().broken_at is None


def test_the_command_counts(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    world.request()
    count = Event.objects.count()
    call_command("verify_history")
    assert capsys.readouterr().out == f"The history verifies: {count} events.\n"


def test_many_at_once_keep_one_chain(committed_world: World) -> None:
    before, start, errors = Event.objects.count(), threading.Barrier(6), []

    def append(name: str) -> None:
        try:
            start.wait(10)
            for number in range(5):
                with transaction.atomic():
                    record("test.appended", via=Via.SYSTEM, thread=name, number=number)
        except Exception as error:
            errors.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=append, args=(str(each),)) for each in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    result = verify_history()
    assert (result.events, result.broken_at) == (before + 30, None)
    hashes = list(Event.objects.values_list("previous_hash", flat=True))
    assert len(set(hashes)) == len(hashes), "no two lines follow the same one"


def test_data_without_one_form_is_refused(world: World) -> None:
    with pytest.raises(TypeError, match="float"):
        record("test.float", via=Via.SYSTEM, value=0.1)
    assert not Event.objects.filter(kind="test.float").exists()
