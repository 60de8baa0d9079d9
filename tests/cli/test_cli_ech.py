"""Encrypted Client Hello on the command line, and the example."""

from __future__ import annotations

import json
import stat
import sys
from pathlib import Path

import pytest
from processes import CLI, EXAMPLES, Result, run_program, running

from trio_tlsx import ECHKey
from trio_tlsx.testing import CA, write_pem_files

SERVE = (*CLI, "serve", "--port", "0")
PUBLIC_NAME = "public.example"


@pytest.fixture
def both_names(ca: CA, tmp_path: Path) -> tuple[str | Path, ...]:
    """The options of a certificate for localhost and the public name."""
    cert, key = write_pem_files(ca.issue("localhost", PUBLIC_NAME), tmp_path)
    return "--cert", cert, "--key", key


async def keygen(path: Path) -> str:
    """Generate a key into a file; return the configuration to publish."""
    result = await run_program([*CLI, "ech-keygen", "--public-name", PUBLIC_NAME, path])
    assert result.status == 0
    return result.stdout.decode().strip()


async def test_a_name_is_hidden_from_end_to_end(
    both_names: tuple[str | Path, ...], ca_file: Path, tmp_path: Path
) -> None:
    path = tmp_path / "ech.pem"
    configs = await keygen(path)
    assert ECHKey.from_pem(path.read_bytes()).config.public_name == PUBLIC_NAME
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    async with running(*SERVE, *both_names, "--ech-key", path) as server:
        target = f"localhost:{server.port}"
        options = ["--ca", ca_file, "--json", target]
        hidden = await run_program([*CLI, "connect", "--ech", configs, *options])
        assert json.loads(hidden.stdout)["ech_accepted"] is True
        greased = await run_program([*CLI, "connect", "--ech", "grease", *options])
        assert json.loads(greased.stdout)["ech_accepted"] is False


async def test_the_report_and_the_page_say_whether_the_name_was_hidden(
    both_names: tuple[str | Path, ...], ca_file: Path, tmp_path: Path
) -> None:
    configs = await keygen(tmp_path / "ech.pem")
    serve = (*SERVE, *both_names, "--ech-key", tmp_path / "ech.pem", "--http")
    async with running(*serve) as server:
        connect = [*CLI, "connect", "--ca", ca_file, f"localhost:{server.port}"]
        for options, answer in ((["--ech", configs], b"yes"), (["--ech", "grease"], b"no")):
            request = b"GET / HTTP/1.1\r\n\r\n"
            result = await run_program([*connect, *options], stdin=request)
            assert b"name hidden   " + answer in result.stdout
            assert b"<th>Name hidden</th><td>%b</td>" % answer in result.stdout


async def test_a_stale_configuration_is_an_error_with_the_current_one(
    both_names: tuple[str | Path, ...], ca_file: Path, tmp_path: Path
) -> None:
    stale = await keygen(tmp_path / "stale.pem")
    current = await keygen(tmp_path / "current.pem")
    async with running(*SERVE, *both_names, "--ech-key", tmp_path / "current.pem") as server:
        connect = [*CLI, "connect", f"localhost:{server.port}"]
        result = await run_program([*connect, "--ca", ca_file, "--ech", stale])
        insecure = await run_program([*connect, "--insecure", "--ech", stale])
        followed = await run_program([*connect, "--ca", ca_file, "--ech", current, "--json"])
    assert result.status == insecure.status == 1
    advice = f"public.example has other keys now; give --ech {current}"
    assert result.stderr.decode().rstrip().endswith(advice)
    assert b"it was not verified; remove --insecure" in insecure.stderr
    assert json.loads(followed.stdout)["ech_accepted"] is True


async def test_a_server_without_ech_is_an_error_with_advice(
    both_names: tuple[str | Path, ...], ca_file: Path, tmp_path: Path
) -> None:
    configs = await keygen(tmp_path / "ech.pem")
    async with running(*SERVE, *both_names) as server:
        options = ["--ca", ca_file, "--ech", configs, f"localhost:{server.port}"]
        result = await run_program([*CLI, "connect", *options])
    assert result.status == 1
    assert b"has turned ECH off; leave out --ech if the name may be seen" in result.stderr


async def test_a_server_that_is_not_the_public_name(ca: CA, ca_file: Path, tmp_path: Path) -> None:
    configs = await keygen(tmp_path / "ech.pem")
    cert, key = write_pem_files(ca.issue("localhost"), tmp_path)
    async with running(*SERVE, "--cert", cert, "--key", key) as server:
        options = ["--ca", ca_file, "--ech", configs, f"localhost:{server.port}"]
        result = await run_program([*CLI, "connect", *options])
    assert result.status == 1
    assert (
        b"rejected the encrypted ClientHello, and cannot be verified as 'public.example', "
        b"the public name of the ECH configuration: certificate is for 'localhost'"
    ) in result.stderr
    assert b"--server-name" not in result.stderr


async def test_a_certificate_without_the_public_name_is_refused(ca: CA, tmp_path: Path) -> None:
    await keygen(tmp_path / "ech.pem")
    cert, key = write_pem_files(ca.issue("localhost"), tmp_path)
    result = await run_program(
        [*SERVE, "--cert", cert, "--key", key, "--ech-key", tmp_path / "ech.pem"]
    )
    assert result.status == 1
    assert f"--cert {cert} --key {key}: no certificate is for 'public.example'" in (
        result.stderr.decode()
    )


async def test_no_key_is_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "ech.pem"
    await keygen(path)
    before = path.read_bytes()
    result = await run_program([*CLI, "ech-keygen", "--public-name", PUBLIC_NAME, path])
    assert result.status == 1
    assert b"File exists" in result.stderr
    assert path.read_bytes() == before


async def test_a_file_without_a_key_is_named(
    both_names: tuple[str | Path, ...], ca_file: Path
) -> None:
    result = await run_program([*SERVE, *both_names, "--ech-key", ca_file])
    assert result.status == 1
    assert f"--ech-key: the file {ca_file}".encode() in result.stderr


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["connect", "--ech", "grease"], "--ech needs TLS 1.3; remove --tls-max 1.2"),
        (["serve", "--self-signed", "--ech-key"], "--ech-key needs TLS 1.3; remove --tls-max 1.2"),
    ],
    ids=["connect", "serve"],
)
async def test_ech_needs_tls_1_3(arguments: list[str], text: str, ca_file: Path) -> None:
    last = "localhost:1" if arguments[0] == "connect" else ca_file
    result = await run_program([*CLI, arguments[0], "--tls-max", "1.2", *arguments[1:], last])
    assert result.status == 2
    assert text in result.stderr.decode()


async def test_a_file_is_no_configuration() -> None:
    result = await run_program([*CLI, "connect", "--ech", "configs.txt", "localhost:1"])
    assert result.status == 1
    assert b"they are not in base64" in result.stderr
    assert b"as 'trio-tlsx ech-keygen' prints it" in result.stderr


async def test_example_follows_a_change_of_the_keys(
    both_names: tuple[str | Path, ...], ca_file: Path, tmp_path: Path
) -> None:
    stale = await keygen(tmp_path / "stale.pem")
    await keygen(tmp_path / "current.pem")
    async with running(*SERVE, *both_names, "--ech-key", tmp_path / "current.pem") as server:
        client = [sys.executable, EXAMPLES / "hidden_name.py", "localhost", str(server.port)]
        result = await run_program([*client, stale, ca_file])
    assert result == Result(0, b"name hidden: True\nb'hello'\n", b"")
