"""From nothing to a service, to the next release and back, on a machine without a network."""

import pytest

pytestmark = pytest.mark.integration


def test_from_nothing_to_a_service(desk):
    first = desk.deploy("--version", "1")
    assert first["state"] == "it works"
    machine, unit = desk.machine, f"edgeml-{desk.name}"
    assert machine.ask(f"systemctl is-active {unit}").strip() == "active"
    assert machine.ask(f"systemctl is-enabled {unit}").strip() == "enabled"
    assert machine.ask(f"ls /var/lib/{unit}/events.db")
    assert machine.ask(f"ps -o user= -p $(systemctl show -P MainPID {unit})").strip() != "root"
    assert int(machine.ask("du -sm /var/lib/edgeml").split()[0]) <= 130

    desk.write(version="2")
    second = desk.deploy("--version", "2")
    moved = int(second["sent"].split()[0].replace(",", ""))
    assert moved <= (desk.folder / "m.tflite").stat().st_size + 100_000
    assert desk.running() == "2"

    desk.edgeml("rollback", machine.url, desk.name)
    assert desk.running() == "1"
    assert machine.ask(f"systemctl is-active {unit}").strip() == "active"


def test_a_plan_changes_nothing(desk):
    plan = desk.deploy("--dry-run")
    assert plan["files"] == "edgeml.toml, m.tflite"
    assert "first there" in plan["then"]
    assert desk.name not in desk.edgeml("status", desk.machine.url).stdout
