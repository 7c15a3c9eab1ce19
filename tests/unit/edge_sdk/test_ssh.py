"""What can be said of another machine without one: addresses, options, what ssh means, what travels."""

import io
import json
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from edge_sdk import landing, latency, registry, remote, resident
from edge_sdk.errors import ConfigError, DeviceError
from edge_sdk.ssh import Address, Connection, explain
from edge_sdk.targets import open_target
from tests.models import flatbuffer

PI = Address("pi.local", "ada", 2222)
NAMES = st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,20}", fullmatch=True)


@given(NAMES, st.none() | NAMES, st.none() | st.integers(1, 65535))
def test_an_address_reads_back(host, user, port):
    address = Address(host, user, port)
    assert Address.parse(str(address)) == address


def test_addresses():
    assert Address.parse("pi") == Address("pi")
    assert Address.parse("ada@pi.local:2222") == PI
    assert Address.parse("[fe80::1%eth0]:22") == Address("fe80::1%eth0", None, 22)
    assert str(Address("fe80::1", "ada")) == "ada@[fe80::1]"


@pytest.mark.parametrize(
    "odd",
    [
        "",
        "@pi",
        "-oProxyCommand=id",
        "ada@-pi",
        "-ada@pi",
        "pi:0",
        "pi:65536",
        "pi:ssh",
        "pi:",
        "a b",
        "$(id)",
        "pi`id`",
        "a;b@pi",
        "pi/x",
        "pi\n",
        "fe80::1",
        "[]",
        "[pi]",
        "pi%h",
    ],
)
def test_an_odd_address_is_refused(odd):
    with pytest.raises(ConfigError, match="ssh: address: expected .*HOST.*found"):
        Address.parse(odd)


@given(st.text(max_size=30))
def test_no_address_can_be_taken_for_an_option_or_obeyed_by_a_shell(text):
    try:
        address = Address.parse(text)
    except ConfigError:
        return
    for word in (address.host, address.user or "x"):
        assert not word.startswith("-")
        assert not set(word) & set(" \t\n'\"`;&|<>(){}\\*?!#~/")


def test_a_password_is_not_taken_and_not_repeated():
    with pytest.raises(ConfigError, match="ssh-copy-id") as raised:
        Address.parse("ada:secret@pi")
    assert "secret" not in str(raised.value)


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ("ssh: Could not resolve hostname pi.local: Name or service not known", "no such host"),
        ("ssh: connect to host pi.local port 2222: Connection refused", "connection refused"),
        ("ssh: connect to host pi.local port 2222: No route to host", "not reachable"),
        ("ssh: connect to host pi.local port 2222: Connection timed out", "no answer in time"),
        ("Connection timed out during banner exchange", "no answer in time"),
        ("Host key verification failed.", "the host key is not known.*ssh -p 2222 ada@pi.local"),
        (
            "@ WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED! @\nHost key verification failed.",
            "not the known one",
        ),
        ("ada@pi.local: Permission denied (publickey).", "login refused.*ssh -p 2222 ada@pi.local"),
        ("/home/ada/.ssh/config: line 3: Bad configuration option: hots", "configuration.*line 3"),
        ("Can't open user config file /none: No such file or directory", "EDGEML_SSH_CONFIG"),
        ("something else\nthat nobody knows\n", "the connection failed: found that nobody knows"),
        ("", "the connection failed; try: ssh -p 2222 ada@pi.local"),
    ],
)
def test_what_ssh_says_becomes_one_line(said, meant):
    with pytest.raises(DeviceError, match=f"ada@pi.local:2222: .*{meant}") as raised:
        raise explain(said, PI)
    assert "\n" not in str(raised.value)


def test_without_an_ssh_program_it_says_so(monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(DeviceError, match="no program 'ssh'; install it: apt install openssh-client"):
        Connection(PI)


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("ssh://pi?pyhton=x", "unknown option 'pyhton'.*did you mean 'python'"),
        ("ssh://pi?threads=none", "threads: expected a number from 1, found none"),
        ("ssh://pi?timeout=0", "timeout: expected seconds"),
        ("ssh://pi?timeout=nan", "timeout: expected seconds"),
        ("ssh://pi?python=-c", "python: expected a path or a name"),
        ("ssh://pi?packages=", "packages: expected a path from / on"),
        ("ssh://pi?packages=~/tree", "packages: expected a path from / on"),
        ("ssh://pi?python=", "python: expected a path or a name"),
        ("ssh://pi?python=~ada/python", "python: expected a path or a name"),
        ("ssh://pi/folder", "ssh: address"),
        ("host:elsewhere", "expected host:"),
        ("host:?thread=2", "unknown option 'thread'.*did you mean 'threads'"),
        ("host:?threads=0", "threads: expected a number from 1, found 0"),
    ],
)
def test_a_wrong_target_is_one_line(url, message):
    with pytest.raises(ConfigError, match=message) as raised:
        open_target(url)
    assert "\n" not in str(raised.value)


def test_every_target_offers_the_same_and_is_described():
    for name in registry.builtin_names("targets"):
        target = registry.find("targets", name)
        assert all(callable(getattr(target, member)) for member in ("check", "load", "latency"))
        page = (Path(__file__).parents[3] / "docs" / "targets.md").read_text(encoding="utf-8")
        assert f"`{name}:" in page
        assert all(f"| `{option}` |" in page for option in target.options)


@given(
    arrays.arrays(
        st.sampled_from([np.float32, np.int8, np.uint8, np.int16, np.int32, np.bool_]),
        arrays.array_shapes(min_dims=0, max_dims=4, min_side=0),
    )
)
def test_arrays_arrive_as_they_were(array):
    there = resident.unpack(json.loads(json.dumps(resident.pack(array))))
    np.testing.assert_array_equal(there, array)
    assert (there.dtype, there.shape) == (array.dtype, array.shape)


def test_all_of_edge_sdk_travels_and_is_the_same_every_time():
    archive = remote._sources()
    assert archive == remote._sources()
    names = zipfile.ZipFile(io.BytesIO(archive)).namelist()
    assert {"edge_sdk/__init__.py", "edge_sdk/resident.py", "edge_sdk/runtimes/litert.py"} <= set(names)
    assert all(name.startswith("edge_sdk/") and name.endswith(".py") for name in names)


def test_landing_says_what_is_there_and_leaves_nothing(tmp_path):
    """As a device does it, without a connection: text and archive over standard input."""
    archive, source = remote._sources(), Path(landing.__file__).read_bytes()
    text = source + f"\nland('token', {len(archive)})\n".encode()
    start = f"import sys; exec(sys.stdin.buffer.read({len(text)}))"
    request = b'{"function": "edge_sdk.resident:pack", "arguments": {"array": 1}}\n'
    with subprocess.Popen(
        [sys.executable, "-c", start],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={"TMPDIR": str(tmp_path), "PATH": ""},
    ) as process:
        process.stdin.write(text + archive + request)
        process.stdin.flush()
        assert process.stdout.readline() == b"\n"
        hello = process.stdout.readline()
        facts = json.loads(hello.removeprefix(b"token"))
        assert facts["python"].startswith("3.")
        assert facts["missing"] == []
        assert "raised" in json.loads(process.stdout.readline())
        (folder,) = tmp_path.iterdir()
        assert folder.stat().st_mode & 0o777 == 0o700
        process.stdin.close()
        process.wait(10)
    assert not list(tmp_path.iterdir())


def test_latencies_of_several_models_are_measured_in_turn():
    runtime = registry.find("runtimes", "litert")
    engines = {name: runtime(flatbuffer()) for name in ("a", "b")}
    found = latency.measure(engines, [np.zeros((1, 8, 3), np.float32)])
    assert set(found) == {"a", "b"}
    assert all(0 < value < 1e5 for value in found.values())
