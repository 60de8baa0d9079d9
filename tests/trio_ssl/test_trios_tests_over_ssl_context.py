"""trio's tests of ``trio.SSLStream``, on ``TLSStream`` over the same :class:`ssl.SSLContext`."""

from trio_suite import collectable, trios_tests

globals().update(collectable(trios_tests()))
