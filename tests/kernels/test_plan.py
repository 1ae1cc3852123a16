"""Ranges against brute force: never narrower than what is visible, and linear work."""

import pytest
import torch
from kernel_cases import ORDERS, asked, ids

from arithtf.kernels import plan as plans


def make(call, length):
    """Positions and the pairs [P, U, Tq, Tk] that its windows, order and documents allow."""
    start = call.get("query_start", 0)
    q, k = torch.zeros(2, 2, length - start, 8), torch.zeros(2, 2, length, 8)
    positions = asked(q, k, k, **call).positions
    visible, sink = positions.visibility(positions.differences())
    return positions, visible, sink


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("length", [1, 17, 70])
@pytest.mark.parametrize(("block", "step"), [(16, 16), (32, 8), (8, 1)])
@pytest.mark.parametrize("of_queries", [True, False])
def test_ranges_hold_what_is_visible(order, length, block, step, of_queries):
    torch.manual_seed(length)
    rng = torch.Generator().manual_seed(3)
    positions, visible, sink = make(ORDERS[order](length, rng), length)
    plan = plans.make_plan(positions)
    outer, inner = plan.queries, plan.keys
    if not of_queries:
        outer, inner = inner, outer
    ranges = plans.block_ranges(plan, block, step, of_queries)
    pairs = visible if sink is None else visible & ~sink
    levels = len(positions.read)
    pairs = pairs.expand(plan.rows, levels, -1, -1)
    if not of_queries:
        pairs = pairs.transpose(-1, -2)
    natural = torch.arange(max(pairs.shape)).expand(plan.rows, levels, -1)
    rows = [natural[..., : s.ids.shape[2]] if s.rows is None else s.rows for s in (outer, inner)]
    for p in range(plan.rows):
        for u in range(levels):
            found = pairs[p, u][rows[0][p, u].long()][:, rows[1][p, u].long()]
            for n, (lo, a, b, hi) in enumerate(ranges[p, u].tolist()):
                mine = found[n * block : (n + 1) * block]
                assert 0 <= lo <= a <= b <= hi
                assert not mine[:, :lo].any()
                assert not mine[:, hi:].any()
                assert mine[:, a:b].all()
                assert lo % step == a % step == b % step == hi % step == 0
                assert b <= found.shape[1] or a == b


def test_work_is_linear_in_tokens():
    """Three tokens an id and a window of one: the tiles of a block do not grow with the length."""
    most = []
    for length in (3 * 2**10, 3 * 2**14):
        drawn = (torch.randperm(length) // 3).to(torch.int32)[None, None]
        call = {"query_ids": drawn, "key_ids": drawn, "windows": (1,)}
        x = torch.zeros(1, 2, length, 8)
        plan = plans.make_plan(asked(x, x, x, **call).positions)
        for of_queries in (True, False):
            ranges = plans.block_ranges(plan, 64, 64, of_queries)
            most.append(int((ranges[..., 3] - ranges[..., 0]).max()))
    assert max(most) <= 4 * 64


def test_dense_causal_order_skips_half():
    drawn = torch.arange(1024, dtype=torch.int32)[None, None]
    plan = plans.make_plan(make({"query_ids": drawn, "key_ids": drawn}, 1024)[0])
    ranges = plans.block_ranges(plan, 64, 64, True)[0, 0]
    assert ranges[:, 0].eq(0).all()
    assert ranges[:, 3].tolist() == [64 * (n + 1) for n in range(16)]
    assert (ranges[:, 2] - ranges[:, 1]).tolist() == [64 * n for n in range(16)]


def test_kept_order_gives_the_same_plan():
    rng = torch.Generator().manual_seed(0)
    positions = make(ORDERS["windowed"](70, rng), 70)[0]
    plan = plans.make_plan(positions)
    again = plans.make_plan(positions, [plan.queries.rows, plan.keys.rows])
    assert torch.equal(plan.keys.ids, again.keys.ids)
    assert torch.equal(plan.queries.ids, again.queries.ids)


def test_ids_may_be_any_integers():
    drawn = ids(1, 1, 50, torch.Generator().manual_seed(0))
    far = torch.where(drawn == plans.NO_ID, drawn, drawn.sign() * (2**31 - 1))
    call = {"query_ids": far, "key_ids": far, "windows": ((2**31 - 1, 2**31 - 1),)}
    positions, visible, _ = make(call, 50)
    ranges = plans.block_ranges(plans.make_plan(positions), 8, 1, True)
    assert int((ranges[..., 3] - ranges[..., 0]).max()) >= int(visible.sum(-1).max())
