#!/bin/sh
# What a container does: web, worker, beat, slack (Socket Mode), migrate (once per release) or any other command.
set -eu

case "${1:-web}" in
web)
    exec python -m config.serve --host 0.0.0.0 --port "${PORT:-8000}" --workers "${WEB_WORKERS:-2}" \
        --threads "${WEB_THREADS:-4}" --access-log ;;
worker)
    exec celery --app=config worker --concurrency="${WORKER_CONCURRENCY:-4}" \
        --without-gossip --without-mingle --loglevel=INFO ;;
beat) # one of it; a second would only make every sweep run twice
    exec celery --app=config beat --loglevel=INFO --pidfile= ;;
slack) # only where Slack cannot reach the web service (Socket Mode, docs/slack-administration.md)
    exec python manage.py runslack ;;
migrate)
    python manage.py migrate --no-input
    exec python manage.py apply_configuration ;;
healthcheck)
    exec python -c '
import os, urllib.parse, urllib.request
host = urllib.parse.urlsplit(os.environ["BASE_URL"]).netloc
address = "http://127.0.0.1:%s/healthz" % os.environ.get("PORT", "8000")
urllib.request.urlopen(urllib.request.Request(address, headers={"Host": host}), timeout=4)' ;;
*)
    exec "$@" ;;
esac
