"""Engines with Encrypted Client Hello (RFC 9849), connected by hand."""

from __future__ import annotations

from dataclasses import replace

from engine_pairs import CLIENT, SERVER, authority, credentials

from trio_tlsx.config.client import ClientConfig
from trio_tlsx.config.server import ServerConfig
from trio_tlsx.pki.ech import ECHKey

PUBLIC_NAME = "public.example"
GROUPS = ["x25519", "secp256r1"]

key = ECHKey.generate(PUBLIC_NAME)
other_key = ECHKey.generate(PUBLIC_NAME, kem="P-256", other_ids=[key.config.config_id])
both_names = (credentials(), authority.issue(PUBLIC_NAME))

ECH_CLIENT: ClientConfig = replace(CLIENT, groups=GROUPS, ech=key.config_list)
ECH_SERVER: ServerConfig = replace(SERVER, groups=GROUPS, credentials=both_names, ech_keys=key)

#: A client whose key share the server accepts only after a HelloRetryRequest.
RETRIED_CLIENT = replace(ECH_CLIENT, key_shares=["secp256r1"])
RETRYING_SERVER = replace(ECH_SERVER, groups=["x25519"])

#: One that has other keys now.
STALE_SERVER = replace(ECH_SERVER, ech_keys=other_key)
PLAIN_SERVER = replace(ECH_SERVER, ech_keys=())
