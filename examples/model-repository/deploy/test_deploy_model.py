"""The digest is the contract with Countersign: the same files must give the same text anywhere."""

import hashlib
import tempfile
import unittest
from pathlib import Path

from deploy_model import artifact_digest


class ArtifactDigest(unittest.TestCase):
    """``sha256:`` of the lines ``<sha256>  <path>``, sorted by path."""

    def test_is_the_documented_one(self) -> None:
        """Two files, one in a folder, written in the other order."""
        with tempfile.TemporaryDirectory() as folder:
            root = Path(folder)
            (root / "data").mkdir()
            (root / "data" / "model.skops").write_bytes(b"weights")
            (root / "MLmodel").write_bytes(b"flavors: {}\n")
            lines = (
                f"{hashlib.sha256(b'flavors: {}' + bytes([10])).hexdigest()}  MLmodel\n"
                f"{hashlib.sha256(b'weights').hexdigest()}  data/model.skops\n"
            )
            expected = "sha256:" + hashlib.sha256(lines.encode()).hexdigest()
            self.assertEqual(artifact_digest(root), expected)


if __name__ == "__main__":
    unittest.main()
