"""The command line of BoringSSL's shim: its flags, and the connections that they apply to."""

from __future__ import annotations

import base64
import os

__all__ = ["Flags", "Unimplemented", "parse", "versions"]

#: The versions that we have, by the flag that turns each off.
VERSIONS = {"-no-tls13": ("TLSv1.3", 0x0304), "-no-tls12": ("TLSv1.2", 0x0303)}

# Flags that stand alone; "-on-initial-", "-on-resume-" or "-on-retry-" before one limits it to
# those connections.
_SWITCHES = """
    -server -ipv6 -async -implicit-handshake -no-tls13 -no-tls12 -no-tls11 -no-tls1
    -require-any-client-certificate -verify-peer -verify-fail -use-custom-verify-callback
    -expect-verify-result -expect-no-peer-cert -expect-hrr -expect-no-hrr -decline-alpn
    -reject-alpn -shim-writes-first -shim-shuts-down -check-close-notify
    -read-with-unfinished-write -no-op-extra-handshake -handshake-twice -server-preference
    -expect-extended-master-secret -expect-secure-renegotiation -use-early-callback
    -use-old-client-cert-callback -permute-extensions -renegotiate-ignore -use-export-context
    -forbid-renegotiation-after-handshake -expect-no-session-id
    -reverify-on-resume -expect-session-miss -expect-no-session -expect-ticket-renewal
    -no-ticket -use-ticket-callback -use-ticket-aead-callback -skip-ticket -renew-ticket
    -new-x509-credential -must-match-issuer -fail-cert-callback -fail-early-callback
    -install-ddos-callback -fail-ddos-callback -install-cert-compression-algs
    -enable-ocsp-stapling -use-ocsp-callback -set-ocsp-in-callback -decline-ocsp-callback
    -fail-ocsp-callback -enable-signed-cert-timestamps -key-update -export-traffic-secrets
    -enable-early-data -expect-accept-early-data -expect-reject-early-data
    -expect-ticket-supports-early-data -expect-no-offer-early-data -no-legacy-server-connect
    -enable-grease -no-key-shares -expect-not-resumable-across-names -tls-unique
    -renegotiate-freely -expect-session-id
    -new-rpk-credential
    -new-psk-credential -psk-importer-sha256 -psk-importer-sha384 -enable-ech-grease
    -reject-unusable-ech-config -expect-ech-accept -expect-no-ech-retry-configs
    -expect-no-ech-name-override -false-start
"""

# Flags that a value follows; some may come several times.
_VALUED = """
    -port -shim-id -resume-count -cert-file -key-file -trust-cert -min-version -max-version
    -expect-version -curves -expect-curve-id -signing-prefs -verify-prefs -expect-cipher-aes
    -expect-peer-signature-algorithm -expect-cipher -expect-cipher-no-aes
    -expect-peer-cert-file -host-name -expect-server-name -advertise-alpn -select-alpn
    -expect-alpn -shim-initial-write -repeat-shim-initial-write -read-size -handshaker-path
    -expect-msg-callback -export-keying-material -export-label -export-context
    -expect-selected-credential -ocsp-response -expect-ocsp-response -signed-cert-timestamps
    -expect-signed-cert-timestamps -resumption-delay -expect-advertised-alpn
    -expect-ticket-age-skew -expect-early-data-reason -key-shares -use-client-ca-list
    -max-send-fragment -server-supported-groups-hint -expect-peer-verify-pref
    -expect-client-ca-list -psk-importer-key -psk-importer-identity -psk-importer-context
    -accepted-peer-cert-types -available-client-cert-types -expect-peer-certificate-type
    -expect-peer-rpk-sha256
    -install-one-cert-compression-alg -cipher -advertise-npn -expect-certificate-types
    -expect-total-renegotiations -ticket-key
    -ech-config-list -ech-server-config -ech-server-key
    -ech-is-retry-config -expect-ech-retry-configs -expect-ech-name-override
"""

# Those that belong to the credential that the last "-new-...-credential" began, if one did.
_OF_CREDENTIALS = """
    -cert-file -key-file -signing-prefs -must-match-issuer -ocsp-response -signed-cert-timestamps
    -psk-importer-key -psk-importer-identity -psk-importer-context
    -psk-importer-sha256 -psk-importer-sha384
"""

SWITCHES = frozenset(_SWITCHES.split())
VALUED = frozenset(_VALUED.split())
OF_CREDENTIALS = frozenset(_OF_CREDENTIALS.split())
NEW_CREDENTIALS = ("-new-x509-credential", "-new-psk-credential", "-new-rpk-credential")
SCOPES = ("initial", "resume", "retry")


class Unimplemented(Exception):
    """The test is about something that this implementation does not have."""


class Flags:
    """What the flags say of one connection.

    Attributes:
        credentials: what they say of each credential but the default one.
    """

    def __init__(self) -> None:
        self._values: dict[str, list[str]] = {}
        self.credentials: list[Flags] = []

    def add(self, name: str, value: str) -> None:
        if name in NEW_CREDENTIALS:
            self.credentials.append(Flags())
            self.credentials[-1].add_own(name)
        elif self.credentials and name in OF_CREDENTIALS:
            self.credentials[-1].add(name, value)
        else:
            self._values.setdefault(name, []).append(value)

    def add_own(self, name: str) -> None:
        """Add the flag that these flags of a credential began with."""
        self._values[name] = [""]

    def __contains__(self, name: str) -> bool:
        return name in self._values

    def text(self, name: str) -> str | None:
        values = self._values.get(name)
        return values[-1] if values else None

    def octets(self, name: str) -> bytes:
        """The value as the runner passed it, which need not be text."""
        return os.fsencode(self.text(name) or "")

    def base64(self, name: str) -> bytes:
        return base64.b64decode(self.octets(name))

    def all_base64(self, name: str) -> list[bytes]:
        return [base64.b64decode(value) for value in self._values.get(name, ())]

    def number(self, name: str, default: int = 0) -> int:
        value = self.text(name)
        return default if value is None else int(value)

    def numbers(self, name: str) -> list[int]:
        return [int(value) for value in self._values.get(name, ())]


def parse(arguments: list[str]) -> dict[str, Flags]:
    """The flags of each connection, by its scope."""
    flags = {scope: Flags() for scope in SCOPES}
    rest = iter(arguments)
    for argument in rest:
        name, scopes = argument, SCOPES
        for scope in (*SCOPES, "shim"):
            if argument.startswith(prefix := f"-on-{scope}-"):
                name = "-" + argument.removeprefix(prefix)
                scopes = (scope,) if scope in SCOPES else SCOPES
        if name in SWITCHES:
            value = ""
        elif name in VALUED:
            value = next(rest)
        else:
            raise Unimplemented(name)
        for scope in scopes:
            flags[scope].add(name, value)
    return flags


def versions(flags: Flags) -> list[str]:
    """The versions that this connection may have; as in BoringSSL both, unless told otherwise."""
    lowest, highest = flags.number("-min-version"), flags.number("-max-version", 0x0304)
    return [
        name
        for flag, (name, code) in VERSIONS.items()
        if lowest <= code <= highest and flag not in flags
    ]
