"""Wrong arguments on the command line: each is reported in one line, with a remedy."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import trio
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
)
from processes import CLI, ROOT, Result, run_program

from trio_tlsx.cli import commands, failures
from trio_tlsx.cli.dialing import Destination
from trio_tlsx.cli.options import Target, parse_target
from trio_tlsx.pki.credentials import PrivateKeySigner
from trio_tlsx.testing import CA, write_pem_files

CONNECT = (*CLI, "connect")

PASSWORD = "correct horse"


def assert_one_error_line(result: Result, status: int = 1) -> str:
    (line,) = result.error_lines
    assert line.startswith("trio-tlsx: ")
    assert result.status == status
    return line


def run(
    arguments: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Result:
    """Run the command in this process."""
    monkeypatch.setattr(sys, "argv", ["trio-tlsx", *arguments])
    status = commands.run()
    output, errors = capsys.readouterr()
    return Result(status, output.encode(), errors.encode())


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["frobnicate"], "frobnicate"),
        (["demo", "--mebibytes", "0"], "mebibytes"),
        (["connect"], "HOST[:PORT]"),
        (["connect", "localhost:http"], "'localhost:http' is not HOST or HOST:PORT"),
        (
            ["connect", "localhost", "--tls-min", "1.3", "--tls-max", "1.2"],
            "--tls-min 1.3 is newer than --tls-max 1.2",
        ),
        (["check", "localhost", "--tls-max", "1.1"], "'1.1' is not one of '1.2', '1.3'"),
        (["connect", "localhost:0"], "'localhost:0' is not HOST or HOST:PORT"),
        (["connect", "localhost:"], "'localhost:' is not HOST or HOST:PORT"),
        (["connect", ":443"], "':443' is not HOST or HOST:PORT"),
        (["connect", "[::1"], "'[::1' is not HOST or HOST:PORT"),
        (["connect", "[::1]443"], "'[::1]443' is not HOST or HOST:PORT"),
        (["connect", "::1:443"], "brackets"),
        (["connect", "http://localhost/"], "'http://localhost/' is not a URL of https"),
        (["connect", "https://[::1"], "URL cannot be read"),
        (["connect", "https:///path"], "'https:///path' is not HOST or HOST:PORT"),
        (["connect", "localhost/path"], "https://HOST/PATH"),
        (["connect", "localhost:1", "--ca", "no-such-file.pem"], "no-such-file.pem"),
        (["connect", "localhost:1", "--ca", "README.md"], "--ca: 'README.md' holds no cert"),
        (["connect", "localhost:1", "--ca", "README.md", "--insecure"], "--insecure"),
        (["connect", "localhost:1", "--json", "--quiet"], "--quiet"),
        (["connect", "localhost:1", "--json", "--pem"], "--pem"),
        (["connect", "localhost:1", "--groups", "X25519,frob"], "frob"),
        (["connect", "localhost:1", "--alpn", "a,,b"], "a,,b"),
        (["connect", "localhost:1", "--alpn", "x" * 256], "255"),
        (["connect", "localhost:1", "--alpn", "é"], "ALPN"),
        (["connect", "localhost:1", "--server-name", "a..b"], "a..b"),
        (["connect", "localhost:1", "--cert", "README.md"], "--cert and --key need each other"),
        (["connect", "localhost:1", "--key-password", "prompt"], "needs --cert and --key"),
        (["connect", "localhost:1", "--cert", "README.md", "--key", "LICENSE"], "README.md"),
        (["connect", "localhost:1", "--keylog", "no/such/folder"], "no/such/folder"),
        (["connect", "localhost:1", "--timeout", "0"], "--timeout"),
        (["connect", "localhost:1", "--starttls", "ftp"], "smtp"),
        (["connect", "localhost:1", "--proxy", "localhost:3128"], "http://HOST:PORT"),
        (["connect", "localhost:1", "--proxy", "ftp://localhost:3128"], "https://HOST:PORT"),
        (["connect", "localhost:1", "--proxy", "https://localhost"], "give the proxy as https:"),
        (["connect", "localhost:1", "--proxy", "http://localhost"], "has no port"),
        (["serve"], "--self-signed"),
        (["serve", "--self-signed", "--cert", "README.md", "--key", "README.md"], "--cert"),
        (["serve", "--cert", "README.md"], "--key"),
        (["serve", "--cert", "README.md", "--key", "LICENSE"], "'README.md' holds no certificate"),
        (["serve", "--self-signed", "--client-ca", "README.md"], "--client-ca: 'README.md'"),
        (["serve", "--self-signed", "--http", "--early-data"], "remove --http"),
        (["serve", "--self-signed", "--port", "65536"], "65536"),
        (["serve", "--self-signed", "--host", "no.such.host.invalid"], "no.such.host.invalid"),
        (["serve", "--self-signed", "--log", "no/such/folder"], "no/such/folder"),
    ],
)
def test_mistake_is_one_line(
    arguments: list[str],
    named: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(ROOT)
    result = run(arguments, monkeypatch, capsys)
    assert named.lower() in assert_one_error_line(result, result.status).lower()
    assert result.status in (1, 2)
    assert result.stdout == b""


@pytest.mark.parametrize(
    ("text", "target", "port"),
    [
        ("localhost", Target("localhost", None), 443),
        ("localhost:4433", Target("localhost", 4433), 4433),
        ("[::1]", Target("::1", None), 443),
        ("[::1]:4433", Target("::1", 4433), 4433),
        ("https://localhost", Target("localhost", None), 443),
        ("https://localhost/a/b?c=d#e", Target("localhost", None), 443),
        ("https://somebody:secret@localhost:4433/", Target("localhost", 4433), 4433),
        ("HTTPS://[::1]:4433/", Target("::1", 4433), 4433),
    ],
)
def test_hosts_and_urls_are_taken_apart(text: str, target: Target, port: int) -> None:
    assert parse_target(text) == target
    assert Destination.of(*target, None, None, 1).port == port


def test_the_port_is_the_protocols_own() -> None:
    assert Destination.of("localhost", None, "imap", None, 1).port == 143
    assert str(Destination.of("::1", None, "postgres", None, 1)) == "[::1]:5432"


def test_errors_wrap_between_words(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "40")
    failures.print_failure(OSError("a message of words that is longer than the terminal"))
    shown = capsys.readouterr().err
    assert shown == ("trio-tlsx: a message of words that is\nlonger than the terminal\n")


# Passwords


@pytest.fixture
def encrypted(tmp_path: Path) -> tuple[str, ...]:
    """A certificate and its encrypted key, as options."""
    credentials = CA().issue("localhost")
    cert, key = write_pem_files(credentials, tmp_path)
    assert isinstance(credentials.signer, PrivateKeySigner)
    key.write_bytes(
        credentials.signer.private_key.private_bytes(
            Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(PASSWORD.encode())
        )
    )
    return "--cert", str(cert), "--key", str(key)


@pytest.mark.parametrize(
    ("source", "named", "status"),
    [
        (None, "is encrypted; add --key-password with prompt, env:NAME or file:FILE", 2),
        ("env:NO_SUCH_VARIABLE", "the variable NO_SUCH_VARIABLE is not set", 2),
        ("env:WRONG_PASSWORD", "cannot be read with this password", 1),
        ("file:{empty}", "is empty", 2),
        ("file:{missing}", "No such file", 1),
        (PASSWORD, "--key-password takes prompt, env:NAME or file:FILE", 2),
    ],
)
def test_key_password_that_does_not_work(
    source: str | None,
    named: str,
    status: int,
    encrypted: tuple[str, ...],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("WRONG_PASSWORD", "battery staple")
    (tmp_path / "empty").write_text("")
    options = []
    if source is not None:
        paths = {"empty": tmp_path / "empty", "missing": tmp_path / "missing"}
        options = ["--key-password", source.format(**paths)]
    result = run(["connect", "localhost:1", *encrypted, *options], monkeypatch, capsys)
    line = assert_one_error_line(result, status)
    assert named in line
    assert PASSWORD not in line
    assert "battery staple" not in line


@pytest.mark.parametrize("source", ["env:KEY_PASSWORD", "file:{file}", "prompt"])
def test_key_password_from_each_source(
    source: str,
    encrypted: tuple[str, ...],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    file = tmp_path / "password"
    file.write_text(PASSWORD + "\n")
    monkeypatch.setenv("KEY_PASSWORD", PASSWORD)
    monkeypatch.setattr("click.termui.hidden_prompt_func", lambda _prompt: PASSWORD)  # pyright: ignore
    options = ["--key-password", source.format(file=file), "--timeout", "0.001"]
    result = run(["connect", "127.0.0.1:1", *encrypted, *options], monkeypatch, capsys)
    line = result.error_lines[-1]
    assert "127.0.0.1:1" in line  # the key was read, and the connection failed


# The rest


async def test_refused_connection_and_taken_port() -> None:
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    port = str(listener.socket.getsockname()[1])
    async with listener:
        taken = await run_program([*CLI, "serve", "--self-signed", "--port", port])
    refused = await run_program([*CONNECT, f"localhost:{port}"])
    assert "Address already in use" in assert_one_error_line(taken)
    assert "Connection refused" in assert_one_error_line(refused)


@pytest.mark.parametrize("library", ["click", "rich"])
async def test_without_the_extra_it_says_how_to_get_it(library: str) -> None:
    program = f"import sys; sys.modules[{library!r}] = None; import trio_tlsx.cli as c; c.main()"
    result = await run_program([sys.executable, "-c", program])
    assert "pip install 'trio-tlsx[cli]'" in assert_one_error_line(result)


async def test_help_and_version() -> None:
    for arguments in ([], ["--help"], ["connect", "--help"], ["--version"]):
        result = await run_program([*CLI, *arguments])
        assert result.status == 0
        assert result.stderr == b""
        assert b"trio-tlsx" in result.stdout


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
async def test_every_shell_has_a_completion_script(shell: str) -> None:
    script = await run_program(CLI, _TRIO_TLSX_COMPLETE=f"{shell}_source")
    assert script.status == 0
    assert b"trio-tlsx" in script.stdout


async def test_options_are_completed() -> None:
    completed = await run_program(
        CLI,
        _TRIO_TLSX_COMPLETE="bash_complete",
        COMP_WORDS="trio-tlsx connect --st",
        COMP_CWORD="2",
    )
    assert b"--starttls" in completed.stdout
