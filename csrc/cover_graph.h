// The graph whose edges are the windows of a column automaton (see cover.h), and its components.
#pragma once

#include <cstdint>
#include <vector>

#include "cover.h"

namespace arithtf::cover {

// Reachable and co-reachable nodes; node 0 is the start. Edges of node v are [first[v], first[v+1]).
struct Graph {
  int64_t nodes() const { return static_cast<int64_t>(first.size()) - 1; }
  int64_t edges() const { return static_cast<int64_t>(head.size()); }

  std::vector<int64_t> first;
  std::vector<int32_t> head, symbol;
  std::vector<uint8_t> accepting;
  std::vector<int64_t> parent_edge;  // last edge of a shortest path from the start; -1: the start
  std::vector<int32_t> tail;         // of every edge
  std::vector<int64_t> exit_edge;    // next edge of a shortest path to an end; -1: accepting
};

Graph explore(const ColumnAutomaton& automaton, int64_t memory, int64_t max_edges);

// Strongly connected components numbered so that edges between components go from larger to smaller.
std::vector<int32_t> components(const Graph& graph);

}  // namespace arithtf::cover
