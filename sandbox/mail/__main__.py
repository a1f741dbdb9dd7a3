"""``python -m sandbox.mail --port 8004 --smtp-port 8005``: the stand-in for a mail server."""

from __future__ import annotations

import argparse
import os

from sandbox.mail.server import serve


def main() -> None:
    """Serve on 127.0.0.1 until stopped."""
    env = os.environ
    parser = argparse.ArgumentParser(prog="python -m sandbox.mail", description=__doc__)
    parser.add_argument("--port", type=int, default=int(env.get("MAIL_PORT", "8004")))
    parser.add_argument("--smtp-port", type=int, default=int(env.get("MAIL_SMTP_PORT", "8005")))
    given = parser.parse_args()
    print(
        f"Sandbox mail: http://127.0.0.1:{given.port}/ (SMTP on port {given.smtp_port})", flush=True
    )
    serve(given.port, given.smtp_port)


if __name__ == "__main__":
    main()
