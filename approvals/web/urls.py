"""The pages' addresses."""

from __future__ import annotations

from django.urls import path, register_converter
from django.urls.converters import StringConverter

from approvals.web import (
    catalogue,
    changes,
    comparing,
    feeds,
    freezes,
    icon,
    inbox,
    insights,
    lanes,
    marks,
    overview,
    people,
    pipelines,
    policy,
    profile,
    promotions,
    restrictions,
    search,
    stream,
    timeline,
)


class NameConverter(StringConverter):
    """A registered model's name: MLflow allows all but slashes and colons, PostgreSQL all but NUL."""

    regex = r"[^/\x00]+"


register_converter(NameConverter, "name")

urlpatterns = [
    path("", overview.overview, name="overview"),
    path("models/<name:name>/", catalogue.model, name="model"),
    path("models/<name:name>/compare/", comparing.compare, name="compare"),
    path("models/<name:name>/versions/<int:number>/", catalogue.version, name="version"),
    path("promotions/<int:pk>/", promotions.promotion, name="promotion"),
    path("promotions/<int:pk>/facts/", promotions.facts, name="promotion_facts"),
    path("targets/<int:pk>/rollback/", catalogue.rollback, name="rollback"),
    path("targets/<int:pk>/marks/<int:version>/", marks.mark, name="mark"),
    path("restrictions/<str:action>/<int:pk>/", restrictions.restrict, name="restrict"),
    path("changes/<int:pk>/", changes.change, name="change"),
    path("freezes/", freezes.page, name="freezes"),
    path("inbox/decide/", inbox.decide, name="decide_many"),
    path("inbox/decide/<int:pk>/", inbox.decide_one, name="decide_one"),
    path("inbox/", inbox.inbox, name="inbox"),
    path("timeline/lanes/", lanes.lanes, name="lanes"),
    path("favicon.svg", icon.favicon, name="favicon"),
    path("live/", stream.live, name="live"),
    path("timeline/", timeline.timeline, name="timeline"),
    path("timeline/export.csv", timeline.export, {"suffix": "csv"}, name="export_csv"),
    path("timeline/export.jsonl", timeline.export, {"suffix": "jsonl"}, name="export_jsonl"),
    path("feeds/timeline.atom", feeds.atom, name="atom"),
    path("feeds/calendar.ics", feeds.calendar, name="calendar"),
    path("feeds/addresses/", feeds.addresses, name="feed_addresses"),
    path("feeds/<str:key>/timeline.atom", feeds.atom, name="private_atom"),
    path("feeds/<str:key>/calendar.ics", feeds.calendar, name="private_calendar"),
    path("insights/", insights.insights, name="insights"),
    path("insights/promotions/", insights.counted_rows, name="counted"),
    path("pipelines/", pipelines.pipelines, name="pipelines"),
    path("search/", search.search, name="search"),
    path("people/", people.people, name="people"),
    path("policy/", policy.policy, name="policy"),
    path("policy/simulate/", policy.policy_simulate, name="policy_simulate"),
    path("profile/", profile.profile, name="profile"),
    path("profile/preferences/", profile.preferences, name="preferences"),
    path("profile/looks/", profile.looks, name="looks"),
    path("profile/theme/", profile.theme, name="theme"),
    path("profile/delegation/", profile.delegation, name="delegation"),
    path("profile/sessions/", profile.end_sessions, name="end_sessions"),
    path("profile/tokens/", profile.make_token, name="make_token"),
    path("profile/tokens/revoke/", profile.revoke_token, name="revoke_token"),
    path("help/keys/", search.keys, name="keys"),
    path("sandbox/sign-in/<str:username>/", people.sandbox_sign_in, name="sandbox_sign_in"),
]
