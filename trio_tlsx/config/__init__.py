"""The caller's configuration, and what is resolved of it for the handshake.

- ``client``, ``server``, ``common``: the options and their resolved parameters, by role.
- ``fields``: the types of the options. ``names``: names of algorithms. ``key_log``: key logs.
- ``events``: what ``on_event`` is called with.
"""
