"""Numbers on their way into people's files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import portkeeper
import pytest
from portkeeper import BadFile, NotPermitted, PortRegistry, UsageError


def test_an_env_file_keeps_what_is_not_named(registry: PortRegistry, place: Path) -> None:
    env = place / ".env"
    env.write_text("# the shop\nexport PORT=3000 # web\nDEBUG='1'\n")
    env.chmod(0o640)
    registry.write_env({"PORT": "8888", "HOST": "127.0.0.1"})
    assert env.read_text() == "# the shop\nexport PORT=8888 # web\nDEBUG='1'\nHOST=127.0.0.1\n"
    assert env.stat().st_mode & 0o777 == 0o640
    registry.write_env({"PORT": 8889}, env, merge=False)
    assert env.read_text() == "PORT=8889\n"
    registry.write_env({"NEW": "a b"}, "new.env")
    assert (place / "new.env").read_text() == "NEW='a b'\n"


def test_json_is_merged_deep(registry: PortRegistry, place: Path) -> None:
    config = place / "config.json"
    config.write_text('{\n  // public\n  "server": {"port": 3000, "host": "::1"},\n  "rate": 1.0\n}\n')
    registry.update_config_json({"server": {"port": 8888}, "log": None})
    assert config.read_text() == (
        '{\n  // public\n  "server": {"port": 8888, "host": "::1"},\n  "rate": 1.0,\n  "log": null\n}\n'
    )
    registry.update_config_json({"a": [1, "ä"]}, place / "new.json", backup=False)
    assert '"a"' in (place / "new.json").read_text()


@pytest.mark.parametrize("backup", [True, False])
def test_a_backup_is_kept_if_it_is_wanted(registry: PortRegistry, place: Path, backup: bool) -> None:
    (place / "config.json").write_text('{"port": 3000}')
    registry.update_config_json({"port": 8888}, backup=backup)
    kept = [it for it in (place.parent / "state").rglob("*") if it.is_file()]
    assert any(it.read_bytes() == b'{"port": 3000}' for it in kept) == backup


def test_what_can_not_be_written(registry: PortRegistry, place: Path) -> None:
    def check(expect: Any, call: Any, *args: Any) -> None:
        before = {it: it.read_bytes() for it in place.iterdir()}
        with pytest.raises(expect):
            call(*args)
        assert {it: it.read_bytes() for it in place.iterdir()} == before

    (place / "torn.json").write_text('{"port": ')
    (place / "read-only").write_text("PORT=1\n")
    (place / "read-only").chmod(0o444)
    check(TypeError, registry.write_env, {"PORT": 8888.0})
    check(TypeError, registry.write_env, {"PORT": True})
    check(TypeError, registry.write_env, {1: "1"})
    check(TypeError, registry.write_env, ["PORT"])
    check(UsageError, registry.write_env, {"no key": "1"})
    check(UsageError, registry.write_env, {"PORT": "\udcff"})
    check(UsageError, registry.write_env, {"PATH": "/tmp"})
    check(NotPermitted, registry.write_env, {"PORT": "2"}, "read-only")
    check(TypeError, registry.update_config_json, {"port": object()})
    check(UsageError, registry.update_config_json, {"rate": float("nan")})
    check(portkeeper.PortKeeperError, registry.update_config_json, [1])
    check(BadFile, registry.update_config_json, {"port": 1}, "torn.json")
