"""wolfSSL."""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import ClassVar

import trio
from peer import CannotDoThat, Inabilities, Inability, Role, without_groups, without_mldsa
from processes import peer_header
from program_peer import PROGRAMS, ProgramPeer, build_directory, compile_program

from trio_tlsx.crypto.groups import GROUPS

__all__ = ["WolfSSLPeer"]

#: What wolfSSL lacks before 5.7.
POST_QUANTUM = [group.name for group in GROUPS.values() if group.is_post_quantum]

NO_STAPLES = Inability("the program does not use its OCSP", CannotDoThat)


@cache
def compiled() -> Path:
    """Compile the program."""
    output = build_directory() / "wolfssl-peer"
    source = PROGRAMS / "peer.c"
    compile_program(["cc", "-o", output, source, "-lwolfssl"], PATH=os.environ["PATH"])
    return output


def without_rsa_pss_keys() -> Inabilities:
    """What wolfSSL lacks: keys that are for RSA-PSS alone."""
    inability = Inability("it has no keys that are for RSA-PSS alone", trio.BrokenResourceError)
    inabilities: dict[tuple[Role, str], Inability] = {}
    for digest in ("sha256", "sha384", "sha512"):
        scheme = f"rsa_pss_pss_{digest}"
        inabilities["client", scheme] = inabilities["server", scheme] = inability
    for role in ("client", "server"):
        inabilities[role, "RSA-PSS in TLS 1.2"] = inability
    return inabilities


class WolfSSLPeer(ProgramPeer):
    name = "wolfssl"
    key_share = "secp256r1"
    needs = (("cc", "gcc"),)
    cannot: ClassVar[Inabilities] = {
        ("client", "staple"): NO_STAPLES,
        ("server", "staple"): NO_STAPLES,
        ("server", "cookie"): Inability("its cookies come with other reasons", CannotDoThat),
        ("server", "wrong groups"): Inability(
            "its HelloRetryRequest asks for no change, where it has no common group",
            AssertionError,
        ),
        **without_rsa_pss_keys(),
        **without_mldsa("it has no ML-DSA", AssertionError),
        **without_groups("it has no ML-KEM", *POST_QUANTUM),
    }

    def require(self) -> None:
        peer_header("wolfssl/ssl.h", "libwolfssl-dev")
        super().require()

    def command(self) -> Sequence[str | Path]:
        return [compiled()]
