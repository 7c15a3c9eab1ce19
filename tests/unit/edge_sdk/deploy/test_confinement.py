"""Root starts what a release says, so that it may say only so much."""

import pytest

from edge_sdk.deploy import confinement
from edge_sdk.errors import GateError
from edge_sdk.needs import HARDWARE
from edge_sdk.pipeline import Pipeline
from edge_sdk.unit import Settings, unit
from tests.models import Linear, write_model

NAME = "edgeml-press-7"


@pytest.fixture(scope="module")
def text(tmp_path_factory):
    """A unit as a release makes it."""
    return made(tmp_path_factory.mktemp("pipeline"), 'url = "synthetic:sine"')


def made(folder, source, systemd=252):
    write_model(folder / "m.tflite", Linear(window=20))
    file = folder / "edgeml.toml"
    file.write_text(
        f'device = "press-7"\n[model]\nfile = "m.tflite"\n[[source]]\n{source}\n'
        '[[sink]]\nurl = "https://a.example"\ntoken_env = "TOKEN"\n[[sink]]\nurl = "sqlite:/srv/e.db"\n'
    )
    settings = Settings(NAME, systemd=systemd, packages=folder / "runtime", keeps_state=True)
    return unit(Pipeline.from_config(file, state=settings.state), file, settings).text


@pytest.mark.parametrize("systemd", [252, 257])
@pytest.mark.parametrize(
    "source",
    [
        'url = "serial:///dev/ttyACM0"',
        'url = "i2c:1"\nchip = "mpu6050"',
        'url = "iio:accel"',
        'url = "http:127.0.0.1:7000/"',
    ],
)
def test_what_pipelines_need_they_get(tmp_path, monkeypatch, source, systemd):
    monkeypatch.setattr("edge_sdk.needs.grp.getgrnam", lambda group: type("Group", (), {"gr_gid": 1}))
    confinement.check(made(tmp_path, source, systemd), NAME)


def test_every_group_of_hardware_may_be_had():
    for hardware in HARDWARE.values():
        line = f"SupplementaryGroups={hardware.group}"
        assert confinement._is_allowed("Service", *line.split("="), NAME), line


@pytest.mark.parametrize(
    "line",
    [
        "User=root",
        "User=",
        "Group=disk",
        "DynamicUser=no",
        "DynamicUser=",
        "SupplementaryGroups=root",
        "SupplementaryGroups=video docker",
        "SupplementaryGroups=videodisk",
        "AmbientCapabilities=CAP_SYS_ADMIN",
        "CapabilityBoundingSet=~",
        "NoNewPrivileges=no",
        "ExecStart=+/bin/sh -c id",
        "ExecStart=!/bin/sh",
        "ExecStart=/bin/true ; +/bin/sh",
        'ExecStart="+/bin/sh"',
        "ExecStartPre=+/bin/sh -c id",
        "ExecStopPost=/bin/sh",
        "ExecReload=/bin/sh",
        "PermissionsStartOnly=yes",
        "EnvironmentFile=/etc/shadow",
        "StateDirectory=edgeml",
        "StateDirectory=edgeml-press-7 edgeml",
        "CacheDirectory=../lib/edgeml",
        "WorkingDirectory=/",
        "SyslogIdentifier=sshd",
        "RootDirectory=/tmp",
        "BindPaths=/etc",
        "ProtectSystem=no",
        "Delegate=yes",
        "PAMName=login",
        "Type=simple",
        "Restart=no",
        "OnFailure=other.service",
        "FailureAction=reboot",
        "Environment=A=1\\",
        " User=root",
        "User =root",
        "nonsense",
        "[Unit]\nRequires=other.service",
        "[Unit]\nSuccessAction=poweroff",
        "[Install]\nAlias=ssh.service",
        "[Install]\nAlso=other.service",
        "[Socket]\nListenStream=22",
        "[Service]\rUser=root",
    ],
)
def test_more_than_that_is_refused(text, line):
    confinement.check(text, NAME)
    with pytest.raises(GateError, match="the unit that the release wants to run in: expected no more rights"):
        confinement.check(text.replace("UMask=0027\n", f"UMask=0027\n{line}\n"), NAME)


def test_less_confinement_than_that_is_refused(text):
    for line in text.split("\n"):
        if line.partition("=")[0] in confinement._NEEDED:
            with pytest.raises(GateError, match="none of"):
                confinement.check(text.replace(f"{line}\n", ""), NAME)
    with pytest.raises(GateError, match="none of"):
        confinement.check("", NAME)
    with pytest.raises(GateError, match="=edgeml-press-7'"):
        confinement.check(text, "edgeml-another")
