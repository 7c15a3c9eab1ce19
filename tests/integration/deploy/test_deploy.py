"""From nothing to a service, to the next release and back, on a machine without a network."""

import json
import time
import zipfile

import pytest

from tests.integration.deploy.waiting import wait_for

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
    assert desk.machine.ask(f"ls /etc/systemd/system /var/cache | grep {desk.unit} || true") == ""
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
    machine.ask(f"cd {folder}/captured && echo 3 >root.csv && chmod 600 root.csv")  # and not its user's
    out = tmp_path / "results"
    said = serving.edgeml("collect", url, serving.name, "captured/*", "-o", out, "--json").stdout
    assert json.loads(said)["files"] == ["captured/a.csv", "captured/deep/b.csv"]
    assert json.loads(said)["left_out"] == ["captured/root.csv"]
    assert (out / "captured/deep/b.csv").read_text() == "2\n"
    assert sorted(path.name for path in out.rglob("*") if not path.is_dir()) == ["a.csv", "b.csv"]
    everything = serving.edgeml("collect", url, serving.name, "-o", out).stdout
    assert "events.db" in everything.split()
    assert (out / "events.db").read_bytes().startswith(b"SQLite format 3")
    none = json.loads(
        serving.edgeml("collect", url, serving.name, "nothing*", "-o", out, "--json", status=2).stdout
    )
    assert none["found"] == "none"


def installed(machine, path, *words, status=0):
    """What `python3 app.edgeml` says, run by root on the device."""
    done = machine.run(f"python3 {path} {' '.join(words)}")
    assert done.returncode == status, done.stderr.decode()
    assert b"Traceback" not in done.stderr
    return (done.stderr if status else done.stdout).decode()


def test_a_release_on_a_stick(desk, serving, tmp_path):
    """Without ssh; ``serving`` has made this device trust its key."""
    machine = desk.machine
    desk.write(more="# on a stick")
    write = ["deploy", desk.config, "--name", desk.name, "--key", desk.key]
    write += ["--window", machine.least_window_s, "--bundle"]
    for version in ("1", "2"):
        bundle = tmp_path / f"{version}.edgeml"
        told = desk.edgeml(*write, bundle, "--for", machine.suite, "--version", version, "--json").stdout
        assert json.loads(told)["for"].endswith(", Python 3.11, glibc 2.36")
        made_s = int(time.time())
        wait_for(lambda second=made_s: time.time() >= second + 1)  # which is what tells older from newer

    tampered = zipfile.ZipFile(tmp_path / "tampered.edgeml", "w", zipfile.ZIP_DEFLATED)
    with zipfile.ZipFile(tmp_path / "1.edgeml") as good, tampered as bad:
        for name in good.namelist():
            bad.writestr(name, good.read(name).replace(b"on a stick", b"on a brick"))
    for file in ("1", "2", "tampered"):
        machine.put(f"/root/{file}.edgeml", (tmp_path / f"{file}.edgeml").read_bytes())
    assert "is not what the release says" in installed(machine, "/root/tampered.edgeml", status=1)

    trusted = "/etc/edgeml/trusted_signers"
    before = machine.ask(f"cat {trusted} && rm {trusted}")
    agent = "/var/lib/edgeml/agent.pyz"
    machine.ask(f"rm {agent}")  # as on a device that nobody ever reached over ssh
    assert "trusted_signers is missing" in installed(machine, "/root/2.edgeml", status=3)
    assert "2 works" in installed(machine, "/root/2.edgeml", "--trust")
    assert machine.ask(f"cat {trusted}") == before
    assert desk.serves("2")

    assert "is older than what ran here" in installed(machine, "/root/1.edgeml", status=1)
    assert "1 works" in installed(machine, f"{agent} take /root/1.edgeml", "--allow-older")
    assert desk.serves("1")


def test_a_plan_changes_nothing(desk):
    plan = desk.deploy("--dry-run")
    assert plan["files"] == "edgeml.toml, m.tflite"
    assert "first there" in plan["then"]
    assert desk.name not in desk.edgeml("status", desk.machine.url).stdout
