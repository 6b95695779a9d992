"""The command in the wheel: the same as the program's."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import List

import pytest
from portkeeper import PortRegistry

SCRIPT = shutil.which("portkeeper", path=sysconfig.get_path("scripts"))


@pytest.fixture(params=["script", "module"])
def command(request: pytest.FixtureRequest) -> List[str]:
    if request.param == "module":
        return [sys.executable, "-m", "portkeeper"]
    assert SCRIPT, "the wheel brings the command"
    return [SCRIPT]


def run(command: List[str], *args: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run([*command, *args], capture_output=True, text=True, timeout=60)


def test_it_is_the_command(registry: PortRegistry, command: List[str]) -> None:
    done = run(
        command, *"reserve --preferred 28500 --range 28500 28600 --hold --owner myapp".split()
    )
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    assert answer["held"] and 28500 <= answer["port"] <= 28600
    (entry,) = registry.status()
    assert (entry.state, entry.owner, entry.pid) == ("held", "myapp", answer["holder_pid"])
    assert run(command, "release", str(answer["port"])).returncode == 0
    assert registry.status() == []


def test_it_fails_as_the_command_does(command: List[str]) -> None:
    done = run(command, "release", "28000")
    assert done.returncode == 4 and done.stderr.startswith("error: not reserved: 28000\nhint: ")
    assert run(command, "nonsense").returncode == 2
    done = run(command, "--version")
    assert done.returncode == 0 and done.stdout.startswith("portkeeper ")


def test_it_runs_programs(registry: PortRegistry, command: List[str]) -> None:
    done = run(command, "run", "--", "sh", "-c", "echo $PORT; exit 3")
    assert done.returncode == 3 and int(done.stdout) > 0, done.stderr
    assert registry.status() == []


def test_a_holder_is_this_package_wherever_it_starts(
    registry: PortRegistry, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # What lies in the folder, and what the environment says, must not be run by a holder.
    for name in ("portkeeper.py", "signal.py", "os.py"):
        (place / name).write_text("raise SystemExit(99)\n")
    monkeypatch.setenv("PYTHONSTARTUP", os.path.join(place, "portkeeper.py"))
    monkeypatch.setenv("PYTHONPATH", str(place))
    r = registry.reserve(hold=True)
    r.keep()
    assert [entry.state for entry in registry.status()] == ["held"]
    registry.release(r.port)
    assert registry.status() == []
