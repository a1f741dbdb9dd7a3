"""``python -m sandbox.manage <command>``: Django's commands on the demo's data, while it runs or not."""

from __future__ import annotations

import os
import sys

from sandbox.environment import ROOT, StartError, build, data_folder, read_ports, read_secrets


def main() -> None:
    """Run manage.py in the demo's environment; the same ports as for ``make run``."""
    data = data_folder()
    if not data.exists():
        sys.exit("There is no demo yet: `make run` makes one.")
    try:
        env = build(os.environ, data, read_ports(os.environ), read_secrets(data / "secrets.json"))
    except StartError as error:
        sys.exit(str(error))
    os.execve(sys.executable, [sys.executable, str(ROOT / "manage.py"), *sys.argv[1:]], env)  # noqa: S606


if __name__ == "__main__":
    main()
