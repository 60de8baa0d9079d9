"""Server names as users write them, and the names that are sent and verified."""

from __future__ import annotations

import ipaddress

import pytest
from cryptography import x509
from hypothesis import given
from hypothesis import strategies as st

from trio_tlsx.errors import ConfigError
from trio_tlsx.pki.server_name import ServerName


@pytest.mark.parametrize(
    ("written", "host"),
    [
        ("a.example", "a.example"),
        ("A.Example", "a.example"),
        ("a.example.", "a.example"),
        ("localhost", "localhost"),
        ("1a.example", "1a.example"),
        ("4.example", "4.example"),
        ("h2", "h2"),
        ("xn--bcher-kva.example", "xn--bcher-kva.example"),
        ("Bücher.Example", "xn--bcher-kva.example"),
        ("bücher。example.", "xn--bcher-kva.example"),
        ("faß.example", "xn--fa-hia.example"),
        ("r3---sn-4g5.example", "r3---sn-4g5.example"),
        ("a" * 63 + ".example", "a" * 63 + ".example"),
        (".".join(["a" * 49] * 5) + ".abc", ".".join(["a" * 49] * 5) + ".abc"),
    ],
)
def test_host_names(written: str, host: str) -> None:
    name = ServerName.parse(written)
    assert name.host == host == str(name)
    assert name.address is None
    assert name.sni == host.encode()
    assert name.subject == x509.DNSName(host)


@pytest.mark.parametrize(
    ("written", "host"),
    [
        ("my_db", "my_db"),
        ("_Sip._tcp.Example.", "_sip._tcp.example"),
        ("a_b.Bücher.example", "a_b.xn--bcher-kva.example"),
        ("-a.example", "-a.example"),
        ("a-.example", "a-.example"),
    ],
)
def test_names_that_no_host_may_have(written: str, host: str) -> None:
    """DNS has them (RFC 2181 11), as have container networks: they are sent and compared."""
    name = ServerName.parse(written)
    assert name.host == host
    assert name.sni == host.encode()
    assert not name.is_host_name


@pytest.mark.parametrize("written", ["a.example", "xn--bcher-kva.example", "127.0.0.1", "::1"])
def test_names_that_a_host_may_have(written: str) -> None:
    assert ServerName.parse(written).is_host_name


@pytest.mark.parametrize(
    ("written", "address"),
    [
        ("127.0.0.1", "127.0.0.1"),
        ("::1", "::1"),
        ("2001:DB8:0::7", "2001:db8::7"),
        ("fe80::1%eth0", "fe80::1"),
        ("FE80::1%25", "fe80::1"),
    ],
)
def test_addresses_are_never_sent(written: str, address: str) -> None:
    name = ServerName.parse(written)
    assert name.host == address
    assert name.sni is None
    assert name.subject == x509.IPAddress(ipaddress.ip_address(address))


@pytest.mark.parametrize(
    ("written", "sentence"),
    [
        ("", "is empty"),
        (".", "is empty"),
        ("a..example", "an empty label"),
        (".example", "an empty label"),
        ("a.example..", "an empty label"),
        ("a" * 64 + ".example", "a label of 64 characters; DNS allows 63"),
        (".".join(["a" * 49] * 5) + ".abcd", "has 254 characters; DNS allows 253"),
        ("*.example", "not made of letters, digits, hyphens and underscores"),
        ("a b.example", "not made of letters, digits, hyphens and underscores"),
        ("a.example\n", "not made of letters, digits, hyphens and underscores"),
        ("a.example:443", "leave out scheme, port, path and brackets"),
        ("https://a.example", "leave out scheme, port, path and brackets"),
        ("[::1]", "leave out scheme, port, path and brackets"),
        ("a.example%eth0", "not made of letters, digits, hyphens and underscores"),
        ("fe80:::1%eth0", "leave out scheme, port, path and brackets"),
        ("127.0.0.1%eth0", "not made of letters, digits, hyphens and underscores"),
        ("127.1", "neither a DNS name nor a whole IP address"),
        ("127.0.0.01", "neither a DNS name nor a whole IP address"),
        ("1.2.3.4.5", "neither a DNS name nor a whole IP address"),
        ("ü" * 64 + ".example", "has no form in DNS"),
        ("\u2028.example", "has no form in DNS"),
    ],
)
def test_server_names_that_no_certificate_can_have(written: str, sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence) as caught:
        ServerName.parse(written)
    assert "\n" not in str(caught.value)


@given(st.text(st.sampled_from("aZ09-._*:%[]ü。ß\u0660\u200d"), max_size=20))
def test_any_text_is_a_name_for_certificates_or_an_error(written: str) -> None:
    try:
        name = ServerName.parse(written)
    except ConfigError:
        return
    assert ServerName.parse(name.host) == name
    assert name.host == name.host.lower()
    assert name.sni is None or len(name.sni) <= 253
