"""Ranges against brute force: never narrower than what is visible, and linear work."""

import pytest
import torch
from kernel_cases import ORDERS, ids

from arithtf.attention.arguments import geometry_of
from arithtf.attention.fused import _problem
from arithtf.kernels import plan as plans
from arithtf.kernels import problem as problems


def make(call, length):
    """The problem and the pairs [P, U, Tq, Tk] that its windows, order and documents allow."""
    start = call.get("query_start", 0)
    q, k = torch.zeros(2, 2, length - start, 8), torch.zeros(2, 2, length, 8)
    levels = call["key_ids"].shape[1] if "key_ids" in call else 1
    geometry = geometry_of(
        q, k, k, call.get("query_ids"), call.get("key_ids"), None,
        call.get("windows", (None,) * levels), call.get("sinks", 0), call.get("causal", True),
        start, call.get("prefix"), call.get("documents"),
    )  # fmt: skip
    windows = [n for w in geometry.windows for n in (w or (-1, -1))]
    problem = _problem(
        (geometry.query_ids, geometry.key_ids, geometry.prefix, geometry.documents, "none", [], [],
         None, 1.0, False, geometry.head_levels, windows, geometry.sinks, geometry.causal, start,
         False, False)
    )  # fmt: skip
    visible, sink = geometry.visibility(geometry.differences())
    return problem, visible, sink


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("length", [1, 17, 70])
@pytest.mark.parametrize(("block", "step"), [(16, 16), (32, 8), (8, 1)])
@pytest.mark.parametrize("of_queries", [True, False])
def test_ranges_hold_what_is_visible(order, length, block, step, of_queries):
    torch.manual_seed(length)
    problem, visible, sink = make(ORDERS[order](length, torch.Generator().manual_seed(3)), length)
    plan = problems.make_plan(problem)
    outer, inner = plan.queries, plan.keys
    if not of_queries:
        outer, inner = inner, outer
    ranges = plans.block_ranges(
        outer, inner, problem.read_windows, block, step, problem.causal, plan.prefix, of_queries
    )
    pairs = visible if sink is None else visible & ~sink
    levels = len(problem.read)
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
        problem = make_only(call, length)
        plan = problems.make_plan(problem)
        for sides in ((plan.queries, plan.keys, True), (plan.keys, plan.queries, False)):
            ranges = plans.block_ranges(
                sides[0], sides[1], problem.read_windows, 64, 64, True, None, sides[2]
            )
            most.append(int((ranges[..., 3] - ranges[..., 0]).max()))
    assert max(most) <= 4 * 64


def make_only(call, length):
    return _problem(
        (call["query_ids"], call["key_ids"], None, None, "none", [], [], None, 1.0, False, (0, 0),
         [1, 1], 0, True, 0, False, False)
    )  # fmt: skip


def test_dense_causal_order_skips_half():
    drawn = torch.arange(1024, dtype=torch.int32)[None, None]
    problem = make({"query_ids": drawn, "key_ids": drawn}, 1024)[0]
    plan = problems.make_plan(problem)
    ranges = plans.block_ranges(
        plan.queries, plan.keys, problem.read_windows, 64, 64, True, None, True
    )[0, 0]
    assert ranges[:, 0].eq(0).all()
    assert ranges[:, 3].tolist() == [64 * (n + 1) for n in range(16)]
    assert (ranges[:, 2] - ranges[:, 1]).tolist() == [64 * n for n in range(16)]


def test_kept_order_gives_the_same_plan():
    rng = torch.Generator().manual_seed(0)
    problem = make(ORDERS["windowed"](70, rng), 70)[0]
    plan = problems.make_plan(problem)
    again = problems.make_plan(problem, [plan.queries.rows, plan.keys.rows])
    assert torch.equal(plan.keys.ids, again.keys.ids)
    assert torch.equal(plan.queries.ids, again.queries.ids)


def test_ids_may_be_any_integers():
    drawn = ids(1, 1, 50, torch.Generator().manual_seed(0))
    far = torch.where(drawn == plans.NO_ID, drawn, drawn.sign() * (2**31 - 1))
    call = {"query_ids": far, "key_ids": far, "windows": ((2**31 - 1, 2**31 - 1),)}
    problem, visible, _ = make(call, 50)
    plan = problems.make_plan(problem)
    ranges = plans.block_ranges(
        plan.queries, plan.keys, problem.read_windows, 8, 1, True, None, True
    )
    assert int((ranges[..., 3] - ranges[..., 0]).max()) >= int(visible.sum(-1).max())
