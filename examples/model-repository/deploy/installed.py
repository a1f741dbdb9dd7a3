"""Exit 0 when every package named in a requirements file is installed already, else 1.

A runner image that carries the packages then skips the installation, which takes a minute.
"""

import re
import sys
from importlib import metadata
from pathlib import Path


def main() -> None:
    """Look each name up; versions are pip's business when anything is missing."""
    for line in Path(sys.argv[1]).read_text().splitlines():
        name = re.match(r"[\w.-]+", line.strip())
        if name:
            try:
                metadata.version(name[0])
            except metadata.PackageNotFoundError:
                sys.exit(f"{name[0]} is not installed")


if __name__ == "__main__":
    main()
