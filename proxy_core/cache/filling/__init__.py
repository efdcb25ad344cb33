"""Filling: one upstream GET per blob over all worker processes, first byte at once, tied to no client.

Who holds the lock of a digest leads: :mod:`leader` downloads into the spool, in a thread. Everybody else follows the
growing file, in this process or another. :mod:`fill` is the one life of a digest in this process, :mod:`readers` what a
client's answer reads from, :mod:`fills` all of them.
"""
