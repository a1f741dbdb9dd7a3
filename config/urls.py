"""The address table. Pages live in ``approvals.web``, the services' doors in ``integrations``."""

from __future__ import annotations

from allauth.account.decorators import secure_admin_login
from django.contrib import admin
from django.contrib.auth.decorators import login_not_required
from django.urls import include, path
from django.views.generic import RedirectView, TemplateView

from config import health
from integrations import status_page

# The same sign-in, with its limits, for the administration.
admin.site.login = secure_admin_login(admin.site.login)  # type: ignore[method-assign]

urlpatterns = [
    path("healthz", health.healthz, name="healthz"),
    path("readyz", health.readyz, name="readyz"),
    path("api/v1/", include("approvals.api.urls", namespace="api")),
    path("status/", status_page.status, name="status"),
    path("status/test/<str:service>/", status_page.test, name="status_test"),
    path("status/retry/<int:effect>/", status_page.retry, name="status_retry"),
    path("integrations/", include("integrations.urls")),
    path("admin/", admin.site.urls),
    # No password is reset by mail: nobody is told that a message was sent when none was.
    path(
        "accounts/password/reset/",
        login_not_required(TemplateView.as_view(template_name="account/no_mail.html")),
    ),
    path("accounts/email/", RedirectView.as_view(pattern_name="profile")),
    path("accounts/", include("allauth.account.urls")),
    path("", include("approvals.web.urls")),
]
