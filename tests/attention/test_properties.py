"""What must hold of attention whatever the weights: no influence from outside, invariances."""

import numpy as np
import pytest
import torch

from arithtf import _core
from arithtf.attention import (
    NO_ID,
    NONE,
    Alibi,
    BiasTable,
    BucketBias,
    Content,
    Kerple,
    Positions,
    Rotary,
    cpu,
)
from arithtf.attention import attention as operator
from arithtf.attention.call import checked

B, H, T, D = 2, 4, 48, 8


def attention(query, key, value, mechanism=NONE, impl="auto", **positions):
    """The operator, with the fields of its positions as keywords."""
    return operator(query, key, value, Positions(**positions), mechanism=mechanism, impl=impl)


@pytest.fixture
def rng():
    return torch.Generator().manual_seed(7)


@pytest.fixture
def qkv(rng):
    return [torch.randn(B, H, T, D, generator=rng) for _ in range(3)]


@pytest.fixture
def ids(rng):
    return torch.randint(0, 16, (B, 2, T), generator=rng, dtype=torch.int32)


def in_windows(ids, windows, heads=H):
    """Pairs in the window of each head's level: bool [B, H, T, T], by subtraction in int64."""
    long = ids.long()
    seen = []
    for h in range(heads):
        level = h % len(windows)
        difference = long[:, level, None, :] - long[:, level, :, None]
        seen.append((difference >= -windows[level][0]) & (difference <= windows[level][1]))
    return torch.stack(seen, dim=1)


@pytest.mark.parametrize("junk", [1e30, float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("impl", ["reference", "cpu"])
@pytest.mark.parametrize("mechanism", ["none", "table"])
def test_outside_the_window_has_no_influence(qkv, ids, rng, impl, mechanism, junk):
    query, key, value = qkv
    call = {
        "mechanism": NONE if mechanism == "none" else BiasTable(torch.randn(H, 5, generator=rng)),
        "windows": ((1, 2), (0, 3)),
        "sinks": 1,
        "impl": impl,
    }
    before = attention(query, key, value, query_ids=ids, key_ids=ids, **call)
    seen = in_windows(ids, call["windows"]) & torch.ones(T, T).tril().bool()
    seen[..., 0] = True
    for i in (5, 20, T - 1):
        hidden = ~seen[:, :, i]
        spoilt = [x.masked_fill(hidden.unsqueeze(-1), junk) for x in (key, value)]
        after = attention(query, *spoilt, query_ids=ids, key_ids=ids, **call)
        assert torch.equal(after[:, :, i].view(torch.int32), before[:, :, i].view(torch.int32))
        moved = torch.where(seen[:, :2, i], ids, 10_000)
        after = attention(query, key, value, query_ids=ids, key_ids=moved, **call)
        assert torch.equal(after[:, :, i].view(torch.int32), before[:, :, i].view(torch.int32))


def test_the_test_above_can_fail(qkv, ids):
    """A change inside the window is seen."""
    query, key, value = qkv
    call = {"query_ids": ids, "key_ids": ids, "windows": (2, 2)}
    changed = value.clone()
    changed[:, :, 20] += 1
    before = attention(query, key, value, **call)[:, :, 20]
    assert not torch.equal(attention(query, key, changed, **call)[:, :, 20], before)


def test_non_finite_values_reach_those_who_see_them(qkv):
    query, key, value = qkv
    value = value.clone()
    value[0, 1, 10, 3] = float("inf")
    out = attention(query, key, value, windows=(2,), impl="reference")
    bad = ~out.isfinite().all(-1)
    assert bad[0, 1].nonzero().flatten().tolist() == [10, 11, 12]
    assert bad.sum() == 3


def test_gradients_of_the_hidden_are_zero_and_clean(qkv, ids):
    """NaN in keys no query sees leaves all gradients finite."""
    query, key, value = (x.clone() for x in qkv)
    ids = ids.clone()
    ids[:, :, 7] = NO_ID
    key[:, :, 7] = float("nan")
    value[:, :, 7] = float("inf")
    leaves = [x.requires_grad_() for x in (query, key, value)]
    attention(*leaves, query_ids=ids, key_ids=ids, windows=(2, 2)).square().sum().backward()
    for leaf in leaves:
        assert leaf.grad.isfinite().all()
    assert not leaves[1].grad[:, :, 7].any()
    assert not leaves[2].grad[:, :, 7].any()


@pytest.mark.parametrize("impl", ["reference", "cpu"])
def test_rows_that_see_nothing_are_zero(qkv, impl):
    query, key, value = qkv
    ids = torch.arange(T, dtype=torch.int32).expand(1, 1, T).clone()
    query_ids = ids.clone()
    query_ids[..., 3], query_ids[..., 4] = NO_ID, 10**6
    call = {"query_ids": query_ids, "key_ids": ids, "windows": (3,), "impl": impl}
    out = attention(query, key, value, **call)
    assert not out[:, :, 3:5].any()
    assert out[:, :, 5:].abs().sum(-1).all()
    leaves = [x.clone().requires_grad_() for x in qkv]
    attention(*leaves, **{**call, "impl": "reference"})[:, :, 3:5].sum().backward()
    assert all(not leaf.grad.any() for leaf in leaves)


@pytest.mark.parametrize("windows", [(None,), (2**31 - 1,)])
def test_no_id_matches_nothing(qkv, windows):
    query, key, value = qkv
    ids = torch.full((1, 1, T), NO_ID, dtype=torch.int32)
    assert not attention(query, key, value, query_ids=ids, key_ids=ids, windows=windows).any()
    extreme = torch.full((1, 1, T), 2**31 - 1, dtype=torch.int32)
    out = attention(query, key, value, query_ids=extreme, key_ids=ids, windows=windows)
    assert not out.any()


RELATIVE = {
    "none": NONE,
    "table": BiasTable(torch.randn(H, 7)),
    "t5": BucketBias(torch.randn(H, 8), 20),
    "alibi": Alibi(torch.rand(H)),
    "kerple": Kerple(torch.rand(H), torch.rand(H)),
    "content": Content(torch.randn(H, 7, D), torch.randn(H, 7, D)),
    "rotary": Rotary.from_base(D),
}


@pytest.mark.parametrize("name", RELATIVE)
@pytest.mark.parametrize("shift", [1, 12_345, 10_000_000])
def test_shifted_ids_change_nothing(qkv, ids, name, shift):
    call = {"mechanism": RELATIVE[name], "windows": (3, None), "sinks": 1}
    before = attention(*qkv, query_ids=ids, key_ids=ids, **call)
    after = attention(*qkv, query_ids=ids + shift, key_ids=ids + shift, **call)
    if name == "rotary":
        torch.testing.assert_close(after, before, rtol=1e-4, atol=1e-5)
    else:
        assert torch.equal(after, before)


@pytest.mark.parametrize("impl", ["reference", "cpu"])
def test_order_of_key_columns_does_not_matter(qkv, ids, rng, impl):
    query, key, value = qkv
    call = {"windows": (3, 2), "causal": False, "impl": impl, "query_ids": ids}
    call["mechanism"] = BiasTable(torch.randn(H, 7, generator=rng))
    before = attention(query, key, value, key_ids=ids, **call)
    order = torch.randperm(T, generator=rng)
    after = attention(query, key[:, :, order], value[:, :, order], key_ids=ids[..., order], **call)
    torch.testing.assert_close(after, before, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("impl", ["reference", "cpu"])
def test_a_window_wider_than_all_ids_is_dense(qkv, ids, rng, impl):
    table = BiasTable(torch.randn(H, 7, generator=rng))
    call = {"mechanism": table, "query_ids": ids, "key_ids": ids}
    dense = attention(*qkv, windows=(None, None), **call)
    wide = attention(*qkv, windows=(16, 2**31 - 1), impl=impl, **call)
    torch.testing.assert_close(wide, dense, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("impl", ["reference", "cpu"])
def test_packed_documents_equal_separate_runs(qkv, ids, rng, impl):
    table = BiasTable(torch.randn(H, 7, generator=rng))
    call = {"mechanism": table, "windows": (3, 4), "sinks": 2, "impl": impl}
    lengths = (1, 17, 30)
    documents = torch.repeat_interleave(torch.arange(3), torch.tensor(lengths)).int()[None]
    packed = attention(*qkv, query_ids=ids, key_ids=ids, documents=documents, **call)
    begin = 0
    for length in lengths:
        part = slice(begin, begin + length)
        own = ids[..., part]
        alone = attention(*(x[:, :, part] for x in qkv), query_ids=own, key_ids=own, **call)
        torch.testing.assert_close(packed[:, :, part], alone, rtol=1e-5, atol=1e-6)
        begin += length


@pytest.mark.parametrize("impl", ["reference", "cpu"])
def test_a_slice_of_queries_gives_the_slice_of_outputs(qkv, ids, impl):
    query, key, value = qkv
    call = {"key_ids": ids, "windows": (3, 4), "impl": impl}
    whole = attention(query, key, value, query_ids=ids, **call)
    part = attention(
        query[:, :, 13:40], key, value, query_ids=ids[..., 13:40], query_start=13, **call
    )
    torch.testing.assert_close(part, whole[:, :, 13:40], rtol=1e-6, atol=1e-7)


def run_cpu(threads, batch, rng, span, dim=16):
    size = 6000 // batch
    query, key, value = (torch.randn(batch, size, H, dim, generator=rng) for _ in range(3))
    ids = torch.randint(-span, span, (batch, 2, size), generator=rng, dtype=torch.int32)
    positions = Positions(ids, ids, windows=(3, (0, 9)), sinks=1)
    table = BiasTable(torch.randn(H, 5, generator=rng))
    split = (x.transpose(1, 2) for x in (query, key, value))
    call = checked(*split, positions, mechanism=table, scale=0.25)
    return cpu.attention(call, threads).contiguous()


@pytest.mark.parametrize("batch", [1, 5])
@pytest.mark.parametrize("span", [2000, 2**30])
def test_cpu_gives_the_same_bytes_for_any_number_of_threads(batch, span):
    runs = [run_cpu(n, batch, torch.Generator().manual_seed(3), span) for n in (1, 2, 3, 7)]
    assert all(torch.equal(r.view(torch.int32), runs[0].view(torch.int32)) for r in runs[1:])


@pytest.mark.parametrize("dim", [1, 8, 16, 24, 33, 64])
def test_cpu_gives_the_same_bytes_on_every_instruction_set(dim):
    names = _core.attention_builds()
    runs = []
    try:
        for name in names:
            _core.use_attention_build(name)
            runs.append(run_cpu(1, 3, torch.Generator().manual_seed(4), 400, dim))
    finally:
        _core.use_attention_build(names[0])
    assert all(torch.equal(r.view(torch.int32), runs[0].view(torch.int32)) for r in runs[1:])
    with pytest.raises(ValueError, match="cannot run the build"):
        _core.use_attention_build("no such build")


def test_exp_is_within_two_ulp():
    """Every 97th float32 of [-87, -2^-26]; the largest error over all of them is 1.03 ulp."""
    low, high = (int(np.float32(x).view(np.int32)) for x in (2.0**-26, 87.0))
    values = -np.arange(low, high + 1, 97, dtype=np.int32).view(np.float32)
    got, exact = _core.exp_nonpositive(values), np.exp(values.astype(np.float64))
    ulp = np.spacing(exact.astype(np.float32)).astype(np.float64)
    assert (np.abs(got - exact) <= 2 * ulp).all()
    special = np.array([0.0, -0.0, -1e-30, -87.001, -1e30, -np.inf, np.nan], np.float32)
    assert _core.exp_nonpositive(special)[:-1].tolist() == [1, 1, 1, 0, 0, 0]
    assert np.isnan(_core.exp_nonpositive(special)[-1])
