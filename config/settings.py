"""Django's settings. Everything that differs between installations comes from the environment.

``docs/install.md`` lists the variables; ``config/environment.py`` reads them.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import dj_database_url

from config.environment import (
    Misconfigured,
    read,
    read_bool,
    read_choice,
    read_list,
    read_port,
    read_seconds,
)

ROOT = Path(__file__).resolve().parent.parent
VAR = Path(read("COUNTERSIGN_VAR", str(ROOT / "var")))

SANDBOX = read_bool("SANDBOX")
DEBUG = read_bool("DEBUG")
SECRET_KEY = read("SECRET_KEY")
# Former ones, separated by commas: what they signed and encrypted can still be read.
SECRET_KEY_FALLBACKS = read_list("SECRET_KEY_FALLBACKS")
BASE_URL = read("BASE_URL", "http://127.0.0.1:8000").rstrip("/")
_base = urlsplit(BASE_URL)
if _base.scheme not in {"http", "https"} or not _base.hostname:
    raise Misconfigured(
        f"BASE_URL is {BASE_URL!r}. Use an address such as https://countersign.example."
    )
ALLOWED_HOSTS = read_list("ALLOWED_HOSTS", f"{_base.hostname},127.0.0.1,localhost")
CSRF_TRUSTED_ORIGINS = [BASE_URL]

COUNTERSIGN_CONFIG = Path(read("COUNTERSIGN_CONFIG", str(ROOT / "countersign.yaml")))

# --- the services -------------------------------------------------------------------------------
MLFLOW_TRACKING_URI = read("MLFLOW_TRACKING_URI", "")
# Where people's browsers find MLflow, when that differs from where the worker finds it.
MLFLOW_PUBLIC_URL = read("MLFLOW_PUBLIC_URL", MLFLOW_TRACKING_URI).rstrip("/")
GITHUB_API_URL = read("GITHUB_API_URL", "https://api.github.com").rstrip("/")
GITHUB_TOKEN = read("GITHUB_TOKEN", "")
GITHUB_APP_ID = read("GITHUB_APP_ID", "")
GITHUB_APP_PRIVATE_KEY = read("GITHUB_APP_PRIVATE_KEY", "")
GITHUB_APP_INSTALLATION_ID = read("GITHUB_APP_INSTALLATION_ID", "")
GITHUB_WEBHOOK_SECRET = read("GITHUB_WEBHOOK_SECRET", "")
# Whoever signs with it may report monitoring's signals; empty: only tokens may.
SIGNALS_SECRET = read("SIGNALS_SECRET", "")
if 0 < len(SIGNALS_SECRET) < 16:
    raise Misconfigured("SIGNALS_SECRET is too short. Make one with: openssl rand -hex 32")
SLACK_API_URL = read("SLACK_API_URL", "https://slack.com/api/")
SLACK_BOT_TOKEN = read("SLACK_BOT_TOKEN", "")
SLACK_SIGNING_SECRET = read("SLACK_SIGNING_SECRET", "")
# For Socket Mode, where Slack cannot reach us: `manage.py runslack`.
SLACK_APP_TOKEN = read("SLACK_APP_TOKEN", "")
# For `manage.py check_slack` only: the app's own settings can be read with them.
SLACK_APP_ID = read("SLACK_APP_ID", "")
SLACK_CONFIG_TOKEN = read("SLACK_CONFIG_TOKEN", "")
# Whose people may decide: the workspace's id, and on Enterprise Grid the organisation's after it.
SLACK_TEAM_ID = read_list("SLACK_TEAM_ID")
# For installing the app in several workspaces by OAuth; neither, where SLACK_BOT_TOKEN is enough.
SLACK_CLIENT_ID = read("SLACK_CLIENT_ID", "")
SLACK_CLIENT_SECRET = read("SLACK_CLIENT_SECRET", "")
# Encrypts the tokens so obtained, instead of SECRET_KEY; former ones after a comma.
SLACK_TOKEN_KEY = read_list("SLACK_TOKEN_KEY")
if any(len(each) < 32 for each in SLACK_TOKEN_KEY):
    raise Misconfigured("SLACK_TOKEN_KEY is too short. Make one with: openssl rand -hex 32")
# Mail is off unless EMAIL_HOST is set.
EMAIL_HOST = read("EMAIL_HOST", "")
_tls = read_choice("EMAIL_TLS", ["starttls", "tls", "off"])
EMAIL_USE_TLS, EMAIL_USE_SSL = _tls == "starttls", _tls == "tls"
EMAIL_PORT = read_port("EMAIL_PORT", {"starttls": 587, "tls": 465, "off": 25}[_tls])
EMAIL_HOST_USER = read("EMAIL_USER", "")
EMAIL_HOST_PASSWORD = read("EMAIL_PASSWORD", "")
EMAIL_TIMEOUT = 10
DEFAULT_FROM_EMAIL = read("DEFAULT_FROM_EMAIL", "")
# The stand-ins' pages, linked from the header in the sandbox only.
SANDBOX_LINKS = {
    "Slack": SLACK_API_URL.removesuffix("api/"),
    "GitHub": GITHUB_API_URL,
    "MLflow": MLFLOW_PUBLIC_URL,
}
if _mail_page := read("SANDBOX_MAIL_URL", ""):
    SANDBOX_LINKS["Mail"] = _mail_page

# --- database and broker: the same engines everywhere (docs/adr/0002) ------------------------------
_database_url = read("DATABASE_URL", "")
_redis_url = read("REDIS_URL", "")
if not _database_url or not _redis_url:
    from config import embedded

    _database_url = _database_url or embedded.postgres_url(VAR)
    _redis_url = _redis_url or embedded.redis_url(VAR)
REDIS_URL = _redis_url
DATABASES: dict[str, Any] = {
    "default": dj_database_url.parse(_database_url, conn_max_age=60, conn_health_checks=True)
}
if not DATABASES["default"]["ENGINE"].endswith("postgresql"):
    raise Misconfigured("DATABASE_URL must name a PostgreSQL database (postgresql://…).")
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# --- applications --------------------------------------------------------------------------------
INSTALLED_APPS = [
    "approvals",
    "integrations",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django.contrib.humanize",
    "allauth",
    "allauth.account",
    "allauth.usersessions",
    "django_htmx",
]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "config.middleware.Pages",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.auth.middleware.LoginRequiredMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "allauth.account.middleware.AccountMiddleware",
    "config.middleware.SeenSessions",
    "config.middleware.PersonalZone",
    "config.middleware.ContentSecurityPolicy",
]
ROOT_URLCONF = "config.urls"
WSGI_APPLICATION = "config.wsgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [ROOT / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "builtins": [
                "approvals.templatetags.countersign",
                "approvals.templatetags.services",
                "approvals.templatetags.timeline",
                "approvals.templatetags.matrix",
            ],
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "approvals.web.context.everywhere",
                "integrations.status.on_every_page",
            ],
        },
    }
]
STATICFILES_DIRS = [ROOT / "static"]
STATIC_URL = "/static/"
STATIC_ROOT = VAR / "static"
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"},
}
LANGUAGE_CODE = "en"
TIME_ZONE = "UTC"
USE_TZ = True

# --- people ------------------------------------------------------------------------------------
AUTH_USER_MODEL = "approvals.Person"
AUTHENTICATION_BACKENDS = ["allauth.account.auth_backends.AuthenticationBackend"]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator"},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]
ACCOUNT_ADAPTER = "approvals.web.account.ClosedSignup"
ACCOUNT_LOGIN_METHODS = {"username", "email"}
ACCOUNT_SIGNUP_FIELDS = ["email*", "username*", "password1*", "password2*"]
ACCOUNT_EMAIL_VERIFICATION = "none"
ACCOUNT_SESSION_REMEMBER = True
LOGIN_URL = "account_login"
LOGIN_REDIRECT_URL = "/"
ACCOUNT_LOGOUT_REDIRECT_URL = "/"
# allauth counts failed sign-ins here: in the database, so that several web processes share the count and
# people can sign in while Redis is away.
CACHES = {
    "default": {
        "BACKEND": "django.core.cache.backends.db.DatabaseCache",
        "LOCATION": "integrations_cache",
    }
}
ALLAUTH_TRUSTED_PROXY_COUNT = 1 if read_bool("BEHIND_TLS_PROXY") else 0

# --- security ------------------------------------------------------------------------------------
_https = _base.scheme == "https"
SECURE_SSL_REDIRECT = _https and not read_bool("BEHIND_TLS_PROXY")
SECURE_PROXY_SSL_HEADER = (
    ("HTTP_X_FORWARDED_PROTO", "https") if read_bool("BEHIND_TLS_PROXY") else None
)
SECURE_REDIRECT_EXEMPT = [r"^healthz$", r"^readyz$"]
SECURE_HSTS_SECONDS = 31_536_000 if _https else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = _https
SECURE_HSTS_PRELOAD = _https
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = _https
SESSION_COOKIE_HTTPONLY = True
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
if SANDBOX:
    # The demo's servers share 127.0.0.1, and browsers keep cookies by host, not by port.
    SESSION_COOKIE_NAME = "countersign_session"
    CSRF_COOKIE_NAME = "countersign_csrf"

# --- background work -----------------------------------------------------------------------------
# How often the sweeps run, in seconds. Wake-ups make things quick; the sweeps make them certain.
TICK_SECONDS = read_seconds("TICK_SECONDS", 2)
MLFLOW_POLL_SECONDS = read_seconds("MLFLOW_POLL_SECONDS", 15)
GITHUB_POLL_SECONDS = read_seconds("GITHUB_POLL_SECONDS", 30)
# How slowly a repository is read when nothing happens there.
GITHUB_IDLE_SECONDS = read_seconds("GITHUB_IDLE_SECONDS", 60)
GITHUB_FOLLOW_SECONDS = read_seconds("GITHUB_FOLLOW_SECONDS", 2)
# How often a serving layer is asked what it serves, and live versions' artifacts are hashed again.
SERVING_POLL_SECONDS = read_seconds("SERVING_POLL_SECONDS", 30)
ARTIFACT_POLL_SECONDS = read_seconds("ARTIFACT_POLL_SECONDS", 3600)
# How far apart messages to one Slack channel are: Slack takes about one a second.
SLACK_POST_SECONDS = read_seconds("SLACK_POST_SECONDS", 1)
# How long an ambiguous dispatch is looked up by its token before a person must look, in seconds.
DISPATCH_LOOKUP_SECONDS = read_seconds("DISPATCH_LOOKUP_SECONDS", 180)
# How long a worker may be silent before its effects are delivered by another one, in seconds.
EFFECT_LEASE_SECONDS = read_seconds("EFFECT_LEASE_SECONDS", 60)
# Where tests arm the points at which a worker dies (integrations/failpoints.py); nothing else may set it.
FAILPOINTS = read("COUNTERSIGN_FAILPOINTS", "")

LOGGING_CONFIG = None
from config.logs import configure_logging  # noqa: E402

configure_logging(json=not SANDBOX and not DEBUG, level=read("LOG_LEVEL", "INFO"))
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
