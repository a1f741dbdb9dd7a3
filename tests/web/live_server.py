"""The product's web process for tests, less patient: ``python -m tests.web.live_server PORT``."""

from __future__ import annotations

import os
import sys

from django.conf import settings

from config.start import pages

if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    # No static files are collected for tests.
    settings.WHITENOISE_USE_FINDERS = True
    settings.STORAGES["staticfiles"]["BACKEND"] = (
        "django.contrib.staticfiles.storage.StaticFilesStorage"
    )
    pages()
    from approvals.web import stream

    wanted = sys.argv[1:]
    if wanted[0] == "--patient":  # as the product is; the benchmark wants that
        wanted = wanted[1:]
    else:
        stream.LOOK, stream.HEARTBEAT, stream.CHECK, stream.EACH = 0.05, 0.3, 0.4, 3
    from config.serve import main

    main(["--port", *wanted])
