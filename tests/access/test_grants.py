"""The memory of verified tokens: whole texts, until they expire, bounded in number and bytes."""

from proxy_core.access.grants import Grant, RememberedGrants
from tests.access.house import NOW


def grant(subject: str, expires_at: float = NOW + 900) -> Grant:
    return Grant("users", subject, frozenset(), NOW, expires_at, "id")


def test_a_grant_is_remembered_by_its_whole_text_until_it_expires() -> None:
    memory = RememberedGrants()
    memory.put(b"Bearer a.b.c", grant("dev"))
    assert memory.get(b"Bearer a.b.c", NOW + 899.9) == grant("dev")
    assert memory.get(b"Bearer a.b.C", NOW) is None
    assert memory.get(b"Bearer a.b.c ", NOW) is None
    assert memory.get(b"Bearer a.b.c", NOW + 900) is None
    assert len(memory) == 0


def test_the_least_recently_used_is_dropped() -> None:
    memory = RememberedGrants(max_count=2)
    memory.put(b"a", grant("a"))
    memory.put(b"b", grant("b"))
    assert memory.get(b"a", NOW)
    memory.put(b"c", grant("c"))
    assert memory.get(b"b", NOW) is None
    assert memory.get(b"a", NOW) == grant("a")
    assert memory.get(b"c", NOW) == grant("c")


def test_long_tokens_do_not_fill_the_memory() -> None:
    memory = RememberedGrants(max_bytes=100)
    for letter in b"abcdef":
        memory.put(bytes([letter]) * 40, grant("dev"))
    assert len(memory) == 2
    memory.put(b"g" * 101, grant("dev"))
    assert len(memory) == 0
    memory.put(b"h" * 100, grant("dev"))
    memory.put(b"h" * 100, grant("dev"))
    assert len(memory) == 1
