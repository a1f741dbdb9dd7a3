# One image for web, worker, beat and migrations: `docker build -t countersign .`
# The second target, `--target mlflow`, is a tracking server for teams that have none yet.
# Both install the locked, hashed files that `make run` and `make test` use.

FROM python:3.11-slim-bookworm AS base
ENV PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 PATH=/opt/venv/bin:$PATH
RUN useradd --system --uid 10001 --create-home --home-dir /app countersign
WORKDIR /app

FROM base AS build
ENV UV_LINK_MODE=copy UV_COMPILE_BYTECODE=1 UV_NO_PROGRESS=1 UV_NO_CACHE=1
COPY requirements/bootstrap.txt requirements/
RUN pip install --no-cache-dir --disable-pip-version-check --require-hashes -r requirements/bootstrap.txt \
    && python -m venv --without-pip /opt/venv

FROM build AS production-packages
COPY requirements/production.txt requirements/
RUN uv pip install --python /opt/venv/bin/python --require-hashes -r requirements/production.txt

FROM build AS mlflow-packages
COPY requirements/sandbox.txt requirements/
RUN uv pip install --python /opt/venv/bin/python --require-hashes -r requirements/sandbox.txt

FROM base AS mlflow
COPY --from=mlflow-packages /opt/venv /opt/venv
RUN install -d -o countersign /data
ENV MLFLOW_DISABLE_TELEMETRY=true MLFLOW_SERVER_ENABLE_JOB_EXECUTION=false
USER countersign
WORKDIR /data
VOLUME /data
EXPOSE 5000
HEALTHCHECK --interval=15s --timeout=5s --start-period=60s \
    CMD ["python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:5000/health', timeout=4)"]
CMD ["mlflow", "server", "--host", "0.0.0.0", "--port", "5000", "--workers", "1", \
    "--backend-store-uri", "sqlite:////data/mlflow.db", "--artifacts-destination", "/data/artifacts"]

FROM base AS countersign
COPY --from=production-packages /opt/venv /opt/venv
COPY manage.py slack-manifest.yaml ./
COPY config config
COPY approvals approvals
COPY integrations integrations
COPY templates templates
COPY static static
COPY scripts/start.sh scripts/
# MLflow's client gives up in seconds; the outbox and the sweeps try again (docs/install.md).
ENV COUNTERSIGN_CONFIG=/etc/countersign/countersign.yaml \
    MLFLOW_HTTP_REQUEST_TIMEOUT=10 MLFLOW_HTTP_REQUEST_MAX_RETRIES=1 \
    MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR=1 MLFLOW_DISABLE_TELEMETRY=true
# The values are for this step only; nothing connects to them.
RUN SECRET_KEY=only-to-collect-static-files BASE_URL=http://localhost \
    DATABASE_URL=postgresql://unused/unused REDIS_URL=redis://unused \
    python manage.py collectstatic --no-input -v0 && chown -R countersign var
USER countersign
EXPOSE 8000
# Asks with the public name, because ALLOWED_HOSTS need not hold 127.0.0.1.
HEALTHCHECK --interval=15s --timeout=5s --start-period=30s CMD ["scripts/start.sh", "healthcheck"]
ENTRYPOINT ["scripts/start.sh"]
CMD ["web"]
