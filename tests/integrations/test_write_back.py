"""What a real MLflow server says after a version went live, whatever breaks in between."""

from __future__ import annotations

import time
import uuid
import warnings
from datetime import UTC
from typing import Any

import pytest
from django.db import connection, transaction
from django.test import Client
from django.utils import timezone
from pytest_django.fixtures import Settings

from approvals.models import (
    Deployment,
    Effect,
    Event,
    ModelVersion,
    Promotion,
    RegisteredModel,
    Target,
)
from approvals.models.outbox import EffectKind
from approvals.narrative import sentence_of
from approvals.services.live import went_live
from approvals.services.locks import lock_deployment
from approvals.states import EffectStatus
from integrations.effects import HANDLERS
from integrations.mlflow.sync import sync
from integrations.outbox import deliver_due
from tests.integrations.mlflow_fixtures import counting_proxy
from tests.integrations.registry import Registry
from tests.world import World

ALIAS, TAG, STAGE, COPY = (
    "registered-models/alias",
    "model-versions/set-tag",
    "model-versions/transition-stage",
    "model-versions/create",
)


class Place:
    """Production of fraud-detector, under a registry name of this test's own, with versions really in MLflow."""

    def __init__(self, world: World, registry: Registry) -> None:
        self.world, self.registry, self.client = world, registry, registry.client
        self.name = f"fraud-{uuid.uuid4().hex[:8]}"
        self.prod = f"prod.{self.name}"
        RegisteredModel.objects.filter(name="fraud-detector").update(registry_name=self.name)
        self.wants(previous_alias="previous")

    def wants(self, environment: str = "production", **write_back: Any) -> None:
        Target.objects.filter(model__name="fraud-detector", environment__name=environment).update(
            write_back=write_back
        )

    def version(self) -> ModelVersion:
        """A new one."""
        number = self.registry.register(self.name, metrics={"accuracy": 0.9})
        sync(watermark=0, full=True)
        return ModelVersion.objects.get(
            model__registry_name=self.name, number=number, deleted_at=None
        )

    def goes_live(self, version: ModelVersion, environment: str = "production") -> Deployment:
        """Live, and what is to be written to the registry waits."""
        deployment = self.world.make_live(version, environment)
        Effect.objects.exclude(kind=EffectKind.SET_ALIAS).update(status=EffectStatus.DONE)
        return deployment

    def deliver(self) -> None:
        """Deliver what waits to be written, pauses cut short."""
        Effect.objects.exclude(kind=EffectKind.SET_ALIAS).update(status=EffectStatus.DONE)
        Effect.objects.filter(status=EffectStatus.WAITING).update(due_at=timezone.now())
        deliver_due(HANDLERS, seconds=20)

    def written(self, version: ModelVersion, environment: str = "production") -> Deployment:
        deployment = self.goes_live(version, environment)
        self.deliver()
        assert self.effect(deployment).status == EffectStatus.DONE, self.effect(
            deployment
        ).last_error
        return deployment

    def effect(self, deployment: Deployment) -> Effect:
        return Effect.objects.get(kind=EffectKind.SET_ALIAS, promotion=deployment.promotion)

    def event(self, deployment: Deployment) -> Event:
        """The only one."""
        return Event.objects.get(kind="registry.written", promotion=deployment.promotion)

    def aliases(self, name: str = "") -> dict[str, int]:
        found = self.client.get_registered_model(name or self.name).aliases
        return {alias: int(number) for alias, number in found.items()}

    def tags(self, number: int, name: str = "") -> dict[str, str]:
        return dict(self.client.get_model_version(name or self.name, str(number)).tags)

    def stage(self, number: int) -> str:
        return str(self.client.get_model_version(self.name, str(number)).current_stage)

    def copies(self) -> list[tuple[int, str]]:
        """(number, source) of each version in the production-only model."""
        found = self.client.search_model_versions(f"name = '{self.prod}'")
        return sorted((int(each.version), str(each.source)) for each in found)

    def is_copied(self) -> bool:
        return bool(self.client.search_registered_models(f"name = '{self.prod}'"))


@pytest.fixture
def place(committed_world: World, registry: Registry, settings: Settings) -> Place:
    settings.SLACK_BOT_TOKEN = ""
    return Place(committed_world, registry)


def test_previous_then_champion_then_tags(
    place: Place, mlflow_server: str, settings: Settings
) -> None:
    first = place.written(place.version())
    assert place.aliases() == {"champion": 1}, "nothing was live before"
    assert "previous" not in place.event(first).data

    second = place.goes_live(place.version())
    with counting_proxy(mlflow_server) as proxy:
        seen: list[dict[str, int]] = []
        proxy.before = lambda end: seen.append(place.aliases())
        settings.MLFLOW_TRACKING_URI = proxy.url
        place.deliver()
    settings.MLFLOW_TRACKING_URI = mlflow_server
    assert proxy.posts == [ALIAS, ALIAS, TAG, TAG, TAG]
    assert seen[1] == {"champion": 1, "previous": 1}, "previous is there before champion moves"
    assert seen[2] == {"champion": 2, "previous": 1}
    promotion = second.promotion
    assert promotion.seal and second.finished_at
    assert place.tags(2) == {
        "countersign.promotion": str(promotion.pk),
        "countersign.seal": promotion.seal,
        "countersign.live_in.production": second.finished_at.astimezone(UTC).isoformat(
            timespec="seconds"
        ),
    }
    assert place.tags(2)["countersign.live_in.production"].endswith("+00:00")
    event = place.event(second)
    assert (event.data["alias"], event.data["version"], event.data["before"]) == ("champion", 2, 1)
    assert event.data["previous"] == {"alias": "previous", "version": 1, "before": None}
    assert event.data["tags"] == place.tags(2)
    assert sentence_of(event) == (
        "Written to MLflow: previous now points to v1; champion now points to v2 (it was v1); the version is "
        "tagged with promotion, seal and time"
    )
    place.written(place.version())
    assert place.aliases() == {"champion": 3, "previous": 2}
    assert place.tags(1)["countersign.promotion"] == str(first.promotion_id)
    assert place.stage(3) == "None" and not place.is_copied(), "neither was asked for"


def test_a_second_delivery_writes_and_tells_nothing(
    place: Place, mlflow_server: str, settings: Settings
) -> None:
    place.wants(previous_alias="previous", stage="Production", copy_to=place.prod)
    place.written(place.version())
    second = place.written(place.version())
    Effect.objects.filter(pk=place.effect(second).pk).update(status=EffectStatus.WAITING)
    with counting_proxy(mlflow_server) as proxy:
        settings.MLFLOW_TRACKING_URI = proxy.url
        place.deliver()
    assert place.effect(second).status == EffectStatus.DONE
    assert proxy.posts == [] and proxy.paths
    assert place.event(second)


def test_names_as_configured(place: Place) -> None:
    Target.objects.update(alias="winner")
    place.wants(previous_alias="runner-up", tags=False)
    place.written(place.version())
    place.written(place.version())
    assert place.aliases() == {"winner": 2, "runner-up": 1}
    assert place.tags(2) == {}


def test_nothing_configured_writes_nothing(place: Place) -> None:
    Target.objects.update(alias="", write_back={})
    place.goes_live(place.version())
    assert not Effect.objects.filter(kind=EffectKind.SET_ALIAS).exists()


def test_a_rollback_points_previous_to_what_was_rolled_back(place: Place) -> None:
    one, two = place.version(), place.version()
    place.written(one)
    place.written(two)
    back = place.written(one)
    assert place.aliases() == {"champion": 1, "previous": 2}
    assert place.tags(1)["countersign.promotion"] == str(back.promotion_id)


def test_the_stage_where_configured(place: Place) -> None:
    place.wants(stage="Production")
    place.written(place.version())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        second = place.written(place.version())
    assert (place.stage(1), place.stage(2)) == ("Archived", "Production")
    assert place.event(second).data["stage"] == {"name": "Production", "before": "None"}
    assert "previous" not in place.aliases()


def test_stages_alone_for_those_who_still_use_them(place: Place) -> None:
    Target.objects.update(alias="")
    place.wants(stage="Staging", tags=False)
    only = place.written(place.version())
    assert (place.stage(1), place.aliases(), place.tags(1)) == ("Staging", {}, {})
    assert sentence_of(place.event(only)) == "Written to MLflow: its stage is Staging"


def test_a_copy_in_the_production_model(place: Place) -> None:
    place.wants(copy_to=place.prod, tags=False)
    one = place.version()
    place.client.set_model_version_tag(place.name, "1", "team", "risk")
    first = place.written(one)
    assert place.copies() == [(1, f"models:/{place.name}/1")]
    assert place.aliases(place.prod) == {"champion": 1}
    tags = place.tags(1, place.prod)
    assert tags["countersign.promotion"] == str(first.promotion_id)
    assert (tags["countersign.seal"], tags["team"]) == (first.promotion.seal, "risk")
    copy = place.client.get_model_version(place.prod, "1")
    assert copy.run_id == one.run_id and copy.status == "READY"
    assert place.client.get_model_version_download_uri(
        place.prod, "1"
    ) == place.client.get_model_version_download_uri(place.name, "1")

    second = place.written(place.version())
    assert place.copies()[1:] == [(2, f"models:/{place.name}/2")]
    assert place.aliases(place.prod) == {"champion": 2}
    assert place.event(second).data["copy"] == {
        "model": place.prod,
        "alias": "champion",
        "version": 2,
        "before": 1,
    }
    back = place.written(one)
    assert place.copies()[2:] == [(3, f"models:/{place.name}/1")], "one copy a promotion"
    assert place.aliases(place.prod) == {"champion": 3}
    assert f"copied to {place.prod} as v3" in sentence_of(place.event(back))


def test_a_copy_that_somebody_made_by_hand_is_not_taken_for_ours(place: Place) -> None:
    """copy_model_version copies tags, so another version's tags prove nothing."""
    first = place.written(place.version())
    place.client.create_registered_model(place.prod)
    place.client.copy_model_version(f"models:/{place.name}/1", place.prod)
    assert place.tags(1, place.prod)["countersign.promotion"] == str(first.promotion_id)
    place.wants(copy_to=place.prod)
    two = place.version()
    for name, value in place.tags(1).items():
        place.client.set_model_version_tag(place.name, str(two.number), name, value)
    second = place.written(two)
    assert place.copies()[1:] == [(2, f"models:/{place.name}/2")]
    assert place.tags(2, place.prod)["countersign.promotion"] == str(second.promotion_id)
    assert place.aliases(place.prod) == {"champion": 2}


PARTS = [
    (TAG, "the tags (the alias previous and the alias champion: done)"),
    (STAGE, "the stage Production (the alias previous, the alias champion and the tags: done)"),
    (COPY, "the copy in "),
]


@pytest.mark.parametrize(("end", "sentence"), PARTS)
def test_cut_off_in_the_middle_and_delivered_later(
    place: Place, mlflow_server: str, settings: Settings, client: Client, end: str, sentence: str
) -> None:
    place.wants(previous_alias="previous", stage="Production", copy_to=place.prod)
    place.written(place.version())
    second = place.goes_live(place.version())
    with counting_proxy(mlflow_server) as proxy:
        settings.MLFLOW_TRACKING_URI = proxy.url
        proxy.refused = {end}
        place.deliver()
        effect = place.effect(second)
        assert effect.status == EffectStatus.WAITING
        assert effect.last_error.startswith(f"Not written yet: {sentence}")
        assert place.aliases() == {"champion": 2, "previous": 1}
        assert not Event.objects.filter(
            kind="registry.written", promotion=second.promotion
        ).exists(), "told once it is whole"
        client.force_login(place.world.person("alice"))
        page = client.get(second.promotion.get_absolute_url()).content.decode()
        assert "Not written yet: " in page and "it is kept and tried again" in page
        assert "previous, champion, tags, stage Production and a copy in prod." in page

        proxy.refused, proxy.posts[:] = set(), []
        place.deliver()
    assert place.effect(second).status == EffectStatus.DONE
    assert ALIAS not in proxy.posts[:1], "what was written is not written again"
    assert place.aliases() == {"champion": 2, "previous": 1}
    assert (place.stage(1), place.stage(2)) == ("Archived", "Production")
    assert place.tags(2)["countersign.promotion"] == str(second.promotion_id)
    assert [number for number, _ in place.copies()] == [1, 2]
    assert place.aliases(place.prod) == {"champion": 2}
    data = place.event(second).data
    assert (data["version"], data["before"]) == (2, 1), "from where it really moved"
    assert data["previous"] == {"alias": "previous", "version": 1, "before": None}
    assert data["stage"] == {"name": "Production", "before": "None"}


@pytest.mark.parametrize("end", [ALIAS, TAG, STAGE, COPY])
def test_an_answer_that_was_lost(
    place: Place, mlflow_server: str, settings: Settings, end: str
) -> None:
    place.wants(previous_alias="previous", stage="Production", copy_to=place.prod)
    place.written(place.version())
    second = place.goes_live(place.version())
    with counting_proxy(mlflow_server) as proxy:
        settings.MLFLOW_TRACKING_URI = proxy.url
        proxy.unanswered = {end}
        place.deliver()
        effect = place.effect(second)
        if end == COPY:
            assert effect.status == EffectStatus.WAITING
            assert "looked for before it is made again" in effect.last_error
            assert (effect.due_at - timezone.now()).total_seconds() > 20, "time to appear"
            assert len(place.copies()) == 2
            place.deliver()
        assert proxy.unanswered == set()
    assert place.effect(second).status == EffectStatus.DONE
    assert proxy.posts.count(COPY) == 1
    assert [number for number, _ in place.copies()] == [1, 2]
    assert place.aliases() == {"champion": 2, "previous": 1}
    assert place.aliases(place.prod) == {"champion": 2}
    assert place.event(second).data["before"] == 1
    assert place.event(second).data["copy"]["version"] == 2


def test_an_old_effect_after_something_newer_is_live(
    place: Place, mlflow_server: str, settings: Settings
) -> None:
    place.wants(previous_alias="previous", stage="Production", copy_to=place.prod)
    first = place.goes_live(place.version())
    place.goes_live(place.version())
    place.deliver()
    assert place.aliases() == {"champion": 2, "previous": 1}
    assert (place.stage(1), place.tags(1)) == ("None", {})
    assert place.copies() == [(1, f"models:/{place.name}/2")]
    assert place.effect(first).status == EffectStatus.DONE
    assert not Event.objects.filter(kind="registry.written", promotion=first.promotion).exists()

    Effect.objects.filter(pk=place.effect(first).pk).update(status=EffectStatus.WAITING)
    with counting_proxy(mlflow_server) as proxy:
        settings.MLFLOW_TRACKING_URI = proxy.url
        place.deliver()
    assert proxy.paths == []
    assert place.aliases() == {"champion": 2, "previous": 1}


def test_overtaken_in_the_middle(place: Place, mlflow_server: str, settings: Settings) -> None:
    """Asked again right before each write, not only at the start; what was written is told."""
    place.wants(previous_alias="previous", stage="Production", copy_to=place.prod)
    place.written(place.version())
    second = place.goes_live(place.version())
    three = place.version()
    with counting_proxy(mlflow_server) as proxy:
        settings.MLFLOW_TRACKING_URI = proxy.url
        proxy.refused = {TAG}
        place.deliver()
        assert place.effect(second).status == EffectStatus.WAITING
        third = place.goes_live(three)
        proxy.refused, proxy.posts[:] = set(), []
        place.deliver()
    assert place.tags(2) == {} and place.stage(2) == "None"
    assert [source for _, source in place.copies()] == [
        f"models:/{place.name}/1",
        f"models:/{place.name}/3",
    ]
    assert place.aliases() == {"champion": 3, "previous": 2}
    data = place.event(second).data
    assert (data["version"], data["before"]) == (2, 1)
    assert "tags" not in data and "copy" not in data and "stage" not in data
    assert "then something newer went live" in sentence_of(place.event(second))
    assert (place.event(third).data["version"], place.event(third).data["before"]) == (3, 2)


def test_the_live_version_changes_between_two_writes(
    place: Place, mlflow_server: str, settings: Settings
) -> None:
    place.wants(previous_alias="previous", copy_to=place.prod)
    first = place.written(place.version())
    second = place.goes_live(place.version())
    asked = Target.objects.filter(pk=second.target_id)
    with counting_proxy(mlflow_server) as proxy:
        settings.MLFLOW_TRACKING_URI = proxy.url

        def roll_back(end: str) -> None:
            """The moment before the alias moves; in the proxy's own thread."""
            if len(proxy.posts) == 2:
                asked.update(live_deployment=first)
                connection.close()

        proxy.before = roll_back
        place.deliver()
    assert proxy.posts == [ALIAS, ALIAS]
    assert place.effect(second).status == EffectStatus.DONE
    assert place.tags(2) == {} and len(place.copies()) == 1


def test_the_former_version_was_deleted(place: Place) -> None:
    place.written(place.version())
    two, three = place.version(), place.version()
    place.written(two)
    place.goes_live(three)
    place.client.delete_model_version(place.name, "2")
    place.deliver()
    assert place.aliases() == {"champion": 3, "previous": 1}
    [event] = Event.objects.filter(kind="registry.written").order_by("-id")[:1]
    assert "previous" not in event.data
    assert "previous stayed where it was: v2, which was live before, was deleted" in sentence_of(
        event
    )


def test_another_version_under_the_same_number(place: Place) -> None:
    deployment = place.goes_live(place.version())
    place.registry.delete(place.name)
    time.sleep(0.002)
    place.registry.register(place.name, metrics={"accuracy": 0.1})
    place.deliver()
    effect = place.effect(deployment)
    assert effect.status == EffectStatus.FAILED
    assert "is not the one that went live" in effect.last_error
    assert place.aliases() == {} and place.tags(1) == {}


def test_a_version_in_two_environments_tells_of_the_last_promotion(place: Place) -> None:
    one = place.version()
    staged = place.goes_live(one, "staging")
    live = place.goes_live(one)
    # The later one is written first: each target has a lane of its own.
    Effect.objects.filter(pk=place.effect(staged).pk).update(status=EffectStatus.FAILED)
    place.deliver()
    Effect.objects.filter(pk=place.effect(staged).pk).update(status=EffectStatus.WAITING)
    place.deliver()
    assert place.aliases() == {"champion": 1, "staging": 1}
    tags = place.tags(1)
    assert tags["countersign.promotion"] == str(live.promotion_id)
    assert tags["countersign.seal"] == live.promotion.seal
    assert {"countersign.live_in.staging", "countersign.live_in.production"} <= tags.keys()


def test_what_was_adopted_is_written_back_as_well(place: Place) -> None:
    place.written(place.version())
    two = place.version()
    place.client.set_registered_model_alias(place.name, "champion", "2")
    promotion = place.world.request(two)
    deployment = place.world.approve(promotion)
    # Whatever verb adopts it: what counts is that it went live, without a dispatch that could tell the former.
    Promotion.objects.filter(pk=promotion.pk).update(retroactive=True)
    Deployment.objects.filter(pk=deployment.pk).update(status="running", previous=None)
    with transaction.atomic():
        went_live(lock_deployment(deployment.pk), timezone.now())
    place.deliver()
    assert place.aliases() == {"champion": 2, "previous": 1}
    assert place.tags(2)["countersign.promotion"] == str(promotion.pk)
    assert "champion points to v2, as before" in sentence_of(place.event(deployment))


def test_forbidden_there_is_kept_and_visible(
    place: Place, mlflow_server: str, settings: Settings
) -> None:
    """No right to write to the production-only model: a 403 for the copy alone."""
    place.wants(copy_to=place.prod)
    deployment = place.goes_live(place.version())
    with counting_proxy(mlflow_server) as proxy:
        settings.MLFLOW_TRACKING_URI = proxy.url
        proxy.forbidden = {COPY}
        place.deliver()
        effect = place.effect(deployment)
        assert effect.status == EffectStatus.WAITING
        assert effect.last_error.startswith(f"Not written yet: the copy in {place.prod} (")
        assert "MLflow refused us (401 or 403)" in effect.last_error
        proxy.forbidden = set()
        place.deliver()
    assert place.effect(deployment).status == EffectStatus.DONE
    assert place.aliases(place.prod) == {"champion": 1}
