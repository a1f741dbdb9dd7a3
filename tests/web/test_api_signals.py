"""Signals over the API: both forms, both ways to prove who comes, one result for each reading."""

from __future__ import annotations

import hashlib
import hmac
import json
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone
from pytest_django.fixtures import Settings

from approvals import services
from approvals.models import Promotion, Signal
from approvals.services import measurements
from tests.approvals.signal_world import alerts, rule, rules, two_live
from tests.web.caller import rows
from tests.web.conftest import Api
from tests.world import World

ONE = {
    "model": "fraud-detector",
    "environment": "production",
    "signal": "error_rate",
    "value": "0.09",
}
SECRET = "a-shared-secret-of-some-length"


def firing(started: datetime, status: str = "firing", **more: Any) -> dict[str, Any]:
    """One alert as Alertmanager 0.27 sends it."""
    return {
        "status": status,
        "labels": {
            "alertname": "HighErrorRate",
            "model": "fraud-detector",
            "environment": "production",
            "severity": "page",
            **more.get("labels", {}),
        },
        "annotations": {"summary": "Too many errors", **more.get("annotations", {})},
        "startsAt": started.isoformat(),
        "endsAt": more.get("ends", "0001-01-01T00:00:00Z"),
        "generatorURL": "http://prometheus.example/graph",
        "fingerprint": more.get("fingerprint", "c2f4a0d1e5b60718"),
    }


def webhook(*found: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {
        "version": "4",
        "groupKey": '{}:{alertname="HighErrorRate"}',
        "truncatedAlerts": 0,
        "status": "firing",
        "receiver": "countersign",
        "groupLabels": {"alertname": "HighErrorRate"},
        "commonLabels": {},
        "commonAnnotations": {},
        "externalURL": "http://alertmanager.example",
        "alerts": list(found),
        **more,
    }


class TestThePlainForm:
    def test_one_reading_rolls_back(self, world: World, api_of: Api) -> None:
        two_live(world)
        rules(world, rule())
        status, said = api_of("ci")("POST", "signals", {**ONE, "source": "Prometheus", "key": "1"})
        [result] = said["results"]
        promotion = Promotion.objects.get(kind="rollback")
        assert (status, result["status"], result["did"]) == (200, "taken", "rolled_back")
        assert result["message"].endswith(f"by itself (promotion {promotion.pk}).")
        signal = Signal.objects.get()
        assert (signal.value, signal.source, signal.via, str(signal.recorded_by)) == (
            "0.09",
            "Prometheus",
            "api",
            "CI",
        )

    def test_several_and_each_for_itself(self, world: World, api_of: Api) -> None:
        two_live(world)
        rules(world, rule("alert"))
        late = (timezone.now() - timedelta(hours=1)).isoformat()
        sent = [
            {**ONE, "value": 0.01},
            {**ONE, "value": "NaN"},
            {**ONE, "environment": "moon"},
            {**ONE, "observed_at": late},
            {**ONE, "colour": "red"},
            "nonsense",
            {**ONE, "key": "k"},
            {**ONE, "key": "k"},
        ]
        status, said = api_of("ci")("POST", "signals", {"signals": sent})
        assert status == 200
        assert [(each["status"], each["code"], each["did"]) for each in said["results"]] == [
            ("taken", "", ""),
            ("refused", "bad_value", ""),
            ("refused", "unknown_target", ""),
            ("refused", "too_old", ""),
            ("refused", "malformed", ""),
            ("refused", "malformed", ""),
            ("taken", "", "alerted"),
            ("repeated", "", ""),
        ]
        assert all(each["message"] for each in said["results"])
        assert said["results"][2]["environment"] == "moon"
        assert list(Signal.objects.order_by("id").values_list("value", flat=True)) == [
            "0.01",
            "0.09",
        ]

    @pytest.mark.parametrize(
        ("change", "code"),
        [
            ({"value": True}, "malformed"),
            ({"value": None}, "malformed"),
            ({"value": [1]}, "malformed"),
            ({"value": 1e300}, "bad_value"),
            ({"value": "Infinity"}, "bad_value"),
            ({"observed_at": 1763650000}, "malformed"),
            ({"observed_at": "2026-11-20T14:05:00"}, "malformed"),
            ({"observed_at": "2099-01-01T00:00:00Z"}, "in_the_future"),
            ({"signal": ""}, "malformed"),
            ({"signal": "\x00"}, "bad_signal"),
            ({"model": "nope\x00"}, "unknown_target"),
            ({"key": "x" * 300}, "bad_key"),
        ],
    )
    def test_when_all_are_refused(
        self, world: World, api_of: Api, change: dict[str, Any], code: str
    ) -> None:
        two_live(world)
        rules(world, rule())
        ci = api_of("ci")
        before = rows()
        status, said = ci("POST", "signals", {**ONE, **change})
        assert (status, said["code"], said["results"][0]["code"]) == (422, code, code), said
        assert rows() == before and not Signal.objects.exists()

    def test_nan_as_a_json_number(self, world: World, api_of: Api) -> None:
        two_live(world)
        ci = api_of("ci")
        before = rows()
        for text in ("NaN", "Infinity", "-Infinity", "1e400"):
            body = json.dumps(ONE).replace('"0.09"', text)
            answer = ci.raw("POST", "signals", body)
            assert (answer.status_code, answer.json()["code"]) == (422, "bad_value"), text
        assert rows() == before

    @pytest.mark.parametrize(
        ("body", "field"),
        [
            ({"signals": []}, "signals"),
            ({"signals": [ONE] * 101}, "signals"),
            ({"signals": ONE}, "signals"),
            ({"signals": [ONE], "more": 1}, "more"),
            ([], "body"),
            ({"alerts": [], "version": "4"}, "alerts"),
            ({"alerts": [{}], "version": "3"}, "version"),
            ({"alerts": [{}]}, "version"),
        ],
    )
    def test_bodies_of_neither_form(self, world: World, api_of: Api, body: Any, field: str) -> None:
        ci = api_of("ci")
        before = rows()
        status, said = ci("POST", "signals", body)
        assert (status, said["code"], said["field"]) == (422, "malformed", field), said
        assert rows() == before and not Signal.objects.exists()

    def test_a_flood(self, world: World, api_of: Api, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(measurements, "PER_MINUTE", 2)
        two_live(world)
        rules(world, rule(times=9))
        sent = json.dumps({"signals": [{**ONE, "key": f"k{index}"} for index in range(4)]})
        answer = api_of("ci").raw("POST", "signals", sent)
        assert (answer.status_code, answer.json()["code"]) == (429, "too_many_signals")
        assert 1 <= int(answer.headers["Retry-After"]) <= 61
        assert [each["status"] for each in answer.json()["results"]] == ["taken"] * 2 + [
            "refused"
        ] * 2
        assert Signal.objects.count() == 2


class TestAlertmanager:
    def test_firing_repeated_and_resolved(self, world: World, api_of: Api) -> None:
        two_live(world)
        rules(world, rule("alert", above="0", signal="HighErrorRate"))
        ci, started = api_of("ci"), timezone.now()
        status, said = ci("POST", "signals", webhook(firing(started)))
        assert (status, said["results"][0]["did"]) == (200, "alerted")
        status, said = ci("POST", "signals", webhook(firing(started)))
        assert (status, said["results"][0]["status"]) == (200, "repeated")
        ended = firing(started, "resolved", ends=timezone.now().isoformat())
        status, said = ci("POST", "signals", webhook(ended))
        assert (status, said["results"][0]["status"], said["results"][0]["did"]) == (
            200,
            "taken",
            "",
        )
        assert list(Signal.objects.order_by("id").values_list("name", "value", "resolved")) == [
            ("HighErrorRate", "1", False),
            ("HighErrorRate", "0", True),
        ]
        assert len(alerts()) == 1

    def test_the_value_and_the_name_are_its_own(self, world: World, api_of: Api) -> None:
        two_live(world)
        rules(world, rule())
        told = firing(
            timezone.now(),
            labels={"signal": "error_rate"},
            annotations={"value": "0.0723"},
        )
        status, said = api_of("ci")("POST", "signals", webhook(told))
        assert (status, said["results"][0]["did"]) == (200, "rolled_back")
        assert Signal.objects.get().value == "0.0723"

    def test_what_is_over_rolls_nothing_back_though_its_value_was_bad(
        self, world: World, api_of: Api
    ) -> None:
        two_live(world)
        rules(world, rule())
        told = firing(
            timezone.now(),
            "resolved",
            labels={"signal": "error_rate"},
            annotations={"value": "0.9"},
            ends=timezone.now().isoformat(),
        )
        api_of("ci")("POST", "signals", webhook(told))
        assert Signal.objects.count() == 1 and not Promotion.objects.filter(kind="rollback")

    def test_what_began_before_it_went_live_is_noted_only(self, world: World, api_of: Api) -> None:
        two_live(world)
        rules(world, rule(above="0", signal="HighErrorRate"))
        told = firing(timezone.now() - timedelta(hours=2))
        status, said = api_of("ci")("POST", "signals", webhook(told))
        assert (status, said["results"][0]["did"]) == (200, "noted")
        assert not Promotion.objects.filter(kind="rollback").exists()

    def test_what_misses_something(self, world: World, api_of: Api) -> None:
        two_live(world)
        whole = firing(timezone.now())
        labels = {name: each for name, each in whole["labels"].items() if name != "environment"}
        sent = webhook(
            {**whole, "labels": labels},
            {**whole, "fingerprint": ""},
            {**whole, "annotations": {"value": "7.2%"}},
            {**whole, "startsAt": "soon"},
        )
        status, said = api_of("ci")("POST", "signals", sent)
        assert (status, said["code"]) == (422, "all_refused")
        assert [each["code"] for each in said["results"]] == [
            "malformed",
            "malformed",
            "bad_value",
            "malformed",
        ]
        assert "labels.environment" in said["results"][0]["message"]
        assert not Signal.objects.exists()


class TestWhoComes:
    def sign(self, body: str, secret: str = SECRET) -> dict[str, str]:
        made = hmac.new(secret.encode(), body.encode(), hashlib.sha256).hexdigest()
        return {"X-Countersign-Signature": f"sha256={made}"}

    def post(self, body: str, headers: dict[str, str]) -> Any:
        return Client(enforce_csrf_checks=True).generic(
            "POST", "/api/v1/signals", body, content_type="application/json", headers=headers
        )

    def test_a_signature(self, world: World, settings: Settings) -> None:
        settings.SIGNALS_SECRET = SECRET
        two_live(world)
        rules(world, rule())
        body = json.dumps({**ONE, "observed_at": timezone.now().isoformat()})
        answer = self.post(body, self.sign(body))
        assert (answer.status_code, answer.json()["results"][0]["did"]) == (200, "rolled_back")
        assert Signal.objects.get().recorded_by is None
        again = self.post(body, self.sign(body)).json()["results"][0]
        assert again["status"] == "repeated" and Signal.objects.count() == 1

    def test_a_signed_reading_that_could_be_sent_again(
        self, world: World, settings: Settings
    ) -> None:
        settings.SIGNALS_SECRET = SECRET
        two_live(world)
        body = json.dumps(ONE)
        answer = self.post(body, self.sign(body))
        assert (answer.status_code, answer.json()["code"]) == (422, "bad_time")
        assert not Signal.objects.exists()

    def test_signatures_that_open_nothing(self, world: World, settings: Settings) -> None:
        two_live(world)
        body = json.dumps({**ONE, "key": "1"})
        settings.SIGNALS_SECRET = SECRET
        given = [
            self.sign(body + " "),
            self.sign(body, "another"),
            {"X-Countersign-Signature": ""},
            {"X-Countersign-Signature": "sha256="},
            {"X-Countersign-Signature": "sha1=00"},
            {"X-Countersign-Signature": "ü"},
        ]
        before = rows()
        for headers in given:
            answer = self.post(body, headers)
            assert (answer.status_code, answer.json()["code"]) == (401, "bad_signature"), headers
        settings.SIGNALS_SECRET = ""  # then an empty secret must not open the door either
        for headers in (self.sign(body, ""), self.sign(body)):
            assert self.post(body, headers).status_code == 401
        assert self.post(body, {}).json()["code"] == "token_unknown"
        assert rows() == before and not Signal.objects.exists()

    def test_the_signature_opens_nothing_else(self, world: World, settings: Settings) -> None:
        settings.SIGNALS_SECRET = SECRET
        answer = Client().get("/api/v1/promotions", headers=self.sign(""))
        assert answer.status_code == 401

    def test_whoever_is_in_no_team_here(self, world: World, api_of: Api) -> None:
        two_live(world)
        rules(world, rule())
        status, said = api_of("mallory")("POST", "signals", ONE)
        assert (status, said["code"]) == (422, "may_not_report")
        assert not Signal.objects.exists()

    def test_a_person_who_decides_may(self, world: World, api_of: Api) -> None:
        two_live(world)
        assert api_of("bob")("POST", "signals", ONE)[0] == 200
        assert services.approve_due() == 0
