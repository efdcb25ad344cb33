"""What is known of upstreams: pauses, and what is left of their rate limits."""

from collections.abc import Sequence

from sqlalchemy import Connection, bindparam, delete, select

from proxy_core.storage.index import dialects
from proxy_core.storage.index.model import Pause, Quota
from proxy_core.storage.index.tables import pauses, quotas

_PAUSE = select(pauses).where(pauses.c.upstream == bindparam("upstream"))


def pause(connection: Connection, upstream: str) -> Pause | None:
    """See :meth:`.model.Index.pause`."""
    row = connection.execute(_PAUSE, {"upstream": upstream}).one_or_none()
    return Pause(row.until, row.cause, row.strikes) if row else None


def save_pause(connection: Connection, upstream: str, saved: Pause | None) -> None:
    """See :meth:`.model.Index.save_pause`."""
    if saved is None:
        connection.execute(delete(pauses).where(pauses.c.upstream == upstream))
        return
    connection.execute(
        dialects.upsert(connection.dialect.name, pauses, ("upstream",)),
        {"upstream": upstream, "until": saved.until, "cause": saved.cause, "strikes": saved.strikes},
    )


def save_quota(connection: Connection, quota: Quota) -> None:
    """See :meth:`.model.Index.save_quota`."""
    connection.execute(
        dialects.upsert(connection.dialect.name, quotas, ("upstream", "account")),
        {
            "upstream": quota.upstream,
            "account": quota.account,
            "limit": quota.limit,
            "remaining": quota.remaining,
            "window": quota.window,
            "source": quota.source,
            "observed_at": quota.observed_at,
        },
    )


def quotas_seen(connection: Connection) -> Sequence[Quota]:
    """See :meth:`.model.Index.quotas`. Ordered by upstream and account."""
    rows = connection.execute(select(quotas).order_by(quotas.c.upstream, quotas.c.account))
    return [Quota(**row) for row in rows.mappings()]
