"""What the documents show runs as it stands."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Iterator, Tuple

import pytest

ROOT = Path(__file__).parents[3]
DOCUMENTS = ["README.md", "docs/guide/python.md", "crates/pk-python/README.md"]
NOT_EVERYWHERE = ("uvicorn", "grpc")


def blocks() -> Iterator[Tuple[str, str]]:
    for document in DOCUMENTS:
        text = (ROOT / document).read_text()
        found = list(re.finditer(r"^```python\n(.*?)^```$", text, re.DOTALL | re.MULTILINE))
        assert found, document
        for block in found:
            line = text.count("\n", 0, block.start()) + 1
            yield f"{document}:{line}", block[1]


@pytest.mark.parametrize("source", [pytest.param(source, id=where) for where, source in blocks()])
def test_block(source: str, place: Path) -> None:
    for package in NOT_EVERYWHERE:
        if f"import {package}" in source:
            pytest.importorskip(package)
    program = place / "test_block.py"
    program.write_text(source)
    command = [sys.executable, str(program)]
    if "\ndef test_" in source:
        command[1:1] = ["-m", "pytest", "-q", "-p", "no:cacheprovider"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
