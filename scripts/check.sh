#!/bin/sh
# `make check`: everything that can be said about the code without running it.
# Stops at the first step that fails and shows what it said.
set -eu
cd "$(dirname "$0")/.."
bin=.venv/bin
python=$bin/python
said=$(mktemp)
trap 'rm -f "$said" "$said.podman"' EXIT

step() {
    name=$1
    shift
    printf '%-34s' "$name"
    began=$(date +%s)
    if "$@" >"$said" 2>&1; then
        printf 'ok   %2d s\n' "$(($(date +%s) - began))"
    else
        printf 'FAILED\n\n'
        cat "$said"
        exit 1
    fi
}

# Settings as in production; nothing connects to these addresses. They must not be secrets either.
production() {
    env -i PATH="$PATH" HOME="${HOME:-/}" LANG=C.UTF-8 \
        SECRET_KEY="$($python -c 'import secrets; print(secrets.token_urlsafe(64))')" \
        BASE_URL=https://countersign.example \
        DATABASE_URL=postgresql://countersign:unused@db.example/countersign \
        REDIS_URL=redis://redis.example/0 \
        COUNTERSIGN_CONFIG=examples/countersign.yaml \
        MLFLOW_TRACKING_URI=https://mlflow.example \
        GITHUB_TOKEN=unused GITHUB_WEBHOOK_SECRET=unused-but-long-enough-to-pass \
        SLACK_BOT_TOKEN=xoxb-unused SLACK_SIGNING_SECRET=unused-but-long-enough SLACK_TEAM_ID=T0UNUSED \
        "$@"
}

# podman-compose reads the file by itself, but wants to have heard a podman's version first.
compose() {
    printf '#!/bin/sh\necho podman version 5.0.0\n' >"$said.podman"
    chmod +x "$said.podman"
    production POSTGRES_PASSWORD=unused REDIS_PASSWORD=unused \
        "$python" -m podman_compose --podman-path "$said.podman" -f docker-compose.yml config
}

step 'ruff: lint' "$python" -m ruff check .
step 'ruff: format' "$python" -m ruff format --check .
step 'import contracts' "$bin/lint-imports"
# The linter only: djlint's formatter breaks lines inside running text, which people would see.
step 'templates: lint' "$python" -m djlint templates --lint --quiet
step 'mypy --strict' production "$python" -m mypy .
step 'migrations are complete' production "$python" -W ignore::RuntimeWarning manage.py makemigrations --check --dry-run
step 'deployment settings' production "$python" manage.py check --deploy --fail-level WARNING
step 'docker-compose.yml' compose
printf '\nAll checks pass.\n'
