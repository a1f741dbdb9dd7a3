"""The pages' addresses."""

from __future__ import annotations

from django.urls import path

from approvals.web import catalogue, inbox, overview, people, promotions

urlpatterns = [
    path("", overview.overview, name="overview"),
    path("models/<str:name>/", catalogue.model, name="model"),
    path("models/<str:name>/versions/<int:number>/", catalogue.version, name="version"),
    path("promotions/<int:pk>/", promotions.promotion, name="promotion"),
    path("promotions/<int:pk>/facts/", promotions.facts, name="promotion_facts"),
    path("targets/<int:pk>/rollback/", catalogue.rollback, name="rollback"),
    path("inbox/", inbox.inbox, name="inbox"),
    path("timeline/", inbox.timeline, name="timeline"),
    path("profile/", people.profile, name="profile"),
    path("sandbox/sign-in/<str:username>/", people.sandbox_sign_in, name="sandbox_sign_in"),
]
