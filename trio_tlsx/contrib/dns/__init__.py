"""Connect to services by their HTTPS and SVCB records in DNS (extra ``dns``).

- ``records``: parse the records into endpoints.
- ``lookup``: look up the endpoints of a service, and their addresses.
- ``connect``: connect to the first endpoint that is reachable.

The records are those of RFC 9460. Their parameter ``ech`` has the configurations for Encrypted
Client Hello (RFC 9848). Nothing else in the library looks up such records.
"""

from .connect import open_tls_to_service
from .lookup import lookup_addresses, lookup_ech, lookup_service, resolver_at
from .records import Endpoint, ServiceBinding, ServiceLookupError

__all__ = [
    "Endpoint",
    "ServiceBinding",
    "ServiceLookupError",
    "lookup_addresses",
    "lookup_ech",
    "lookup_service",
    "open_tls_to_service",
    "resolver_at",
]
