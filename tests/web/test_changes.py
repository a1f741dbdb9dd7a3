"""Out-of-band changes on pages and through the API: the mark, what is and should be, the three answers."""

from __future__ import annotations

from typing import Any

import pytest
from django.urls import reverse
from django.utils import timezone

from approvals import services
from approvals.models import Effect, OutOfBandChange, Promotion
from approvals.models.outbox import EffectKind
from approvals.services.registry import ModelFacts
from tests.web.caller import refuses
from tests.web.conftest import Api, Browser
from tests.world import World


def moved(world: World, model: str = "fraud-detector") -> OutOfBandChange:
    """v2 is live in production, and somebody moved the alias to v3."""
    world.make_live(world.version(2, model))
    Effect.objects.filter(kind=EffectKind.SET_ALIAS).update(
        status="done", finished_at=timezone.now()
    )
    world.version(3, model)
    facts = ModelFacts(model, "", {}, {"champion": 3})
    for _ in range(2):
        services.compare_aliases(models=[facts], read_at=timezone.now())
    return OutOfBandChange.objects.get(declared_at__isnull=False, target__model__name=model)


def run_by_hand(world: World, title: str) -> OutOfBandChange:
    deployment = world.make_live(world.version(2))
    services.record_run(facts=world.run_facts(deployment, 555, title=title, actor="mallory-gh"))
    for _ in range(2):
        services.compare_runs(repository="acme/ml-models", read_at=timezone.now())
    return OutOfBandChange.objects.get(target=world.target())


class TestPages:
    def text(self, browser: Browser, who: str, address: str) -> str:
        answer = browser(who).get(address)
        assert answer.status_code == 200
        return str(answer.content.decode())

    def test_the_mark_on_the_matrix(self, world: World, browser: Browser) -> None:
        change = moved(world)
        html = self.text(browser, "mallory", "/")
        assert "Out-of-band: the registry&#x27;s alias, v3" in html
        assert 'href="#g-shield-off"' in html
        assert f'href="{change.get_absolute_url()}"' in html
        services.ignore_change(
            actor=world.person("bob"), via="browser", change_id=change.pk, reason="Known."
        )
        assert "Out-of-band" not in self.text(browser, "mallory", "/")

    @pytest.mark.parametrize("where", ["model", "change", "timeline", "promotion"])
    def test_every_page_says_what_is_and_should_be(
        self, world: World, browser: Browser, where: str
    ) -> None:
        change = moved(world)
        live = world.target().live_deployment
        assert live is not None
        address = {
            "model": "/models/fraud-detector/",
            "change": change.get_absolute_url(),
            "timeline": f"{reverse('timeline')}?kind=watching",
            "promotion": live.promotion.get_absolute_url(),
        }[where]
        html = self.text(browser, "bob", address)
        assert "alias champion points to fraud-detector v3" in html
        if where == "timeline":
            assert f'href="{change.get_absolute_url()}"' in html
        assert "fraud-detector v2 is what went live through Countersign" in html

    def test_whom_the_answers_are_offered_to(self, world: World, browser: Browser) -> None:
        change = moved(world)
        bob = self.text(browser, "bob", "/models/fraud-detector/")
        for action in ("put_back", "ignore"):
            assert f'name="action" value="{action}"' in bob
        alice = self.text(browser, "alice", change.get_absolute_url())
        assert 'value="adopt"' in alice and 'value="ignore"' not in alice
        assert "because you are in none of the teams that decide here" in alice
        mallory = self.text(browser, "mallory", change.get_absolute_url())
        assert 'name="action"' not in mallory

    def send(self, browser: Browser, who: str, change: OutOfBandChange, **form: Any) -> Any:
        return browser(who).post(change.get_absolute_url(), form, follow=True)

    def test_ignore(self, world: World, browser: Browser) -> None:
        change = moved(world)
        answer = self.send(browser, "bob", change, action="ignore", reason="We know <b>.")
        html = answer.content.decode()
        assert "Ignored, until something else is found." in html
        assert "We know &lt;b&gt;." in html
        change.refresh_from_db()
        assert change.answer == "ignored"

    def test_put_back(self, world: World, browser: Browser) -> None:
        change = moved(world)
        answer = self.send(browser, "bob", change, action="put_back", reason="Not ours.")
        assert "is having it put back" in answer.content.decode()
        assert Effect.objects.filter(kind=EffectKind.SET_ALIAS, status="waiting").count() == 1

    def test_adopt_leads_to_its_promotion(self, world: World, browser: Browser) -> None:
        change = moved(world)
        answer = self.send(browser, "alice", change, action="adopt", reason="The night shift.")
        promotion = Promotion.objects.get(retroactive=True)
        assert answer.redirect_chain[-1][0] == promotion.get_absolute_url()
        promotion = world.seal(promotion)
        html = self.text(browser, "bob", promotion.get_absolute_url())
        assert "Retroactive: it adopts what is live without a promotion" in html
        assert "Adopt in <strong>production</strong>" in html and "Run later" not in html
        assert "Adopt fraud-detector v3 in production" in self.text(browser, "bob", "/inbox/")
        html = self.text(browser, "bob", change.get_absolute_url())
        assert "which waits for approval" in html and 'name="action"' not in html
        world.approve(promotion)
        html = self.text(browser, "bob", promotion.get_absolute_url())
        assert "adopted: nothing was fired" in html and "Starting the workflow" not in html
        assert "Adopted" in self.text(browser, "bob", change.get_absolute_url())

    def test_refused_it_keeps_what_was_typed(self, world: World, browser: Browser) -> None:
        change = moved(world)
        client = browser("mallory")
        answer = client.post(
            change.get_absolute_url(), {"action": "put_back", "reason": "Because I can."}
        )
        assert answer.status_code == 409
        assert "none of the teams that decide here" in answer.content.decode()
        assert client.post(change.get_absolute_url(), {"action": "burn"}).status_code == 400
        assert client.get("/changes/99999/").status_code == 404
        change.refresh_from_db()
        assert (change.answer, Promotion.objects.filter(retroactive=True).exists()) == ("", False)

    def test_which_version_a_run_deployed_is_asked(self, world: World, browser: Browser) -> None:
        change = run_by_hand(world, "Deploy something to production")
        version = world.version(3)
        html = self.text(browser, "alice", change.get_absolute_url())
        assert "Which version is it?" in html and f'<option value="{version.pk}">v3' in html
        assert "mallory-gh" in html and "/actions/runs/555" in html
        assert "Ask to deploy fraud-detector v2 again" in html
        self.send(browser, "alice", change, action="adopt", reason="Mine.", version=version.pk)
        assert Promotion.objects.get(retroactive=True).version == version

    def test_constant_queries(
        self, world: World, browser: Browser, django_assert_max_num_queries: Any
    ) -> None:
        moved(world)
        client = browser("bob")
        client.get("/")
        with django_assert_max_num_queries(42):
            client.get("/")


class TestApi:
    def test_list_and_answer(self, world: World, api_of: Api) -> None:
        change = moved(world)
        status, body = api_of("mallory")("GET", "changes?open=true")
        assert status == 200
        [line] = body["changes"]
        assert (line["id"], line["model"], line["environment"]) == (
            change.pk,
            "fraud-detector",
            "production",
        )
        assert (line["kind"], line["live"], line["version"]) == ("alias", 2, 3)
        assert line["page"].endswith(change.get_absolute_url())
        status, body = api_of("bob")("POST", f"changes/{change.pk}/ignore", {"reason": "Known."})
        assert (status, body["answer"], body["answered_by"]) == (200, "ignored", "bob")
        assert api_of("bob")("GET", "changes?open=true")[1] == {"changes": [], "older": None}
        assert len(api_of("bob")("GET", "changes?open=false")[1]["changes"]) == 1

    def test_adopt_and_put_back(self, world: World, api_of: Api) -> None:
        change = moved(world)
        path = f"changes/{change.pk}"
        status, body = api_of("alice")("POST", f"{path}/adopt", {"reason": "Ours."})
        assert (status, body["answer"]) == (200, "")
        promotion = Promotion.objects.get(retroactive=True)
        assert body["promotion"] == promotion.pk and "waits for approval" in body["under_way"]
        services.cancel(actor=world.person("alice"), via="api", promotion_id=promotion.pk)
        status, body = api_of("bob")("POST", f"{path}/put-back", {"reason": "No."})
        assert (status, body["answer"], body["promotion"]) == (200, "put_back", None)

    def test_refusals(self, world: World, api_of: Api) -> None:
        change = moved(world)
        path = f"changes/{change.pk}"
        why = {"reason": "Why not."}
        mallory, bob, alice = (api_of(name) for name in ("mallory", "bob", "alice"))
        for verb in ("ignore", "put-back"):
            refuses(
                lambda v=verb: mallory("POST", f"{path}/{v}", why),  # type: ignore[misc]
                403,
                "may_not_answer",
            )
        refuses(lambda: mallory("POST", f"{path}/adopt", why), 403, "may_not_request")
        refuses(
            lambda: bob("POST", f"{path}/ignore", {"reason": " "}),
            422,
            "reason_missing",
            "reason",
        )
        refuses(lambda: bob("POST", "changes/999999/ignore", why), 404, "unknown_change")
        refuses(lambda: bob("GET", "changes?opne=true"), 422, "malformed", "opne")
        refuses(
            lambda: alice("POST", f"{path}/adopt", {**why, "version": 2}),
            404,
            "unknown_version",
        )
