import hashlib

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from lucaflow.records.sharding import divide, divide_below_limit, longest_first, shard_name


def digests_of(names):
    joined = b"".join(hashlib.sha256(name.encode()).digest() for name in names)
    return np.frombuffer(joined, dtype=">u8").reshape(-1, 4)


def shards_of(names, tokens, size):
    prefixes = digests_of(names)[:, 0]
    return {frozenset(prefixes[shard].tolist()) for shard in divide(prefixes, np.array(tokens), size)}


numbered = st.lists(st.integers(1, 500), min_size=1, max_size=120)


@given(numbered, st.integers(1, 3000))
def test_each_sequence_is_in_one_shard_of_bounded_size(tokens, size):
    digests = digests_of(map(str, range(len(tokens))))
    shards = divide(digests[:, 0], np.array(tokens), size)
    assert sorted(np.concatenate(shards).tolist()) == list(range(len(tokens)))
    for shard in shards:
        assert len(shard) == 1 or np.array(tokens)[shard].sum() <= size


@given(numbered, st.integers(100, 3000))
def test_one_more_sequence_touches_one_shard(tokens, size):
    names = [str(i) for i in range(len(tokens))]
    before = shards_of(names, tokens, size)
    after = shards_of([*names, "new"], [*tokens, 7], size)
    assert len(before - after) <= 1


@given(st.permutations(range(30)))
def test_the_order_of_the_input_does_not_matter(order):
    tokens = [7 * i % 50 + 1 for i in range(30)]
    names = [str(i) for i in range(30)]
    shuffled = shards_of([names[i] for i in order], [tokens[i] for i in order], 100)
    assert shuffled == shards_of(names, tokens, 100)


def test_digests_that_share_their_beginning_stay_together():
    assert len(divide(np.zeros(5, dtype=">u8"), np.full(5, 100), 10)) == 1


def test_shards_stay_below_a_thousand():
    digests = digests_of(map(str, range(100_000)))[:, 0]
    for tokens in (np.full(100_000, 400), (np.random.default_rng(0).pareto(0.8, 100_000) * 300).astype(np.int64) + 3):
        assert 250 <= len(divide_below_limit(digests, tokens, 1000)) < 1000
    assert len(divide_below_limit(digests[:9], tokens[:9], 1)) == len(divide(digests[:9], tokens[:9], 1))


def test_what_would_be_a_million_shards_stays_below_a_thousand():
    """Two million sequences, each with half the tokens of a job; then the same with five very long ones."""
    prefixes = np.random.default_rng(0).integers(0, 1 << 63, 2_000_000, dtype=np.uint64) * np.uint64(2)
    tokens = np.full(len(prefixes), 10_000_000)
    shards = divide_below_limit(prefixes, tokens, 20_000_000)
    assert 250 <= len(shards) < 1000
    assert sum(map(len, shards)) == len(prefixes)
    tokens[:5] = 10**15
    assert 6 <= len(divide_below_limit(prefixes, tokens, 20_000_000)) < 1000


@given(numbered, st.integers(1, 3000), st.integers(1, 40))
def test_the_least_growth_that_stays_below_a_limit(tokens, size, most):
    """The result is the same as trying every size."""
    digests, tokens = digests_of(map(str, range(len(tokens))))[:, 0], np.array(tokens)
    found = divide_below_limit(digests, tokens, size, most)
    while len(shards := divide(digests, tokens, size)) > most and size < tokens.sum():
        size *= 2
    assert [shard.tolist() for shard in found] == [shard.tolist() for shard in shards]


def test_order_and_name_depend_on_content_alone():
    digests, lengths = digests_of("abcd"), np.array([5, 9, 5, 1])
    one = longest_first(np.arange(4), digests, lengths)
    two = longest_first(np.array([3, 1, 2, 0]), digests, lengths)
    assert one.tolist() == two.tolist()
    assert lengths[one].tolist() == [9, 5, 5, 1]
    assert shard_name(digests[one]) != shard_name(digests[one][:3])
