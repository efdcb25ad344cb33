"""Who may pull what: logins become pull tokens at ``/jwt/auth``, and each pull shows its token at the gate.

Plain values in, plain values out: nothing here knows of HTTP servers. Who someone is comes from sources of identity
(:class:`~proxy_core.access.identity.IdentitySource`), one module each.
"""
