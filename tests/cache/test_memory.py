"""What a process remembers is bounded, and what was used last stays."""

from collections import OrderedDict

from hypothesis import given
from hypothesis import strategies as st

from proxy_core.cache.memory import Memory

_steps = st.lists(
    st.tuples(st.sampled_from(["put", "get", "drop"]), st.integers(0, 6), st.binary(max_size=6))
    | st.tuples(st.just("clear"), st.just(0), st.just(b"")),
    max_size=40,
)


def test_remembers_and_forgets() -> None:
    memory: Memory[str, int] = Memory(2)
    assert memory.get("a") is None
    memory.put("a", 0)
    assert memory.get("a") == 0
    memory.drop("a")
    memory.drop("a")
    assert memory.get("a") is None
    memory.put("a", 1)
    memory.clear()
    assert (len(memory), memory.get("a")) == (0, None)


def test_what_was_not_used_for_longest_gives_way() -> None:
    memory: Memory[str, int] = Memory(2)
    memory.put("a", 1)
    memory.put("b", 2)
    memory.get("a")
    memory.put("c", 3)
    assert [memory.get(key) for key in "abc"] == [1, None, 3]


def test_what_is_heavier_than_all_may_be_is_not_remembered() -> None:
    memory: Memory[str, bytes] = Memory(10, 5, len)
    memory.put("a", b"12345")
    memory.put("b", b"123456")
    assert (memory.get("b"), len(memory)) == (None, 0)
    memory.put("c", b"123")
    memory.put("d", b"12")
    assert (memory.get("c"), memory.get("d")) == (b"123", b"12")


@given(steps=_steps, most=st.integers(1, 5), heaviest=st.integers(0, 15))
def test_behaves_as_a_naive_one(steps: list[tuple[str, int, bytes]], most: int, heaviest: int) -> None:
    memory: Memory[int, bytes] = Memory(most, heaviest, len)
    naive: OrderedDict[int, bytes] = OrderedDict()
    for step, key, value in steps:
        match step:
            case "put":
                memory.put(key, value)
                naive[key] = value
                naive.move_to_end(key)
                while len(naive) > most or sum(map(len, naive.values())) > heaviest:
                    naive.popitem(last=False)
            case "get":
                assert memory.get(key) == naive.get(key)
                if key in naive:
                    naive.move_to_end(key)
            case "drop":
                memory.drop(key)
                naive.pop(key, None)
            case _:
                memory.clear()
                naive.clear()
        assert len(memory) == len(naive)
    assert {key: memory.get(key) for key in range(7)} == {key: naive.get(key) for key in range(7)}
