"""What people do on the pages: one verb each, and a refusal changes nothing and says why."""

from __future__ import annotations

from html import unescape

import pytest
from django.test import Client
from django.urls import reverse
from pytest_django.fixtures import Settings

from approvals import services
from approvals.models import Deployment, Effect, Event, Promotion, Review
from approvals.states import DeploymentStatus, PromotionKind, PromotionStatus, Via
from tests.web.conftest import Browser
from tests.world import World


def counts() -> tuple[int, ...]:
    return tuple(row.objects.count() for row in (Promotion, Review, Deployment, Event, Effect))


def refused(client: Client, address: str, data: dict[str, str], sentence: str) -> None:
    """The post changes nothing, says why, and keeps what was typed."""
    before = counts()
    answer = client.post(address, data)
    assert answer.status_code == 409
    html = unescape(answer.content.decode())
    assert sentence in html
    assert counts() == before
    typed = data.get("text") or data.get("reason")
    if typed:
        assert typed in html


def test_asking_approving_going_live_and_back(world: World, browser: Browser) -> None:
    first = world.version(1)
    world.make_live(first)
    version = world.version(2)
    answer = browser("alice").post(
        f"{version.get_absolute_url()}?environment=production", {"reason": "Better by far."}
    )
    promotion = Promotion.objects.get(version=version)
    assert answer["Location"] == promotion.get_absolute_url()
    assert (promotion.requester.username, promotion.via) == ("alice", Via.BROWSER)
    promotion = world.seal(promotion)
    for name in ("bob", "carol"):
        browser(name).post(
            promotion.get_absolute_url(), {"action": "approve", "seal": promotion.seal}
        )
    promotion.refresh_from_db()
    assert promotion.status == PromotionStatus.APPROVED
    world.deploy(Deployment.objects.get(promotion=promotion))

    address = reverse("rollback", args=[promotion.target_id])
    page = browser("bob").get(address).content.decode()
    assert f'value="{first.pk}" checked' in page
    browser("bob").post(address, {"version": str(first.pk), "reason": "It blocks everybody."})
    back = Promotion.objects.get(kind=PromotionKind.ROLLBACK)
    assert (back.version, back.reason) == (first, "It blocks everybody.")


def test_a_refused_request_keeps_what_was_typed(world: World, browser: Browser) -> None:
    version = world.version()
    address = f"{version.get_absolute_url()}?environment=production"
    refused(browser("mallory"), address, {"reason": "Please!"}, "You may not")
    refused(browser("alice"), address, {"reason": "  "}, "Say why")
    world.request(version)
    refused(
        browser("alice"),
        address,
        {"reason": "Again."},
        "already waiting for approval",
    )


@pytest.mark.parametrize(
    ("role", "data", "sentence"),
    [
        ("alice", {"action": "approve"}, "because you asked for it"),
        ("mallory", {"action": "approve"}, "you are in none of the teams"),
        ("mallory", {"action": "cancel", "text": "Mine now"}, "may cancel it"),
        ("bob", {"action": "reject", "text": ""}, "Say why you reject it"),
        ("bob", {"action": "approve", "seal": "0" * 64, "text": "Fine"}, "Look at them again"),
        ("bob", {"action": "dispatch", "text": "Sure"}, "There is no deployment"),
        ("bob", {"action": "delete"}, "Choose what to do"),
        ("bob", {}, "Choose what to do"),
    ],
)
def test_refusals(
    world: World, browser: Browser, role: str, data: dict[str, str], sentence: str
) -> None:
    promotion = world.request()
    refused(browser(role), promotion.get_absolute_url(), {"seal": promotion.seal, **data}, sentence)


def test_deciding_twice_and_too_late(world: World, browser: Browser) -> None:
    promotion = world.request()
    address, bob = promotion.get_absolute_url(), browser("bob")
    assert bob.post(address, {"action": "approve", "seal": promotion.seal}).status_code == 302
    refused(bob, address, {"action": "approve", "seal": promotion.seal}, "You have decided already")
    answer = browser("carol").post(
        address, {"action": "reject", "seal": promotion.seal, "text": "Too risky."}
    )
    assert answer.status_code == 302
    promotion.refresh_from_db()
    assert (promotion.status, promotion.decision_reason) == ("rejected", "Too risky.")
    refused(
        browser("carol"), address, {"action": "approve", "seal": promotion.seal}, "It is too late"
    )


def test_a_moved_seal_is_refused_in_words(world: World, browser: Browser) -> None:
    promotion = world.request()
    old = promotion.seal
    world.seal(promotion, workflow_digest="git:9999")
    refused(
        browser("bob"),
        promotion.get_absolute_url(),
        {"action": "approve", "seal": old, "text": "Well done"},
        "The facts changed since you looked: the workflow file was",
    )


def test_cancel_and_check_again(world: World, browser: Browser) -> None:
    promotion = world.request()
    services.record_facts_problem(promotion_id=promotion.pk, problem="MLflow is down.")
    alice, address = browser("alice"), promotion.get_absolute_url()
    html = alice.get(address).content.decode()
    assert "MLflow is down." in html and "Check again" in html
    assert alice.post(address, {"action": "check"}).status_code == 302
    assert Effect.objects.filter(dedupe_key__contains="again:").count() == 1
    assert alice.post(address, {"action": "cancel", "text": "Not now."}).status_code == 302
    promotion.refresh_from_db()
    assert promotion.status == PromotionStatus.CANCELLED


def test_an_unconfirmed_deployment_is_settled_by_a_person(world: World, browser: Browser) -> None:
    promotion = world.request()
    deployment = world.approve(promotion)
    services.begin_dispatch(
        deployment_id=deployment.pk, observed=world.observed(deployment.version)
    )
    services.record_unconfirmed(deployment_id=deployment.pk, detail="No answer.")
    address = promotion.get_absolute_url()
    assert "Dispatch again" not in browser("mallory").get(address).content.decode()
    refused(browser("mallory"), address, {"action": "dispatch", "text": "Go"}, "You may not")
    refused(browser("bob"), address, {"action": "dispatch"}, "Say how you know")
    assert browser("bob").post(address, {"action": "look"}).status_code == 302
    assert (
        browser("bob")
        .post(address, {"action": "dispatch", "text": "GitHub shows none."})
        .status_code
        == 302
    )
    assert Event.objects.filter(kind="deployment.dispatched_again").count() == 1
    bob = {"action": "give_up", "text": "It will be asked for again."}
    assert browser("bob").post(address, bob).status_code == 302
    deployment.refresh_from_db()
    assert deployment.status == DeploymentStatus.CANCELLED


def test_rolling_back_to_what_was_never_live(world: World, browser: Browser) -> None:
    world.make_live(world.version(1))
    other = world.version(2)
    address = reverse("rollback", args=[world.target().pk])
    refused(
        browser("bob"), address, {"version": str(other.pk), "reason": "No"}, "Choose the version"
    )
    assert "There is nothing to go back to" in browser("bob").get(address).content.decode()
    refused(
        browser("bob"),
        f"{other.get_absolute_url()}?environment=production",
        {"kind": "rollback", "reason": "Back!"},
        "was never live",
    )


def test_forms_without_their_token_are_refused(world: World) -> None:
    promotion = world.request()
    client = Client(enforce_csrf_checks=True)
    client.force_login(world.person("bob"))
    before = counts()
    answer = client.post(
        promotion.get_absolute_url(), {"action": "approve", "seal": promotion.seal}
    )
    assert answer.status_code == 403
    assert b"The form was too old" in answer.content
    assert counts() == before


@pytest.mark.parametrize("name", ["promotion_facts"])
def test_reading_pages_take_no_posts(world: World, browser: Browser, name: str) -> None:
    promotion = world.request()
    assert browser("bob").post(reverse(name, args=[promotion.pk])).status_code == 405


def test_one_click_sign_in_exists_only_in_the_sandbox(
    world: World, client: Client, settings: Settings
) -> None:
    address = reverse("sandbox_sign_in", args=["bob"])
    assert "Continue as bob" in client.get(reverse("account_login")).content.decode()
    answer = client.post(address, {"next": "/inbox/"})
    assert answer["Location"] == "/inbox/"
    assert client.get("/inbox/").status_code == 200
    for there in ("https://evil.example/", "//evil.example", "javascript:alert(1)", ""):
        assert client.post(address, {"next": there})["Location"] == "/"
    assert client.get(address).status_code == 405
    for nobody in ("ci", "root", "ALICE"):
        assert client.post(reverse("sandbox_sign_in", args=[nobody])).status_code == 404

    settings.SANDBOX = False
    stranger = Client()
    assert stranger.post(address).status_code == 404
    assert stranger.get("/inbox/").status_code == 302
    assert "Continue as" not in stranger.get(reverse("account_login")).content.decode()


def test_the_inactive_cannot_sign_in(world: World, client: Client) -> None:
    bob = world.person("bob")
    bob.is_active = False
    bob.save()
    assert client.post(reverse("sandbox_sign_in", args=["bob"])).status_code == 404


def test_signing_in_with_a_password(world: World, client: Client, settings: Settings) -> None:
    settings.SANDBOX = False
    bob = world.person("bob")
    bob.set_password("correct horse battery")
    bob.save()
    address = f"{reverse('account_login')}?next=/timeline/"
    assert "/timeline/" in client.get(address).content.decode()
    wrong = client.post(reverse("account_login"), {"login": "bob", "password": "no"})
    assert wrong.status_code == 200 and b"notice-bad" in wrong.content
    right = client.post(
        reverse("account_login"),
        {"login": "bob", "password": "correct horse battery", "next": "/timeline/"},
    )
    assert right["Location"] == "/timeline/"
    for name in ("account_logout", "account_change_password"):
        assert b"Countersign" in client.get(reverse(name)).content
    assert client.get(reverse("account_reset_password")).status_code in {200, 302}


def test_the_administration_edits_no_history(world: World, client: Client) -> None:
    admin = world.person("dave")
    admin.is_staff = admin.is_superuser = True
    admin.save()
    client.force_login(admin)
    promotion = world.request()
    names = ["event", "promotion", "review", "deployment", "effect", "target", "team"]
    for name in names:
        assert client.get(reverse(f"admin:approvals_{name}_changelist")).status_code == 200
        assert client.get(reverse(f"admin:approvals_{name}_add")).status_code == 403
    before = counts()
    page = reverse("admin:approvals_promotion_change", args=[promotion.pk])
    assert client.get(page).status_code == 200
    assert client.post(page, {"status": "approved"}).status_code == 403
    delete = reverse("admin:approvals_promotion_delete", args=[promotion.pk])
    assert client.post(delete, {"post": "yes"}).status_code == 403
    promotion.refresh_from_db()
    assert promotion.status == PromotionStatus.PENDING and counts() == before
    person = reverse("admin:approvals_person_change", args=[world.person("mallory").pk])
    assert client.get(person).status_code == 200


def test_withdrawing_a_review(world: World, browser: Browser) -> None:
    promotion = world.request()
    address = promotion.get_absolute_url()
    bob = browser("bob")
    assert "Withdraw my review" not in bob.get(address).content.decode()
    bob.post(address, {"action": "approve", "seal": promotion.seal})
    assert "Withdraw my review" in bob.get(address).content.decode()
    assert "Withdraw my review" not in browser("carol").get(address).content.decode()
    bob.post(address, {"action": "withdraw"})
    assert not Review.objects.filter(promotion=promotion, voided_at=None).exists()
    assert "withdrawn" in bob.get(address).content.decode()
    refused(bob, address, {"action": "withdraw"}, "You have no review here that counts.")


def test_the_page_shows_what_was_sealed(world: World, browser: Browser) -> None:
    """MLflow's metrics may change after the decision; the page shows what people decided on."""
    promotion = world.request(world.version(metrics={"accuracy": "0.913"}))
    world.approve(promotion)
    world.version(metrics={"accuracy": "0.111"})
    html = browser("alice").get(promotion.get_absolute_url()).content.decode()
    assert "0.913" in html and "0.111" not in html


@pytest.mark.parametrize("query", ["?environment=nope", "?environment=", ""])
def test_an_environment_is_never_guessed(world: World, browser: Browser, query: str) -> None:
    version = world.version(2)
    before = counts()
    answer = browser("alice").post(f"{version.get_absolute_url()}{query}", {"reason": "x"})
    assert answer.status_code in {400, 404}
    assert counts() == before


def test_a_model_that_does_not_go_there(world: World, browser: Browser) -> None:
    version = world.version(1, "credit-limit")
    address = f"{version.get_absolute_url()}?environment=staging"
    assert browser("alice").get(address).status_code == 404
    assert browser("alice").post(address, {"reason": "x"}).status_code == 404
    assert not Promotion.objects.exists()


def test_the_e_mail_page_of_the_sign_in_library_is_closed(world: World, browser: Browser) -> None:
    answer = browser("mallory").post("/accounts/email/", {"email": "bob@acme.example"})
    assert (answer.status_code, answer["Location"]) == (302, "/profile/")


def test_after_a_failed_deployment_there_is_a_next_step(world: World, browser: Browser) -> None:
    world.make_live(world.version(1))
    deployment = world.approve(world.request(world.version(2)))
    services.stop_dispatch(deployment_id=deployment.pk, problem="The artifacts are gone.")
    html = browser("alice").get(deployment.promotion.get_absolute_url()).content.decode()
    assert "fraud-detector v1 is live in production, as before." in html
    assert "Ask again" in html


def test_roll_back_is_offered_only_to_those_who_may_ask(world: World, browser: Browser) -> None:
    world.make_live(world.version(1))
    deployment = world.make_live(world.version(2))
    address = deployment.promotion.get_absolute_url()
    for name, offered in (("bob", True), ("carol", True), ("mallory", False)):
        assert ("/rollback/" in browser(name).get(address).content.decode()) is offered, name


@pytest.mark.parametrize(("close", "open_"), [("lock", "unlock"), ("quarantine", "release")])
def test_closing_and_opening(world: World, browser: Browser, close: str, open_: str) -> None:
    version = world.version(2)
    subject = world.target() if close == "lock" else version
    page = "/models/fraud-detector/" if close == "lock" else version.get_absolute_url()
    shut, opened = (reverse("restrict", args=[each, subject.pk]) for each in (close, open_))
    for name, may in (("alice", False), ("bob", True)):
        assert (shut in browser(name).get(page).content.decode()) is may
    before = counts()
    answer = browser("alice").post(shut, {"reason": "Because."}, follow=True)
    assert "none of the teams that decide here" in unescape(answer.content.decode())
    assert counts() == before
    assert browser("bob").get(shut).status_code == 405

    answer = browser("bob").post(shut, {"reason": "Drift <b>."}, follow=True)
    html = answer.content.decode()
    assert answer.redirect_chain == [(page, 302)]
    assert "by Bob Brandt since" in html
    assert "Drift &lt;b&gt;." in html
    assert opened in html
    assert shut not in html
    if close == "lock":
        assert "Locked by Bob Brandt" in browser("alice").get("/").content.decode()
    else:
        assert "v2 could follow" not in browser("alice").get("/").content.decode()
    timeline = browser("alice").get("/timeline/?model=fraud-detector&kind=restrictions")
    assert f"Bob Brandt {close}" in timeline.content.decode()
    html = browser("carol").post(opened, {"reason": "Gone."}, follow=True).content.decode()
    assert "by Bob Brandt since" not in html


def test_nothing_else_can_be_closed(world: World, browser: Browser) -> None:
    before = counts()
    for address in ("/restrictions/explode/1/", f"/restrictions/lock/{10**9}/"):
        assert browser("bob").post(address, {"reason": "x"}).status_code == 404
    assert counts() == before


def test_a_quarantined_version_that_is_live_says_so_on_the_overview(
    world: World, browser: Browser
) -> None:
    version = world.version(1)
    world.make_live(version)
    assert "v1 is quarantined" not in browser("alice").get("/").content.decode()
    services.quarantine(
        actor=world.person("bob"), via=Via.BROWSER, version_id=version.pk, reason="It leaks."
    )
    assert "v1 is quarantined" in browser("alice").get("/").content.decode()
