"""From nothing to a service, to the next release and back, on a machine without a network."""

import json
import subprocess
import zipfile

import pytest

pytestmark = pytest.mark.integration


def test_from_nothing_to_a_service(desk):
    first = desk.deploy("--version", "1")
    assert first["state"] == "it works"
    machine, unit = desk.machine, desk.unit
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
    said = desk.edgeml("status", machine.url).stdout
    assert "2  active" in said
    assert "1  worked; `edgeml rollback` goes back to it" in said

    desk.edgeml("rollback", machine.url, desk.name)
    assert desk.running() == "1"
    assert machine.ask(f"systemctl is-active {unit}").strip() == "active"


def test_two_pipelines_beside_each_other(desk, serving):
    """Each tells its own health, and what is removed takes nothing of the other."""
    url = desk.machine.url
    desk.deploy("--version", "1")
    both = json.loads(desk.edgeml("status", url, "--json").stdout)["pipelines"]
    health = {each["name"]: (each["health"], each["problem"]) for each in both}
    assert {desk.name, serving.name} <= set(health)
    assert len({address for address, _ in health.values()}) == len(health)
    assert {problem for _, problem in health.values()} == {None}

    desk.edgeml("stop", url, desk.name)
    assert desk.status()["state"] == "ended"
    said = json.loads(desk.edgeml("remove", url, desk.name, "--json").stdout)
    assert desk.machine.ask(f"ls {said['state']}/events.db")
    assert desk.machine.ask(f"ls /etc/systemd/system | grep {desk.unit} || true") == ""
    assert serving.serves("old")
    missing = json.loads(desk.edgeml("rollback", url, desk.name, "--json", status=2).stdout)
    assert serving.name in missing["expected"]


def test_what_it_says_and_what_it_keeps_come_back(serving, tmp_path):
    url, machine = serving.machine.url, serving.machine
    assert "status at http://127.0.0.1:" in serving.edgeml("logs", url, serving.name).stdout

    folder = f"/var/lib/edgeml-{serving.name}"
    machine.ask(
        f"mkdir -p {folder}/captured/deep && cd {folder}/captured && echo 1 >a.csv && echo 2 >deep/b.csv"
    )
    machine.ask(f"ln -s /etc/shadow {folder}/captured/c.csv")
    out = tmp_path / "results"
    said = serving.edgeml("collect", url, serving.name, "captured/*", "-o", out, "--json").stdout
    assert json.loads(said)["files"] == ["captured/a.csv", "captured/deep/b.csv"]
    assert (out / "captured/deep/b.csv").read_text() == "2\n"
    assert sorted(path.name for path in out.rglob("*") if not path.is_dir()) == ["a.csv", "b.csv"]
    everything = serving.edgeml("collect", url, serving.name, "-o", out).stdout
    assert "events.db" in everything.split()
    assert (out / "events.db").read_bytes().startswith(b"SQLite format 3")
    none = json.loads(
        serving.edgeml("collect", url, serving.name, "nothing*", "-o", out, "--json", status=2).stdout
    )
    assert none["found"] == "none"


def installed(machine, path, *words, check=True):
    """What `python3 app.edgeml` says, run by root on the device."""
    command = ["nsenter", "--target", str(machine.leader), "--all", "python3", path, *words]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert "Traceback" not in done.stderr
    if check:
        assert done.returncode == 0, done.stderr
    return done


def test_a_release_on_a_stick(desk, serving):
    """Without ssh; ``serving`` has made this device trust its key."""
    machine, place = desk.machine, desk.machine.root / "root"
    desk.write(more="# on a stick")
    write = ["deploy", desk.config, "--name", desk.name, "--key", desk.key, "--window", 1, "--bundle"]
    for version in ("1", "2"):
        bundle = place / f"{version}.edgeml"
        told = desk.edgeml(*write, bundle, "--for", "bookworm-amd64", "--version", version, "--json").stdout
        assert json.loads(told)["for"] == "x86_64, Python 3.11, glibc 2.36"

    tampered = place / "tampered.edgeml"
    with zipfile.ZipFile(place / "1.edgeml") as good, zipfile.ZipFile(tampered, "w") as bad:
        for name in good.namelist():
            data = good.read(name)
            bad.writestr(name, data.replace(b"on a stick", b"on a brick"))
    refused = installed(machine, "/root/tampered.edgeml", check=False)
    assert refused.returncode == 1
    assert "is not what the release says" in refused.stderr

    trusted = machine.root / "etc/edgeml/trusted_signers"
    before = trusted.read_text()
    trusted.unlink()
    stranger = installed(machine, "/root/2.edgeml", check=False)
    assert stranger.returncode == 3
    assert "trusted_signers is missing" in stranger.stderr
    assert "2 works" in installed(machine, "/root/2.edgeml", "--trust").stdout
    assert trusted.read_text() == before
    assert desk.serves("2")

    older = installed(machine, "/root/1.edgeml", check=False)
    assert older.returncode == 1
    assert "is older than what ran here" in older.stderr
    assert "1 works" in installed(machine, "/root/1.edgeml", "--allow-older").stdout
    assert desk.serves("1")


def test_a_plan_changes_nothing(desk):
    plan = desk.deploy("--dry-run")
    assert plan["files"] == "edgeml.toml, m.tflite"
    assert "first there" in plan["then"]
    assert desk.name not in desk.edgeml("status", desk.machine.url).stdout
