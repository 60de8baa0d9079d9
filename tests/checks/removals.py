"""All security checks, each with its source and the replacement that removes it."""

from __future__ import annotations

from checks_of_authentication import REMOVALS_OF_AUTHENTICATION
from checks_of_cached_paths import REMOVALS_OF_CACHED_PATHS
from checks_of_certificates_with_psks import REMOVALS_OF_CERTIFICATES_WITH_PSKS
from checks_of_configuration import REMOVALS_OF_CONFIGURATION
from checks_of_dns import REMOVALS_OF_DNS
from checks_of_ech import REMOVALS_OF_ECH
from checks_of_hellos import REMOVALS_OF_HELLOS
from checks_of_hooks import REMOVALS_OF_HOOKS
from checks_of_processes import REMOVALS_OF_PROCESSES
from checks_of_raw_keys import REMOVALS_OF_RAW_KEYS
from checks_of_records import REMOVALS_OF_RECORDS
from checks_of_redis import REMOVALS_OF_REDIS
from checks_of_sessions import REMOVALS_OF_SESSIONS
from checks_of_streams import REMOVALS_OF_STREAMS
from checks_of_tls12 import REMOVALS_OF_TLS12
from checks_of_tls12_hooks import REMOVALS_OF_TLS12_HOOKS
from checks_of_tls12_resumption import REMOVALS_OF_TLS12_RESUMPTION

__all__ = ["REMOVALS"]

REMOVALS = [
    *REMOVALS_OF_AUTHENTICATION,
    *REMOVALS_OF_CACHED_PATHS,
    *REMOVALS_OF_HELLOS,
    *REMOVALS_OF_CERTIFICATES_WITH_PSKS,
    *REMOVALS_OF_ECH,
    *REMOVALS_OF_DNS,
    *REMOVALS_OF_RAW_KEYS,
    *REMOVALS_OF_SESSIONS,
    *REMOVALS_OF_REDIS,
    *REMOVALS_OF_PROCESSES,
    *REMOVALS_OF_HOOKS,
    *REMOVALS_OF_CONFIGURATION,
    *REMOVALS_OF_RECORDS,
    *REMOVALS_OF_STREAMS,
    *REMOVALS_OF_TLS12,
    *REMOVALS_OF_TLS12_HOOKS,
    *REMOVALS_OF_TLS12_RESUMPTION,
]
