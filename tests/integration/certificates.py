"""An authority and its certificates, made by the openssl program."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path

_CONFIG = """
[ca]
default_ca = authority
[authority]
database = {folder}/index.txt
new_certs_dir = {folder}
rand_serial = yes
default_md = sha256
policy = policy
unique_subject = no
[policy]
commonName = supplied
[req]
distinguished_name = name
[name]
[root]
basicConstraints = critical,CA:TRUE
keyUsage = critical,keyCertSign,cRLSign
subjectKeyIdentifier = hash
"""
_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")


@dataclass(frozen=True)
class Identity:
    """A certificate and its key."""

    cert: Path
    key: Path


class Authority:
    """Signs certificates with any dates and names."""

    def __init__(self, folder: Path, name: str = "authority") -> None:
        self._folder = folder / name
        self._folder.mkdir()
        self._config = self._folder / "openssl.cnf"
        self._config.write_text(_CONFIG.format(folder=self._folder))
        (self._folder / "index.txt").touch()
        self.cert, self._key = self._folder / "ca.pem", self._folder / "ca.key"
        request = ("req", "-x509", *_KEY, "-subj", f"/CN={name}", "-extensions", "root")
        self._openssl(*request, "-days", "2", "-keyout", self._key, "-out", self.cert)

    def issue(self, name: str, *hosts: str, start: str | None = None, end: str | None = None) -> Identity:
        """A certificate.

        Args:
            name: its common name.
            hosts: its alternative names, such as ``DNS:localhost``; default: ``IP:127.0.0.1``.
            start: first moment at which it is valid, ``20400101000000Z``; default: now.
            end: last one.
        """
        made = Identity(self._folder / f"{name}.pem", self._folder / f"{name}.key")
        request, extensions = self._folder / f"{name}.csr", self._folder / f"{name}.cnf"
        self._openssl("req", "-new", *_KEY, "-subj", f"/CN={name}", "-keyout", made.key, "-out", request)
        extensions.write_text(
            "basicConstraints=critical,CA:FALSE\nsubjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid\n"
            f"subjectAltName={','.join(hosts or ('IP:127.0.0.1',))}\n"
        )
        dates = ["-startdate", start] if start else []
        dates += ["-enddate", end] if end else ["-days", "2"]
        sign = ("ca", "-batch", "-notext", "-cert", self.cert, "-keyfile", self._key, *dates)
        self._openssl(*sign, "-extfile", extensions, "-in", request, "-out", made.cert)
        return made

    def _openssl(self, command: str, *arguments: object) -> None:
        subprocess.run(
            ["openssl", command, "-config", self._config, *map(str, arguments)],
            check=True,
            capture_output=True,
            stdin=subprocess.DEVNULL,
        )
