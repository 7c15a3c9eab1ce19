"""One of the trusted keys signed exactly these bytes, for this purpose; made by the real ssh-keygen."""

import shutil
import stat
import subprocess

import pytest

from edge_sdk.deploy import signature
from edge_sdk.deploy.signature import PublicKey
from edge_sdk.errors import ConfigError, DeviceError, GateError

pytestmark = pytest.mark.skipif(
    shutil.which("ssh-keygen") is None, reason="needs ssh-keygen: apt install openssh-client"
)


@pytest.fixture(scope="module")
def keys(tmp_path_factory):
    """Two private keys."""
    folder = tmp_path_factory.mktemp("keys")
    for name in ("mine", "other"):
        signature.new_key(folder / name, f"{name} key")
    return folder / "mine", folder / "other"


@pytest.fixture
def trusted(tmp_path, keys):
    file = tmp_path / "trusted_signers"
    file.write_text(signature.allowed_signers([PublicKey.read(signature.public_part(keys[0]))]))
    return file


def test_a_trusted_key_is_enough(keys, trusted):
    signature.verify(b"release", signature.sign(b"release", keys[0]), trusted)
    assert signature.trusted_keys(trusted) == (PublicKey.read(keys[0].with_suffix(".pub")),)


def test_anything_else_is_refused(keys, trusted):
    good = signature.sign(b"release", keys[0])
    for data, signed in (
        (b"releasE", good),
        (b"release", signature.sign(b"release", keys[1])),
        (b"release", b""),
        (b"release", b"nonsense"),
        (b"release", good.replace(b"A", b"B", 1)),
        (b"", good),
    ):
        with pytest.raises(GateError, match="expected one of a key that this device trusts"):
            signature.verify(data, signed, trusted)


def test_a_signature_for_another_purpose_counts_nothing(keys, trusted):
    command = ["ssh-keygen", "-Y", "sign", "-q", "-f", keys[0], "-n", "git"]
    done = subprocess.run(command, input=b"release", capture_output=True, check=True)
    with pytest.raises(GateError):
        signature.verify(b"release", done.stdout, trusted)


def test_without_trusted_keys_nothing_is_good(keys, trusted, tmp_path):
    good = signature.sign(b"release", keys[0])
    with pytest.raises(DeviceError, match="edgeml keys trust"):
        signature.verify(b"release", good, tmp_path / "none")
    trusted.write_text("")
    with pytest.raises(GateError):
        signature.verify(b"release", good, trusted)


def test_a_new_key_is_for_its_owner_alone_and_never_replaces_one(tmp_path):
    file = tmp_path / "deep" / "key"
    key = signature.new_key(file, "me at home")
    assert key.line.startswith("ssh-ed25519 ")
    assert key.comment == "me at home"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    before = file.read_bytes()
    with pytest.raises(ConfigError, match="is there already"):
        signature.new_key(file, "")
    assert file.read_bytes() == before


def test_a_key_that_cannot_sign_says_why(keys, tmp_path):
    protected = tmp_path / "protected"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "secret", "-f", protected], check=True)
    for key in (tmp_path / "none", protected):
        with pytest.raises(ConfigError, match=r"cannot sign with .*ssh-add"):
            signature.sign(b"release", key)


def test_what_a_hostile_file_of_signers_says_is_refused(tmp_path):
    file = tmp_path / "trusted_signers"
    file.write_text("* cert-authority ssh-ed25519 AAAA\n")
    with pytest.raises(ConfigError, match="not an ed25519 key"):
        signature.trusted_keys(file)


def test_a_comment_cannot_smuggle_a_line(keys):
    key = PublicKey.read(signature.public_part(keys[0]))
    text = signature.allowed_signers([PublicKey.parse(f"{key.kind} {key.data} a\x1b[2Jb")])
    assert text.count("\n") == 1
    assert "\x1b" not in text
    with pytest.raises(ConfigError):
        PublicKey.parse(f"{key.kind} {key.data} a\nssh-ed25519 AAAA b")
