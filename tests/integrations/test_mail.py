"""Mail over real SMTP: to whom, in which words, once, and whatever the server does."""

from __future__ import annotations

import re
from datetime import timedelta
from html import unescape

import pytest
from django.utils import timezone
from pytest_django.fixtures import Settings

from approvals import services
from approvals.models import Effect, Person
from approvals.models.outbox import EffectKind
from approvals.states import EffectStatus, Occasion, Via
from integrations.effects import HANDLERS
from integrations.mail.deliver import deliver
from integrations.models import Heartbeat, SentMail
from integrations.outbox import deliver_due
from integrations.status import notices
from sandbox.mail import Server
from tests.integrations.mail_fixtures import Mail, alert, mail
from tests.world import World

__all__ = ["mail"]


def test_one_message_each_and_nobody_sees_another_address(mail: Mail) -> None:
    effect = mail.deliver(mail.tell("bob", "carol"))
    assert effect.status == EffectStatus.DONE
    assert mail.readers() == ["bob", "carol"] and mail.box.sessions == 1
    [bobs], [carols] = mail.to("bob"), mail.to("carol")
    assert "carol" not in bobs.source and "bob" not in carols.source
    assert bobs.parsed["To"] == "bob@acme.example"
    assert bobs.parsed["From"] == "Countersign <countersign@acme.example>"
    assert bobs.parsed["Auto-Submitted"] == "auto-generated"
    assert bobs.parsed["Message-ID"] != carols.parsed["Message-ID"]
    assert str(bobs.parsed["Message-ID"]).endswith("@acme.example>")


def test_a_failed_deployment_is_told_to_whoever_asked_and_decides(mail: Mail) -> None:
    world = mail.world
    deployment = world.approve(world.request())
    services.begin_dispatch(
        deployment_id=deployment.pk, observed=world.observed(deployment.version)
    )
    services.record_dispatch_refused(deployment_id=deployment.pk, detail="GitHub said no.")
    Effect.objects.exclude(kind=EffectKind.MAIL).delete()
    Effect.objects.exclude(payload__occasion=Occasion.OUTCOME).delete()
    assert deliver_due(HANDLERS, seconds=20) == 1
    asked, decide = mail.to("alice"), set(mail.readers()) - {"alice"}
    assert len(asked) == 1 and {"bob", "carol"} <= decide and "mallory" not in decide
    assert asked[0].subject == "[Countersign] Failed: fraud-detector v2 → production"
    assert "fraud-detector v2 in production: GitHub said no." in asked[0].part("plain")
    assert "because you asked for it" in asked[0].part("plain")
    assert "because you decided on it" in mail.to("bob")[0].part("plain")
    concerned = "because you are concerned with fraud-detector in production"
    assert concerned in mail.to("dave")[0].part("plain")


def test_both_forms_say_the_same_and_link_to_the_decision(mail: Mail) -> None:
    promotion = mail.world.request()
    deployment = mail.world.approve(promotion)
    text = "It <b>failed</b> & stopped.\nSee the run."
    mail.deliver(mail.tell("bob", deployment=deployment, text=text))
    [message] = mail.to("bob")
    plain, html = message.part("plain"), message.part("html")
    url = f"http://127.0.0.1:8000/promotions/{promotion.pk}/?decide#actions"
    assert f": {url}\n" in plain and f'href="{url}"' in html
    assert text.replace("\n", " ") in plain
    assert "<b>" not in html and "&lt;b&gt;failed&lt;/b&gt; &amp; stopped." in html

    def words(of: str) -> set[str]:
        return set(re.findall(r"\w+", of))

    body = unescape(re.sub(r"<[^>]+>", " ", html.partition("</style>")[2]))
    without = re.sub(r"https?://\S+", "", plain)
    assert words(body) - words(without) == {"Metric", "Candidate", "Live", "Change"} - words(
        without
    )
    assert not words(without) - words(body) - {"live"}


def test_news_of_a_target_link_to_the_model(mail: Mail) -> None:
    mail.deliver(mail.tell("bob"))
    [message] = mail.to("bob")
    assert message.subject == "[Countersign] Drift in production"
    assert "http://127.0.0.1:8000/models/fraud-detector/" in message.part("plain")


def test_only_active_people_with_an_address(mail: Mail) -> None:
    Person.objects.filter(username="bob").update(email="")
    Person.objects.filter(username="ci").update(email="ci@acme.example", is_active=True)
    effect = mail.tell("bob", "carol", "dave", "ci")
    Person.objects.filter(username="dave").update(is_active=False)  # between the news and the mail
    assert mail.deliver(effect).status == EffectStatus.DONE
    assert mail.readers() == ["carol"]
    assert SentMail.objects.count() == 1


def test_nobody_to_write_to_and_the_server_is_not_troubled(mail: Mail) -> None:
    Person.objects.update(email="")
    assert mail.deliver(mail.tell("bob", "carol")).status == EffectStatus.DONE
    assert mail.box.sessions == 0


def test_not_configured_ends_quietly(mail: Mail) -> None:
    mail.settings.EMAIL_HOST = ""
    effect = mail.deliver(mail.tell("bob"))
    assert (effect.status, effect.last_error) == (EffectStatus.DONE, "")
    assert mail.box.sessions == 0 and not SentMail.objects.exists()


@pytest.mark.parametrize("subject", ["Drift\nBcc: mallory@acme.example", "Drift\r\n\r\nHello\x07"])
def test_a_subject_cannot_add_headers(mail: Mail, subject: str) -> None:
    mail.deliver(mail.tell("bob", subject=subject))
    [message] = mail.box.messages
    assert message.recipients == ["bob@acme.example"] and message.parsed["Bcc"] is None
    assert message.subject == f"[Countersign] {' '.join(subject.replace(chr(7), '').split())}"
    assert "The score fell below 0.9." in message.part("plain")


def test_a_long_subject_and_marks_that_turn_text(mail: Mail) -> None:
    mail.deliver(mail.tell("bob", subject="Ümlaut \u202e" + "x" * 500, text="a\u202eb"))
    [message] = mail.box.messages
    assert message.subject == "[Countersign] Ümlaut " + "x" * 128 + "…"
    assert "\u202e" not in message.part("plain") + message.part("html")


def test_a_repetition_sends_nothing(mail: Mail) -> None:
    effect = mail.deliver(mail.tell("bob", "carol"))
    deliver(effect)
    assert mail.readers() == ["bob", "carol"] and mail.box.sessions == 1


def test_a_refused_address_does_not_stop_the_others(mail: Mail) -> None:
    mail.fault("refuse", "bob", times=2)
    effect = mail.deliver(mail.tell("alice", "bob", "carol"))
    assert mail.readers() == ["alice", "carol"]
    assert effect.status == EffectStatus.FAILED
    assert effect.last_error == (
        "The mail server refused mail for Bob Brandt (550 5.1.1). Mend the address, then have it "
        "delivered again."
    )
    # Ordered again while nothing is mended, then mended: only bob is written to.
    root = Person.objects.create_superuser("root", password="x")
    for expected in ([], ["bob"]):
        services.retry_effect(actor=root, via=Via.BROWSER, effect_id=effect.pk)
        mail.box.messages.clear()
        effect = mail.deliver(effect)
        assert mail.readers() == expected
    assert effect.status == EffectStatus.DONE


def test_what_is_no_address_is_refused_here(mail: Mail) -> None:
    Person.objects.filter(username="bob").update(email="bob@acme.example\nBcc: x@acme.example")
    effect = mail.deliver(mail.tell("bob", "carol"))
    assert mail.readers() == ["carol"]
    assert "Bob Brandt (not an address that can be written to)" in effect.last_error


def test_not_now_for_one_is_tried_again_without_doubling_the_others(mail: Mail) -> None:
    mail.fault("not_now", "bob")
    mail.fault("refuse", "carol")
    effect = mail.deliver(mail.tell("alice", "bob", "carol"))
    assert mail.readers() == ["alice"]
    assert effect.status == EffectStatus.WAITING
    assert effect.last_error == "The mail server said not now about Bob Brandt (451 4.7.1)."
    assert (effect.due_at - timezone.now()).total_seconds() > 200, "minutes, not seconds"
    effect = mail.deliver(effect)
    assert mail.readers() == ["alice", "bob"]
    assert effect.status == EffectStatus.FAILED and "Carol" in effect.last_error


def test_a_mailbox_that_stays_full_is_given_up(mail: Mail) -> None:
    mail.fault("not_now", "bob", times=9)
    effect = mail.tell("bob", "carol")
    Effect.objects.update(created_at=timezone.now() - timedelta(days=2))
    assert mail.deliver(effect).status == EffectStatus.FAILED
    assert mail.readers() == ["carol"]


def test_one_persons_full_mailbox_does_not_hold_up_other_news(mail: Mail) -> None:
    mail.fault("not_now", "bob", times=9)
    mail.deliver(mail.tell("bob"))
    alert(mail.world.target(), key="later")
    Effect.objects.filter(kind=EffectKind.ALERT).delete()
    deliver_due(HANDLERS, seconds=20)
    assert "carol" in mail.readers()


def test_the_server_is_down_then_up(mail: Mail, caplog: pytest.LogCaptureFixture) -> None:
    port = mail.server.smtp_port
    with Server() as other:
        mail.settings.EMAIL_PORT = other.smtp_port
    effect = mail.deliver(mail.tell("bob"))
    assert effect.status == EffectStatus.WAITING
    assert effect.last_error == "The mail server could not be reached (ConnectionRefusedError)."
    with Server(other.smtp_port) as back:
        effect = mail.deliver(effect)
        assert [m.recipients for m in back.mailbox.messages] == [["bob@acme.example"]]
    assert effect.status == EffectStatus.DONE
    assert port != other.smtp_port and not mail.box.messages


def test_a_lost_answer_repeats_only_that_copy_under_the_same_id(mail: Mail) -> None:
    mail.fault("drop_after_data", "bob")
    effect = mail.deliver(mail.tell("alice", "bob", "carol"))
    assert effect.status == EffectStatus.WAITING
    assert effect.last_error == "The mail server could not be reached (SMTPServerDisconnected)."
    assert mail.deliver(effect).status == EffectStatus.DONE
    assert mail.readers() == ["alice", "bob", "bob", "carol"]
    first, second = mail.to("bob")
    assert first.parsed["Message-ID"] == second.parsed["Message-ID"]


def test_wrong_credentials_are_shown_and_never_logged(
    mail: Mail, capfd: pytest.CaptureFixture[str]
) -> None:
    mail.settings.SANDBOX = False
    mail.settings.EMAIL_HOST_USER, mail.settings.EMAIL_HOST_PASSWORD = "countersign", "hunter2"
    mail.fault("refuse_sign_in", times=9)
    effect = mail.tell("bob")
    Heartbeat.objects.create(name="worker", at=timezone.now())
    Effect.objects.update(created_at=timezone.now() - timedelta(minutes=2))
    for _ in range(3):
        mail.deliver(effect)
    sentence = "The mail server refused the credentials (535). Check EMAIL_USER and EMAIL_PASSWORD."
    assert effect.last_error == sentence
    assert notices() == [f"Mail waits: {sentence} It is sent later."]
    mail.box.faults.clear()
    assert mail.deliver(effect).status == EffectStatus.DONE
    assert mail.readers() == ["bob"] and notices() == []
    assert "hunter2" not in "".join(capfd.readouterr())


def test_a_refused_sender_is_ours_to_mend_and_nobody_is_blamed(mail: Mail) -> None:
    mail.fault("refuse_sender")
    effect = mail.deliver(mail.tell("bob"))
    assert effect.status == EffectStatus.WAITING
    assert effect.last_error.startswith("The mail server refused the sender (553 5.7.1). Check DEF")
    assert mail.deliver(effect).status == EffectStatus.DONE


def test_a_server_without_tls_gets_neither_password_nor_mail(mail: Mail) -> None:
    mail.settings.EMAIL_USE_TLS = True
    mail.settings.EMAIL_HOST_USER, mail.settings.EMAIL_HOST_PASSWORD = "countersign", "hunter2"
    effect = mail.deliver(mail.tell("bob"))
    assert effect.last_error.startswith("The mail server does not offer what is configured")
    assert not mail.box.messages


def test_a_connection_that_is_not_secure_is_not_used(mail: Mail) -> None:
    mail.settings.EMAIL_USE_SSL = True  # and the server answers in plain text
    effect = mail.deliver(mail.tell("bob"))
    assert effect.status == EffectStatus.WAITING
    assert effect.last_error.startswith("No secure connection to the mail server (WRONG_VERSION")
    assert not mail.box.messages


def test_never_inside_a_transaction(world: World, settings: Settings) -> None:
    settings.EMAIL_HOST = "127.0.0.1"
    alert(world.target())
    with pytest.raises(RuntimeError, match="inside a database transaction"):
        deliver(Effect.objects.get(kind=EffectKind.MAIL))
