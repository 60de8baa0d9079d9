"""Create the certificates for a run."""

from __future__ import annotations

from pathlib import Path

from trio_tlsx.testing import CA, write_pem_files

from .settings import KEY_TYPES, NAME, PKI


def create_pki(directory: Path) -> PKI:
    for certificate, key_type in KEY_TYPES.items():
        folder = directory / certificate
        folder.mkdir()
        root = CA(key_type=key_type)
        leaf = root.intermediate(key_type=key_type).issue(NAME, key_type=key_type)
        (folder / "ca.pem").write_bytes(root.pem)
        write_pem_files(leaf, folder)
    return PKI(directory)
