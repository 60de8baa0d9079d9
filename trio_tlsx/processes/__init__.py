"""One server in several processes: a supervisor, and workers that it starts and replaces.

The supervisor (``supervisor``) opens the listening sockets, creates the ticket keys, keeps the
anti-replay cache, and starts each worker as a new process of Python (``process``). A worker
(``worker_main``) calls the application's function with a :class:`Worker` (``worker``). The two
exchange the messages of ``control_messages`` over a socket pair that the worker inherits
(``channel``). No secret is in an argument or in the environment of a process.

- ``pool``: the starts, restarts and replacements of the workers.
- ``listening``: the listening sockets, which the workers inherit.
- ``key_rotation``: the ticket keys. Each worker has the next key before one of them uses it.
- ``ech_rotation``: the ECH keys, likewise.
- ``claims``: the worker's side of the anti-replay cache.
- ``draining``: the end of a worker.
- ``back_off``: the wait before a dead worker is started again.
- ``serving``: :func:`serve_in_processes`, with the signals of the operator.
"""
