"""The inventories that links to other projects' documentation are resolved with.

A build must not depend on the network. So the inventories of Python and of cryptography are read
from Debian's packages ``python3-doc`` and ``python-cryptography-doc`` if these are installed, and
fetched otherwise. There are no such packages for trio and anyio, so this module lists the names
that the pages use, and the pages of the two manuals that have them.
"""

from __future__ import annotations

from pathlib import Path

from sphobjinv import DataObjStr, Inventory, compress, writebytes

TRIO = "https://trio.readthedocs.io/en/stable/"

TRIO_PAGES = {
    "reference-core": {
        "exception": [
            "trio.BusyResourceError",
            "trio.BrokenResourceError",
            "trio.ClosedResourceError",
            "trio.EndOfChannel",
            "trio.TooSlowError",
        ],
    },
    "reference-io": {
        "exception": ["trio.NeedHandshakeError"],
        "class": [
            "trio.SSLListener",
            "trio.SSLStream",
            "trio.SocketStream",
            "trio.abc.HalfCloseableStream",
            "trio.abc.Listener",
            "trio.abc.Stream",
        ],
        "function": [
            "trio.open_ssl_over_tcp_listeners",
            "trio.open_ssl_over_tcp_stream",
            "trio.open_tcp_listeners",
            "trio.open_tcp_stream",
            "trio.serve_listeners",
            "trio.serve_ssl_over_tcp",
        ],
    },
}

ANYIO = "https://anyio.readthedocs.io/en/stable/"

ANYIO_PAGES = {
    "api": {
        "exception": [
            "anyio.BrokenResourceError",
            "anyio.BusyResourceError",
            "anyio.ClosedResourceError",
            "anyio.EndOfStream",
            "anyio.TypedAttributeLookupError",
        ],
        "class": [
            "anyio.abc.ByteStream",
            "anyio.streams.buffered.BufferedByteReceiveStream",
            "anyio.streams.tls.TLSAttribute",
        ],
        "function": ["anyio.connect_tcp", "anyio.create_tcp_listener"],
    },
}

#: The address, and the names by page, of the manuals whose inventories are written here.
WRITTEN = {"trio": (TRIO, TRIO_PAGES), "anyio": (ANYIO, ANYIO_PAGES)}

DEBIAN = {
    "python": ("https://docs.python.org/3/", "python3/html/objects.inv"),
    "cryptography": (
        "https://cryptography.io/en/latest/",
        "python-cryptography-doc/html/objects.inv",
    ),
}


def inventories(folder: Path) -> dict[str, tuple[str, tuple[str | None, ...]]]:
    """Return Sphinx's ``intersphinx_mapping``; some inventories are written to ``folder``."""
    folder.mkdir(exist_ok=True)
    mapping: dict[str, tuple[str, tuple[str | None, ...]]] = {}
    for name, (address, pages) in WRITTEN.items():
        path = folder / f"{name}.inv"
        write_inventory(path, name, pages)
        mapping[name] = (address, (str(path),))
    for name, (address, installed) in DEBIAN.items():
        local = Path("/usr/share/doc") / installed
        mapping[name] = (address, (str(local) if local.exists() else None,))
    return mapping


def write_inventory(path: Path, project: str, pages: dict[str, dict[str, list[str]]]) -> None:
    """Write an inventory of ``pages`` to ``path``."""
    inventory = Inventory()
    inventory.project, inventory.version = project, ""
    for page, kinds in pages.items():
        for kind, names in kinds.items():
            inventory.objects += [
                DataObjStr(
                    name=name,
                    domain="py",
                    role=kind,
                    priority="1",
                    uri=f"{page}.html#$",
                    dispname="-",
                )
                for name in names
            ]
    writebytes(str(path), compress(inventory.data_file()))
