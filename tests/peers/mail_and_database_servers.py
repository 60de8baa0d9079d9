"""Servers that start TLS in the middle of a connection: aiosmtpd, Dovecot and PostgreSQL."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

from processes import free_port, peer_program, run_program, running

from trio_tlsx.pki.credentials import Credentials
from trio_tlsx.testing import write_pem_files

DOVECOT = """\
base_dir = {directory}/base
state_dir = {directory}/state
log_path = /dev/stderr
protocols = imap
listen = 127.0.0.1
default_internal_user = {user}
default_login_user = {user}
default_internal_group = {group}
ssl = yes
ssl_cert = <{certificate}
ssl_key = <{key}
passdb {{
  driver = static
  args = password=secret
}}
userdb {{
  driver = static
  args = uid={user} gid={group} home={directory}
}}
service anvil {{
  chroot =
}}
service imap-login {{
  chroot =
  inet_listener imap {{
    port = {port}
  }}
  inet_listener imaps {{
    port = 0
  }}
}}
"""


class Unprivileged:
    """A directory, and the user that the programs in it run as: not root, who may not run some.

    Args:
        directory: where the programs find and keep their files.

    Attributes:
        prefix: what stands before a command to run it as the user.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.prefix: tuple[str, ...] = ()
        if os.geteuid() == 0:
            self.prefix = ("setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups")
        self._give(directory)
        self.user, self.group = directory.owner(), directory.group()

    def write(self, name: str, content: str | bytes) -> Path:
        path = self.directory / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        path.chmod(0o600)
        self._give(path)
        return path

    def write_credentials(self, credentials: Credentials) -> tuple[Path, Path]:
        """Write the certificates and the key; return the files."""
        names = write_pem_files(credentials, self.directory)
        certificate, key = (self.write(Path(p).name, Path(p).read_bytes()) for p in names)
        return certificate, key

    def _give(self, path: Path) -> None:
        if self.prefix:
            shutil.chown(path, "nobody", "nogroup")


@contextmanager
def unprivileged() -> Generator[Unprivileged]:
    """A directory of a user who is not root, for as long as the block lasts."""
    with tempfile.TemporaryDirectory(prefix="tlsx") as name:
        yield Unprivileged(Path(name))


@asynccontextmanager
async def aiosmtpd(credentials: Credentials) -> AsyncGenerator[int, None]:
    """An SMTP server; gives its port."""
    port = free_port()
    with unprivileged() as user:
        certificate, key = user.write_credentials(credentials)
        files = ("--tlscert", certificate, "--tlskey", key)
        program = (sys.executable, "-m", "aiosmtpd", "-n", "-d", "-l", f"127.0.0.1:{port}")
        async with running(*program, *files, says=b"is listening"):
            yield port


@asynccontextmanager
async def dovecot(credentials: Credentials) -> AsyncGenerator[int, None]:
    """An IMAP server; gives its port."""
    port = free_port()
    with unprivileged() as user:
        certificate, key = user.write_credentials(credentials)
        configuration = user.write(
            "dovecot.conf",
            DOVECOT.format(
                directory=user.directory,
                user=user.user,
                group=user.group,
                certificate=certificate,
                key=key,
                port=port,
            ),
        )
        command = (*user.prefix, "dovecot", "-F", "-c", configuration)
        async with running(*command, says=b"starting up"):
            yield port


@asynccontextmanager
async def postgresql(credentials: Credentials) -> AsyncGenerator[int, None]:
    """A PostgreSQL server; gives its port."""
    port = free_port()
    programs = postgresql_programs()
    with unprivileged() as user:
        certificate, key = user.write_credentials(credentials)
        data = user.directory / "data"
        initdb = (programs / "initdb", "-D", data, "-A", "trust", "-U", "postgres", "--no-sync")
        result = await run_program([*user.prefix, *initdb])
        assert not result.status, result.stderr
        settings = {
            "port": port,
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": "",
            "ssl": "on",
            "ssl_cert_file": certificate,
            "ssl_key_file": key,
            "fsync": "off",
        }
        options = [f"--{name}={value}" for name, value in settings.items()]
        command = (*user.prefix, programs / "postgres", "-D", data, *options)
        async with running(*command, says=b"ready to accept connections"):
            yield port


def postgresql_programs() -> Path:
    """The folder with PostgreSQL's programs, which Debian keeps out of PATH."""
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    return folders[-1].parent if folders else Path(peer_program("initdb", "postgresql")).parent
