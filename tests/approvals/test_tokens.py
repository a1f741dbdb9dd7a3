"""The API's tokens: told once, kept as a digest, closed at once."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from datetime import timedelta
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from approvals import services
from approvals.models import ApiToken, Event, Person
from approvals.narrative import sentence_of
from approvals.selectors.timeline import page_of_history
from approvals.services import Refused
from approvals.states import Via
from tests.world import World


def make(world: World, username: str = "ci", *, actor: Person | None = None, **more: object) -> str:
    _, secret = services.create_token(
        actor=actor,
        via=Via.COMMAND,
        person_id=world.person(username).pk,
        name=str(more.pop("name", "pipeline")),
        **more,  # type: ignore[arg-type]
    )
    return secret


def refused(code: str, act: Callable[[], object]) -> None:
    before = (ApiToken.objects.count(), Event.objects.count())
    with pytest.raises(Refused) as caught:
        act()
    assert caught.value.code == code, caught.value.sentence
    assert (ApiToken.objects.count(), Event.objects.count()) == before


def test_it_acts_as_its_person_and_only_the_digest_is_kept(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    secret = make(world)
    assert len(secret) == 43 and secret.startswith("cs_")
    token = ApiToken.objects.get()
    assert services.person_of_token(secret=secret) == world.person("ci")
    kept = [str(value) for value in vars(token).values()] + [str(token), repr(token), caplog.text]
    kept += [json.dumps(each.data) for each in Event.objects.all()]
    assert not any(secret in each or secret[15:] in each for each in kept)
    assert token.prefix == secret[:11]
    event = Event.objects.get(kind="token.created")
    assert sentence_of(event) == f"Countersign made the API token {token.prefix}… for ci: pipeline"
    assert page_of_history({"kind": "configuration"}).count >= 1
    assert make(world) != secret


def test_when_it_was_used_is_kept_to_the_minute(world: World) -> None:
    secret, now = make(world), timezone.now()
    for seconds, used in ((0, 0), (59, 0), (60, 60)):
        services.person_of_token(secret=secret, now=now + timedelta(seconds=seconds))
        assert ApiToken.objects.get().last_used_at == now + timedelta(seconds=used)


def test_what_opens_nothing(world: World) -> None:
    def comes(secret: str, code: str, **more: object) -> None:
        refused(code, lambda: services.person_of_token(secret=secret, **more))  # type: ignore[arg-type]

    secret = make(world, days=1)
    token = ApiToken.objects.get()
    for wrong in ("", "x", secret[:-1], secret + "x", secret + "\n", secret.swapcase(), "\x00"):
        comes(wrong, "token_unknown")
    comes(token.digest, "token_unknown")
    assert token.expires_at is not None
    comes(secret, "token_expired", now=token.expires_at)
    Person.objects.filter(username="ci").update(is_active=False)
    comes(secret, "inactive")
    Person.objects.filter(username="ci").update(is_active=True)
    services.revoke_token(actor=None, via=Via.COMMAND, token_id=token.pk)
    comes(secret, "token_revoked")
    assert "revoked the API token" in sentence_of(Event.objects.get(kind="token.revoked"))
    refused(
        "already_revoked",
        lambda: services.revoke_token(actor=None, via=Via.COMMAND, token_id=token.pk),
    )


def test_who_may_make_and_revoke(world: World) -> None:
    secret = make(world, "bob", actor=world.person("bob"))
    token = ApiToken.objects.get()
    for stranger in ("alice", "ci"):
        who = world.person(stranger)
        refused("may_not_administer", lambda who=who: make(world, "bob", actor=who))  # type: ignore[misc]
        refused(
            "may_not_administer",
            lambda who=who: services.revoke_token(actor=who, via=Via.BROWSER, token_id=token.pk),  # type: ignore[misc]
        )
    Person.objects.filter(username="dave").update(is_superuser=True)
    services.revoke_token(actor=world.person("dave"), via=Via.BROWSER, token_id=token.pk)
    refused("token_revoked", lambda: services.person_of_token(secret=secret))


@pytest.mark.parametrize(
    ("code", "change"),
    [
        ("bad_name", {"name": " "}),
        ("bad_name", {"name": "x" * 101}),
        ("bad_name", {"name": "a\nb"}),
        ("bad_days", {"days": 0}),
        ("bad_days", {"days": 10**9}),
    ],
)
def test_malformed(world: World, code: str, change: dict[str, object]) -> None:
    refused(code, lambda: make(world, **change))  # type: ignore[arg-type]


def test_unknown(world: World) -> None:
    refused(
        "unknown_person",
        lambda: services.create_token(actor=None, via=Via.COMMAND, person_id=10**9, name="x"),
    )
    refused(
        "unknown_token",
        lambda: services.revoke_token(actor=None, via=Via.COMMAND, token_id=10**9),
    )


def said(*arguments: str) -> str:
    out = StringIO()
    call_command("token", *arguments, stdout=out, stderr=StringIO())
    return out.getvalue()


def test_the_command(world: World) -> None:
    secret = said("create", "ci", "pipeline", "--days", "30").strip()
    assert services.person_of_token(secret=secret) == world.person("ci")
    listed = said("list")
    assert secret not in listed and secret[:11] in listed and "open until" in listed
    assert said("revoke", secret[:11]) == f"{secret[:11]} is revoked.\n"
    assert "revoked" in said("list")
    for arguments, sentence in (
        (("create", "nobody", "x"), "Nobody is called 'nobody'."),
        (("create", "ci", ""), "Say what it is for"),
        (("create", "ci", "x", "--days", "-1"), "1 to 3,650 days"),
        (("revoke", secret[:11]), "revoked already"),
        (("revoke", "cs_"), "No token begins with"),
    ):
        with pytest.raises(CommandError, match=sentence):
            said(*arguments)
    Person.objects.filter(username="ci").update(is_active=False)
    with pytest.raises(CommandError, match="activate it first"):
        said("create", "ci", "x")
