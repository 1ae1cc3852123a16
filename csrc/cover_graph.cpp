#include "cover_graph.h"

#include <algorithm>
#include <map>
#include <stdexcept>
#include <string>
#include <unordered_map>
#include <utility>

namespace arithtf::cover {
namespace {

class Explorer {
 public:
  Explorer(const ColumnAutomaton& automaton, int64_t memory, int64_t max_edges)
      : a_(automaton), memory_(memory), max_edges_(max_edges) {
    padding_ = a_.symbols;
    base_ = static_cast<uint64_t>(a_.symbols) + 1;
    top_ = 1;
    for (int64_t i = 1; i < memory; ++i) top_ = times(top_, base_);
    const uint64_t codes = memory > 0 ? times(top_, base_) : 1;
    times(codes, static_cast<uint64_t>(a_.states));
    merge_states();
  }

  Graph run() {
    uint64_t padded = 0;
    for (int64_t i = 0; i < memory_; ++i) padded = padded * base_ + static_cast<uint64_t>(padding_);
    node(padded, a_.start, a_.start, -1);
    for (size_t v = 0; v < code_.size(); ++v) {
      graph_.first.push_back(graph_.edges());
      for (int32_t s = 0; s < a_.symbols; ++s) append(v, s);
      if (graph_.edges() > max_edges_) {
        throw std::invalid_argument("more than " + std::to_string(max_edges_) +
                                    " windows of columns: the reach is too large to enumerate");
      }
    }
    graph_.first.push_back(graph_.edges());
    for (const int32_t state : state_) {
      graph_.accepting.push_back(a_.accepting[static_cast<size_t>(state)]);
    }
    return std::move(graph_);
  }

 private:
  static uint64_t times(uint64_t x, uint64_t y) {
    if (x > UINT64_MAX / y) {
      throw std::invalid_argument("the reach is too large: nodes do not fit 64 bits");
    }
    return x * y;
  }

  int32_t next(int32_t state, int32_t symbol) const {
    return a_.transitions[static_cast<size_t>(state) * static_cast<size_t>(a_.symbols) +
                          static_cast<size_t>(symbol)];
  }

  // Of the state before the remembered columns only the label can be seen, and from the first of
  // them on only where it leads matters: states that agree in both are one.
  void merge_states() {
    const auto states = static_cast<size_t>(a_.states);
    merged_.assign(states * static_cast<size_t>(a_.symbols), -1);
    for (int32_t s = 0; s < a_.symbols; ++s) {
      std::map<std::pair<int32_t, int32_t>, int32_t> seen;
      for (int32_t q = 0; q < a_.states; ++q) {
        if (next(q, s) < 0) continue;
        const auto key = std::pair{a_.labels[static_cast<size_t>(q)], next(q, s)};
        merged_[static_cast<size_t>(q) * static_cast<size_t>(a_.symbols) + static_cast<size_t>(s)] =
            seen.emplace(key, q).first->second;
      }
    }
  }

  int32_t node(uint64_t code, int32_t before, int32_t state, int64_t edge) {
    const uint64_t key = code * static_cast<uint64_t>(a_.states) + static_cast<uint64_t>(before);
    const auto [at, fresh] = ids_.try_emplace(key, static_cast<int32_t>(code_.size()));
    if (fresh) {
      code_.push_back(code);
      before_.push_back(before);
      state_.push_back(state);
      graph_.parent_edge.push_back(edge);
    }
    return at->second;
  }

  void append(size_t v, int32_t symbol) {
    const int32_t state = next(state_[v], symbol);
    if (state < 0) return;
    uint64_t code = 0;
    int32_t before = state;
    if (memory_ > 0) {
      const auto oldest = static_cast<int32_t>(code_[v] / top_);
      code = (code_[v] % top_) * base_ + static_cast<uint64_t>(symbol);
      before = oldest == padding_ ? a_.start : next(before_[v], oldest);
      const auto now_oldest = static_cast<int32_t>(code / top_);
      if (now_oldest != padding_) {
        before = merged_[static_cast<size_t>(before) * static_cast<size_t>(a_.symbols) +
                         static_cast<size_t>(now_oldest)];
      }
    }
    const int64_t edge = graph_.edges();
    const int32_t to = node(code, before, state, edge);
    graph_.head.push_back(to);
    graph_.tail.push_back(static_cast<int32_t>(v));
    graph_.symbol.push_back(symbol);
  }

  const ColumnAutomaton& a_;
  int64_t memory_, max_edges_;
  int32_t padding_;
  uint64_t base_, top_;  // codes are numbers to `base_`, newest column last; top_ = base^(memory-1)
  std::vector<int32_t> merged_;
  std::unordered_map<uint64_t, int32_t> ids_;
  std::vector<uint64_t> code_;
  std::vector<int32_t> before_, state_;
  Graph graph_;
};

// Fills exit_edge by a breadth-first search backwards from the ends; -2: no end can be reached.
void find_exits(Graph& graph) {
  const auto nodes = static_cast<size_t>(graph.nodes());
  std::vector<int64_t> begin(nodes + 1, 0);
  for (const int32_t to : graph.head) ++begin[static_cast<size_t>(to) + 1];
  for (size_t v = 0; v < nodes; ++v) begin[v + 1] += begin[v];
  std::vector<int64_t> incoming(graph.head.size());
  auto at = begin;
  for (size_t e = 0; e < graph.head.size(); ++e) {
    incoming[static_cast<size_t>(at[static_cast<size_t>(graph.head[e])]++)] = static_cast<int64_t>(e);
  }
  graph.exit_edge.assign(nodes, -2);
  std::vector<size_t> queue;
  for (size_t v = 0; v < nodes; ++v) {
    if (!graph.accepting[v]) continue;
    graph.exit_edge[v] = -1;
    queue.push_back(v);
  }
  for (size_t k = 0; k < queue.size(); ++k) {
    const size_t v = queue[k];
    for (int64_t i = begin[v]; i < begin[v + 1]; ++i) {
      const int64_t edge = incoming[static_cast<size_t>(i)];
      const auto u = static_cast<size_t>(graph.tail[static_cast<size_t>(edge)]);
      if (graph.exit_edge[u] != -2) continue;
      graph.exit_edge[u] = edge;
      queue.push_back(u);
    }
  }
}

// Drops the nodes from which no word can end. They only lead to their like, so that shortest paths
// from the start to other nodes stay.
Graph prune(const Graph& old) {
  const auto nodes = static_cast<size_t>(old.nodes());
  std::vector<int32_t> name(nodes, -1);
  int32_t count = 0;
  for (size_t v = 0; v < nodes; ++v) {
    if (old.exit_edge[v] != -2) name[v] = count++;
  }
  Graph graph;
  std::vector<int64_t> edge_name(old.head.size(), -1);
  for (size_t v = 0; v < nodes; ++v) {
    if (name[v] < 0) continue;
    graph.first.push_back(graph.edges());
    graph.accepting.push_back(old.accepting[v]);
    for (int64_t e = old.first[v]; e < old.first[v + 1]; ++e) {
      const auto i = static_cast<size_t>(e);
      if (name[static_cast<size_t>(old.head[i])] < 0) continue;
      edge_name[i] = graph.edges();
      graph.head.push_back(name[static_cast<size_t>(old.head[i])]);
      graph.tail.push_back(name[v]);
      graph.symbol.push_back(old.symbol[i]);
    }
  }
  graph.first.push_back(graph.edges());
  const auto renamed = [&](int64_t e) { return e < 0 ? e : edge_name[static_cast<size_t>(e)]; };
  for (size_t v = 0; v < nodes; ++v) {
    if (name[v] < 0) continue;
    graph.parent_edge.push_back(renamed(old.parent_edge[v]));
    graph.exit_edge.push_back(renamed(old.exit_edge[v]));
  }
  return graph;
}

}  // namespace

Graph explore(const ColumnAutomaton& automaton, int64_t memory, int64_t max_edges) {
  Graph graph = Explorer(automaton, memory, max_edges).run();
  find_exits(graph);
  if (graph.exit_edge[0] == -2) {
    throw std::invalid_argument("the automaton accepts no word: no accepting state can be reached");
  }
  return prune(graph);
}

// Tarjan's algorithm (SIAM J. Comput. 1, 1972) with an explicit stack.
std::vector<int32_t> components(const Graph& graph) {
  const auto nodes = static_cast<size_t>(graph.nodes());
  std::vector<int32_t> component(nodes, -1), order(nodes, -1), low(nodes, 0);
  std::vector<int64_t> next_edge(graph.first.begin(), graph.first.end() - 1);
  std::vector<size_t> path{0}, open{0};  // every node is reachable from node 0
  int32_t visited = 1, found = 0;
  order[0] = low[0] = 0;
  while (!path.empty()) {
    const size_t v = path.back();
    if (next_edge[v] < graph.first[v + 1]) {
      const auto w = static_cast<size_t>(graph.head[static_cast<size_t>(next_edge[v]++)]);
      if (order[w] < 0) {
        order[w] = low[w] = visited++;
        path.push_back(w);
        open.push_back(w);
      } else if (component[w] < 0) {
        low[v] = std::min(low[v], order[w]);
      }
      continue;
    }
    path.pop_back();
    if (!path.empty()) low[path.back()] = std::min(low[path.back()], low[v]);
    if (low[v] != order[v]) continue;
    for (size_t w = nodes; w != v;) {
      w = open.back();
      open.pop_back();
      component[w] = found;
    }
    ++found;
  }
  return component;
}

}  // namespace arithtf::cover
