"""Java's JSSE."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import ClassVar

from peer import CannotDoThat, Inabilities, Inability, without_groups, without_mldsa
from program_peer import PROGRAMS, ProgramPeer, build_directory, compile_program

from trio_tlsx.crypto.groups import GROUPS

__all__ = ["JavaPeer"]


@cache
def compiled() -> Path:
    """Compile the program; return the directory of its classes."""
    javac = shutil.which("javac")
    assert javac is not None
    classes = build_directory() / "java"
    compile_program([javac, "-d", classes, PROGRAMS / "Peer.java"], PATH=os.environ["PATH"])
    return classes


#: What every JDK before 27 lacks.
POST_QUANTUM = [group.name for group in GROUPS.values() if group.is_post_quantum]

CERTIFICATE_UNKNOWN = Inability("its alert is certificate_unknown", AssertionError)
NO_EXPORTER = Inability("it exports no keying material before JDK 25", AssertionError)


class JavaPeer(ProgramPeer):
    name = "java"
    needs = (("javac", "openjdk-17-jdk-headless"), ("java", "openjdk-17-jre-headless"))
    cannot: ClassVar[Inabilities] = {
        ("client", "export"): NO_EXPORTER,
        ("server", "export"): NO_EXPORTER,
        ("server", "staple"): Inability("it asks the responder itself", CannotDoThat),
        ("server", "cookie"): Inability("it asks for no cookies", CannotDoThat),
        ("server", "count tickets"): Inability("it sends one ticket", AssertionError),
        ("client", "wrong CA"): CERTIFICATE_UNKNOWN,
        ("server", "wrong CA"): CERTIFICATE_UNKNOWN,
        ("client", "wrong name"): CERTIFICATE_UNKNOWN,
        ("server", "wrong groups"): Inability("its alert is unexpected_message", AssertionError),
        **without_mldsa("it has no ML-DSA before JDK 24", AssertionError),
        **without_groups("it has no ML-KEM", *POST_QUANTUM),
    }

    def command(self) -> Sequence[str | Path]:
        return ["java", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-cp", compiled(), "Peer"]
