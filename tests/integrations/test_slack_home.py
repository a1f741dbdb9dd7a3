"""The Home tab: what each person sees, what acts in it, and that it stays fresh without a flood."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import requests
from django.test import Client
from django.utils import timezone

from approvals import services
from approvals.models import (
    Delegation,
    Deployment,
    Effect,
    Event,
    ModelVersion,
    Person,
    Promotion,
    RegisteredModel,
    Review,
)
from approvals.models.outbox import EffectKind
from approvals.selectors.preferences import preferences_of
from approvals.states import DeploymentStatus, EffectStatus, PromotionStatus, Via
from integrations import tasks
from integrations.models import SlackHome, SlackIdentity
from integrations.slack import home, homes
from integrations.slack.blocks import View
from integrations.slack.buttons import deciding
from tests import blockkit
from tests.integrations.slack_events import JSON, deliver, event, heard, home_of, send
from tests.integrations.slack_fixtures import Slack, slack, static_folder
from tests.snapshots import assert_snapshot
from tests.world import World

__all__ = ["slack", "static_folder"]
SLACK_TRANSPORTS = ("http", "socket")
HOSTILE = "<!channel> <@U0MALLORY> *x* <http://evil.example|Approve> & \u202eطلب"


def rendered(world: World, name: str) -> View:
    view = home.render(world.person(name), timezone.now())
    blockkit.validate_view(view)
    return view


def text_of(view: Any) -> str:
    return str(view)


class TestWhatIsSeen:
    """Each state as reviewed text."""

    def test_somebody_for_whom_nothing_is(self, world: World) -> None:
        assert_snapshot("home/nothing", rendered(world, "mallory"))

    def test_somebody_who_decides(self, world: World) -> None:
        world.make_live(world.version(1))
        world.request(world.version(2))
        world.request(world.version(1, "churn-predictor", metrics={"auc": "0.7"}))
        assert_snapshot("home/decides", rendered(world, "bob"))

    def test_somebody_who_asks(self, world: World) -> None:
        failed = world.approve(world.request(world.version(1)))
        order = services.begin_dispatch(
            deployment_id=failed.pk, observed=world.observed(failed.version)
        )
        assert order is not None
        services.record_dispatched(deployment_id=failed.pk, run_id=7, url="http://127.0.0.1:9/7")
        services.record_run(facts=world.run_facts(failed, 7, conclusion="failure"))
        moving = world.approve(world.request(world.version(3)))
        world.request(world.version(1, "churn-predictor", metrics={"auc": "0.7"}))
        assert Deployment.objects.get(pk=moving.pk).status == DeploymentStatus.QUEUED
        assert_snapshot("home/asks", rendered(world, "alice"))

    def test_delegation_and_preferences(self, world: World) -> None:
        bob, now = world.person("bob"), timezone.now()
        until = now + timedelta(days=3)
        services.delegate(
            actor=bob, via=Via.SLACK, delegate_id=world.person("dave").pk, until=until
        )
        services.delegate(
            actor=world.person("carol"), via=Via.SLACK, delegate_id=bob.pk, until=until
        )
        services.set_preferences(
            actor=bob, via=Via.SLACK, direct=True, reminders=False, mail="always"
        )
        assert_snapshot("home/away", rendered(world, "bob"))

    def test_others(self) -> None:
        for name, view in (
            ("invitation", home.invitation("https://countersign.example/link/x/")),
            ("refused", home.nothing("You may not, because your account is not active.")),
        ):
            blockkit.validate_view(view)
            assert_snapshot(f"home/{name}", view)

    def test_an_environment_that_asks_once_more(self, world: World) -> None:
        promotion = world.request()
        approve = deciding(promotion)[0]
        assert "confirm" not in approve
        promotion.target.environment.confirm = True
        assert deciding(promotion)[0]["confirm"]["confirm"]["text"] == "Approve"


def test_hundreds_of_rows_that_wish_us_ill(world: World) -> None:
    template = world.request(world.version(2))
    now, base = timezone.now(), world.target()
    Person.objects.filter(username="alice").update(first_name=HOSTILE[:150], last_name="&" * 140)
    names = [
        f"<!channel> <@U0MALLORY> *x* & \u202e {number:03} {'ж' * 150}" for number in range(150)
    ]
    models = RegisteredModel.objects.bulk_create(
        RegisteredModel(name=name, registry_name=name, metrics=[[HOSTILE + "m" * 90, "higher"]] * 9)
        for name in names
    )
    versions = ModelVersion.objects.bulk_create(
        ModelVersion(
            model=model,
            number=1,
            registered_at=now,
            updated_at=now,
            metrics={HOSTILE + "m" * 90: "0.5"},
        )
        for model in models
    )
    for version in versions:
        base.pk, base.model, base.live_version, base.live_since = None, version.model, version, now
        base.save(force_insert=True)
        template.pk, template.token = None, f"cs-{version.pk:012}"
        template.target, template.version, template.reason = base, version, HOSTILE * 30
        template.problem = ""
        template.save(force_insert=True)
        Deployment.objects.create(
            promotion=template,
            target=base,
            version=version,
            status=DeploymentStatus.FAILED,
            detail=HOSTILE * 20,
            created_at=now,
        )
    Promotion.objects.exclude(status=PromotionStatus.PENDING).delete()
    for name in ("bob", "alice"):
        view = rendered(world, name)
        text = text_of(view)
        assert len(view["blocks"]) <= 100
        assert "<!channel>" not in text and "<@U" not in text and "\u202e" not in text
        assert "<http://evil" not in text
        assert "in your inbox" not in text and "|your inbox>" in text and "|the overview>" in text
    assert text_of(rendered(world, "bob")).count("'action_id': 'approve'") == home.MOST_WAITING


def open_home(slack: Slack, user: str, count: int = 1) -> JSON | None:
    slack.post("home", user=user)
    heard(slack, "app_home_opened", count)
    deliver(EffectKind.HOME)
    return home_of(slack, user)


def press(slack: Slack, user: str, action: str, value: Any = None) -> JSON:
    view = home_of(slack, user)
    assert view is not None
    return slack.post("press", user=user, view_id=view["id"], action_id=action, value=value)


class TestOpened:
    def test_published_once_and_not_again_unless_it_changed(self, slack: Slack) -> None:
        assert open_home(slack, "bob") is not None
        shown = SlackHome.objects.get()
        assert shown.identity.person.username == "bob" and shown.digest and shown.published_at
        assert slack.calls("views.publish") == 1
        open_home(slack, "bob", 2)
        assert slack.calls("views.publish") == 1, "they see this very view"
        slack.world.request()
        view = open_home(slack, "bob", 3)
        assert slack.calls("views.publish") == 2 and "Promote fraud-detector" in text_of(view)

    def test_a_retry_changes_nothing(self, slack: Slack) -> None:
        opened = event("U0BOB", {"type": "app_home_opened", "channel": "D0BOB", "tab": "home"})
        send(slack, opened)
        before = SlackHome.objects.get().opened_at
        send(slack, opened | {"token": "y"}, **{"X-Slack-Retry-Num": "1"})
        assert SlackHome.objects.get().opened_at == before
        assert Effect.objects.filter(kind=EffectKind.HOME).count() == 1

    def test_the_messages_tab_and_strangers_open_nothing(self, slack: Slack) -> None:
        what = {"type": "app_home_opened", "channel": "D0BOB", "tab": "messages"}
        send(slack, event("U0BOB", what))
        send(slack, event("U0EVE", what | {"tab": "home"}, team_id="T0OTHER"))
        assert not Effect.objects.exists() and not SlackHome.objects.exists()
        assert slack.calls("views.publish") == 0

    def test_what_slack_forgot_is_published_anew(self, slack: Slack) -> None:
        open_home(slack, "bob")
        slack.post("reset")
        assert open_home(slack, "bob") is not None

    def test_slack_away(self, slack: Slack) -> None:
        slack.fault("server_error", "views.publish", times=2)
        assert open_home(slack, "bob") is None
        assert SlackHome.objects.get().digest == "", "what was not shown is not taken for shown"
        slack.mend()
        [effect] = deliver(EffectKind.HOME)
        assert effect.status == EffectStatus.WAITING or home_of(slack, "bob")
        deliver(EffectKind.HOME)
        assert home_of(slack, "bob") is not None


class TestWhoeverIsNotLinked:
    def test_frank_links_and_unlinks(self, slack: Slack) -> None:
        view = open_home(slack, "frank")
        link = re.search(r"http[^']+/slack/link/[^']+", text_of(view))
        assert link and not SlackHome.objects.exists()
        assert press(slack, "frank", "home_link")["error"] is None
        frank = Person.objects.create(username="frank", first_name="Frank")
        client = Client()
        client.force_login(frank)
        client.post(link[0].removeprefix(slack.product))
        assert homes.keep_fresh() == 1 and homes.keep_fresh() == 0, "once for each linking"
        deliver(EffectKind.HOME)
        assert "Nothing waits for you." in text_of(home_of(slack, "frank"))
        client.post("/integrations/slack/unlink/")
        assert homes.keep_fresh() == 1
        deliver(EffectKind.HOME)
        assert "does not know who you are" in text_of(home_of(slack, "frank"))
        assert not SlackHome.objects.exists()

    def test_somebody_of_another_organisation(self, slack: Slack) -> None:
        """The event names the workspace where the tab was opened; Slack is asked who that is."""
        view = open_home(slack, "eve")
        assert "people of other organisations" in text_of(view)
        assert "link" not in text_of(view)

    def test_the_inactive_see_nothing(self, slack: Slack) -> None:
        slack.world.request()
        assert "Promote fraud-detector" in text_of(open_home(slack, "bob"))
        Person.objects.filter(username="dave").update(is_superuser=True)
        services.set_active(
            actor=slack.world.person("dave"),
            via=Via.BROWSER,
            person_id=slack.world.person("bob").pk,
            active=False,
        )
        SlackHome.objects.update(published_at=timezone.now() - timedelta(minutes=1))
        homes.keep_fresh()
        deliver(EffectKind.HOME)
        view = text_of(home_of(slack, "bob"))
        assert "your account is not active" in view and "fraud-detector" not in view


class TestActing:
    def test_approve_from_home(self, slack: Slack) -> None:
        promotion = slack.world.request()
        view = open_home(slack, "bob")
        assert "'action_id': 'approve'" in text_of(view)
        assert press(slack, "bob", "approve")["status"] == 200
        review = Review.objects.get()
        assert (review.person.username, review.via, review.seal) == (
            "bob",
            Via.SLACK,
            promotion.seal,
        )
        Effect.objects.all().delete()
        tasks.deliver_effects()  # woken by the approval: it orders what is out of date
        assert Effect.objects.filter(kind=EffectKind.HOME).count() == 1
        tasks.deliver_effects()
        assert "'action_id': 'approve'" not in text_of(home_of(slack, "bob"))

    def test_reject_and_details_open_their_dialogs(self, slack: Slack) -> None:
        slack.world.request()
        open_home(slack, "bob")
        for action in ("reject", "details"):
            view = press(slack, "bob", action)["opened_view"]
            assert view["callback_id"] == action

    def test_preferences_act_at_once(self, slack: Slack) -> None:
        bob = slack.world.person("bob")
        open_home(slack, "bob")
        assert press(slack, "bob", "home_told", ["direct"])["status"] == 200
        wishes = preferences_of(bob)
        assert (wishes.direct, wishes.reminders) == (True, False)
        assert press(slack, "bob", "home_mail", "never")["status"] == 200
        assert preferences_of(bob).mail == "never"
        effects = Effect.objects.filter(kind=EffectKind.HOME, status=EffectStatus.WAITING)
        assert effects.count() == 1, "one is enough for both"
        deliver(EffectKind.HOME)
        text = text_of(home_of(slack, "bob"))
        assert "home-told-10-never" in text
        assert [each.via for each in Event.objects.filter(kind="preferences.changed")] == [
            Via.SLACK,
            Via.SLACK,
        ]

    def test_what_is_no_choice_changes_nothing(self, slack: Slack) -> None:
        open_home(slack, "bob")
        before = Event.objects.count()
        press(slack, "bob", "home_mail", "weekly")
        press(slack, "bob", "home_told", ["reminders", "everything"])
        assert Event.objects.count() == before

    def test_hand_on_and_take_back(self, slack: Slack) -> None:
        open_home(slack, "bob")
        view = press(slack, "bob", "home_delegate")["opened_view"]

        def submit(**values: str) -> JSON:
            return slack.post("submit", user="bob", view_id=view["id"], values=values)

        for values, box, says in (
            ({"person": "U0FRANK", "until": "2d"}, "person", "linked"),
            ({"person": "U0BOB", "until": "2d"}, "person", "You decide for yourself already"),
            ({"person": "U0CAROL", "until": "2020-01-01 10:00"}, "until", "ends in the future"),
        ):
            assert says in submit(**values)["errors"][box]
        assert not Delegation.objects.exists()
        assert not submit(person="U0CAROL", until="2d", reason="On a train.").get("errors")
        given = Delegation.objects.get()
        assert (given.delegate.username, given.reason) == ("carol", "On a train.")
        assert abs(given.until - given.begins_at - timedelta(days=2)) < timedelta(seconds=10)
        homes.keep_fresh()
        deliver(EffectKind.HOME)
        assert "*Carol Chen* may approve for you" in text_of(home_of(slack, "bob"))
        assert press(slack, "bob", "home_end_delegation")["status"] == 200
        assert Delegation.objects.get().ended_at is not None
        deliver(EffectKind.HOME)
        assert "Hand on my approvals" in text_of(home_of(slack, "bob"))

    def test_a_view_that_is_out_of_date_is_brought_up_to_date(self, slack: Slack) -> None:
        bob, carol = slack.world.person("bob"), slack.world.person("carol")
        until = timezone.now() + timedelta(days=1)
        services.delegate(actor=bob, via=Via.BROWSER, delegate_id=carol.pk, until=until)
        open_home(slack, "bob")
        services.end_delegation(actor=bob, via=Via.BROWSER)
        events = Event.objects.count()
        assert press(slack, "bob", "home_end_delegation")["status"] == 200
        assert Event.objects.count() == events
        deliver(EffectKind.HOME)
        assert "Hand on my approvals" in text_of(home_of(slack, "bob"))

    def test_whoever_was_unlinked_meanwhile_changes_nothing(self, slack: Slack) -> None:
        open_home(slack, "bob")
        SlackIdentity.objects.filter(person__username="bob").delete()
        before = Event.objects.count()
        for action, value in (("home_told", []), ("home_mail", "never"), ("home_delegate", None)):
            said = press(slack, "bob", action, value)
            assert said["status"] == 200
        assert Event.objects.count() == before
        assert preferences_of(slack.world.person("bob")).reminders is True


class TestKeptFresh:
    def test_others_are_shown_in_a_while_and_once(self, slack: Slack) -> None:
        open_home(slack, "bob")
        assert homes.keep_fresh() == 0, "nothing happened"
        slack.world.request()
        assert homes.keep_fresh() == 0, "it was published just now"
        SlackHome.objects.update(published_at=timezone.now() - timedelta(seconds=16))
        assert homes.keep_fresh() == 1
        slack.world.request(slack.world.version(1, "churn-predictor"))
        assert homes.keep_fresh() == 0, "one that waits is enough"
        deliver(EffectKind.HOME)
        assert slack.calls("views.publish") == 2
        text = text_of(home_of(slack, "bob"))
        assert "Promote fraud-detector" in text and "Promote churn-predictor" in text
        assert SlackHome.objects.get().seen_event == homes.newest_event()
        assert homes.keep_fresh() == 0

    def test_what_nobody_looks_at_rests(self, slack: Slack) -> None:
        open_home(slack, "bob")
        long_ago = timezone.now() - timedelta(days=2)
        SlackHome.objects.update(opened_at=long_ago, published_at=long_ago)
        slack.world.request()
        assert homes.keep_fresh() == 0

    def test_an_event_that_changes_nothing_for_them_publishes_nothing(self, slack: Slack) -> None:
        open_home(slack, "bob")
        carol = slack.world.person("carol")
        services.set_preferences(actor=carol, via=Via.BROWSER, direct=True)
        SlackHome.objects.update(published_at=timezone.now() - timedelta(minutes=1))
        assert homes.keep_fresh() == 1
        deliver(EffectKind.HOME)
        assert slack.calls("views.publish") == 1 and homes.keep_fresh() == 0

    def test_without_slack_there_is_nothing_to_keep(self, world: World, settings: Any) -> None:
        settings.SLACK_BOT_TOKEN = ""
        assert homes.keep_fresh() == 0


def test_the_link_leads_to_the_page_that_asks(slack: Slack) -> None:
    link = re.search(r"http[^']+/slack/link/[^']+", text_of(open_home(slack, "frank")))
    assert link is not None
    answer = requests.get(link[0], timeout=10, allow_redirects=False)
    assert answer.status_code == 302 and "login" in answer.headers["Location"]
