"""The caller's configuration, and the parameters that the handshake derives from it.

- ``client``, ``server``, ``common``: the options and their resolved parameters, by role.
  ``tls12``, ``psks``, ``certificate_types``: those of one subject.
- ``fields``: the types of the options. ``names``: names of algorithms. ``key_log``: key logs.
- ``events``: the events that ``on_event`` receives.
"""
