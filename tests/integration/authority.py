"""A certificate authority of one's own, by the openssl command."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path

_CONFIG = """
[ca]
default_ca = here
[here]
database = {folder}/index.txt
new_certs_dir = {folder}
rand_serial = yes
unique_subject = no
default_md = sha256
policy = any
[any]
commonName = supplied
[req]
distinguished_name = none
[none]
"""


@dataclass(frozen=True)
class Certificate:
    cert: Path
    key: Path


class Authority:
    """Signs certificates with any names and any dates."""

    def __init__(self, folder: Path, name: str = "edgeml-test-ca") -> None:
        folder.mkdir()
        self.folder = folder
        (folder / "index.txt").touch()
        self._config = folder / "ca.cnf"
        self._config.write_text(_CONFIG.format(folder=folder))
        self.ca, self._key = folder / "ca.pem", folder / "ca.key"
        self._openssl(
            "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 3650"
            f" -keyout {self._key} -out {self.ca} -subj /CN={name} -addext basicConstraints=critical,CA:TRUE"
            " -addext keyUsage=critical,keyCertSign,cRLSign -addext subjectKeyIdentifier=hash"
        )

    def sign(
        self,
        name: str,
        *names: str,
        begins: str = "20200101000000Z",
        ends: str = "20990101000000Z",
    ) -> Certificate:
        """A certificate for names such as ``DNS:localhost`` or ``IP:127.0.0.1``."""
        key, request, cert = (self.folder / f"{name}.{end}" for end in ("key", "csr", "pem"))
        extensions = self.folder / f"{name}.ext"
        extensions.write_text(
            "authorityKeyIdentifier = keyid\n"  # Python 3.13 verifies by the letter of RFC 5280
            + (f"subjectAltName = {','.join(names)}\n" if names else "")
        )
        self._openssl(
            "req -new -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes"
            f" -keyout {key} -out {request} -subj /CN={name}"
        )
        self._openssl(
            f"ca -batch -notext -cert {self.ca} -keyfile {self._key} -in {request} -out {cert}"
            f" -extfile {extensions} -startdate {begins} -enddate {ends}"
        )
        return Certificate(cert, key)

    def _openssl(self, words: str) -> None:
        verb, *rest = words.split()
        subprocess.run(
            ["openssl", verb, "-config", str(self._config), *rest],
            check=True,
            capture_output=True,
            cwd=self.folder,
        )
