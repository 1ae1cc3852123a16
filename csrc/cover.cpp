#include "cover.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <map>
#include <stdexcept>
#include <string>
#include <utility>

#include "cover_graph.h"

namespace arithtf::cover {
namespace {

void check(const ColumnAutomaton& a) {
  const auto states = static_cast<size_t>(a.states);
  const auto symbols = static_cast<size_t>(a.symbols);
  if (a.states < 1 || a.symbols < 1 || a.transitions.size() != states * symbols ||
      a.labels.size() != states || a.accepting.size() != states || a.start < 0 ||
      a.start >= a.states) {
    throw std::invalid_argument(
        "expected transitions [states, symbols], labels [states], accepting [states] and a start "
        "state among them");
  }
  for (size_t s = 0; s < symbols; ++s) {
    std::map<int32_t, int32_t> label_after;
    for (size_t q = 0; q < states; ++q) {
      const int32_t to = a.transitions[q * symbols + s];
      if (to < -1 || to >= a.states) {
        throw std::invalid_argument("expected transitions to states 0.." +
                                    std::to_string(a.states - 1) + " or -1, got " +
                                    std::to_string(to));
      }
      if (to < 0) continue;
      const int32_t label = a.labels[static_cast<size_t>(to)];
      if (label_after.emplace(a.labels[q], label).first->second != label) {
        throw std::invalid_argument("labels are no congruence: after symbol " + std::to_string(s) +
                                    " states of label " + std::to_string(a.labels[q]) +
                                    " have different labels; use finer labels");
      }
    }
  }
}

// A closed walk through all edges inside each strongly connected component: edges are repeated
// along two spanning trees until every node is left as often as it is entered, then Hierholzer's
// algorithm. A repetition costs at most the depth of the trees, a few columns.
class Tours {
 public:
  Tours(const Graph& graph, const std::vector<int32_t>& component)
      : g_(graph), component_(component), copies_(graph.head.size(), 0) {
    for (size_t e = 0; e < graph.head.size(); ++e) copies_[e] = inside(e);
    mark_.assign(component.size(), 0);
    tree_edge_.assign(component.size(), -1);
    surplus_.assign(component.size(), 0);
    reverse_edges();
  }

  bool inside(size_t edge) const {
    return component_[static_cast<size_t>(g_.tail[edge])] ==
           component_[static_cast<size_t>(g_.head[edge])];
  }

  // Edges of a closed walk from `root` through its component, in order.
  std::vector<int64_t> tour(size_t root) {
    balance(root);
    std::vector<int64_t> path, result;  // path: edges walked and not yet settled
    size_t v = root;
    for (;;) {
      int64_t& e = cursor_[v];
      while (e < g_.first[v + 1] && copies_[static_cast<size_t>(e)] == 0) ++e;
      if (e < g_.first[v + 1]) {
        --copies_[static_cast<size_t>(e)];
        path.push_back(e);
        v = static_cast<size_t>(g_.head[static_cast<size_t>(e)]);
        continue;
      }
      if (path.empty()) break;
      v = static_cast<size_t>(g_.tail[static_cast<size_t>(path.back())]);
      result.push_back(path.back());
      path.pop_back();
    }
    std::reverse(result.begin(), result.end());
    return result;
  }

 private:
  void reverse_edges() {
    const auto nodes = component_.size();
    cursor_.assign(g_.first.begin(), g_.first.end() - 1);
    in_first_.assign(nodes + 1, 0);
    for (size_t e = 0; e < g_.head.size(); ++e) {
      if (inside(e)) ++in_first_[static_cast<size_t>(g_.head[e]) + 1];
    }
    for (size_t v = 0; v < nodes; ++v) in_first_[v + 1] += in_first_[v];
    in_edges_.resize(static_cast<size_t>(in_first_[nodes]));
    auto at = in_first_;
    for (size_t e = 0; e < g_.head.size(); ++e) {
      if (!inside(e)) continue;
      in_edges_[static_cast<size_t>(at[static_cast<size_t>(g_.head[e])]++)] = static_cast<int64_t>(e);
    }
  }

  // Nodes of root's component in breadth-first order along (or against) the edges; tree_edge_ is the
  // edge towards the root.
  std::vector<size_t> tree(size_t root, bool forward, uint8_t mark) {
    std::vector<size_t> order{root};
    mark_[root] = mark;
    const auto reach = [&](size_t w, int64_t e) {
      if (mark_[w] == mark) return;
      mark_[w] = mark;
      tree_edge_[w] = e;
      order.push_back(w);
    };
    for (size_t k = 0; k < order.size(); ++k) {
      const size_t v = order[k];
      if (forward) {
        for (int64_t e = g_.first[v]; e < g_.first[v + 1]; ++e) {
          const auto i = static_cast<size_t>(e);
          if (inside(i)) reach(static_cast<size_t>(g_.head[i]), e);
        }
      } else {
        for (int64_t i = in_first_[v]; i < in_first_[v + 1]; ++i) {
          const int64_t e = in_edges_[static_cast<size_t>(i)];
          reach(static_cast<size_t>(g_.tail[static_cast<size_t>(e)]), e);
        }
      }
    }
    return order;
  }

  void balance(size_t root) {
    auto order = tree(root, false, 1);
    for (const size_t v : order) {
      surplus_[v] = in_first_[v + 1] - in_first_[v];
      for (int64_t e = g_.first[v]; e < g_.first[v + 1]; ++e) {
        surplus_[v] -= inside(static_cast<size_t>(e));
      }
    }
    for (size_t k = order.size(); k-- > 1;) {  // entered too often: walk on towards the root
      const size_t v = order[k];
      if (surplus_[v] <= 0) continue;
      const auto e = static_cast<size_t>(tree_edge_[v]);
      copies_[e] += surplus_[v];
      surplus_[static_cast<size_t>(g_.head[e])] += surplus_[v];
      surplus_[v] = 0;
    }
    order = tree(root, true, 2);
    for (size_t k = order.size(); k-- > 1;) {  // left too often: come again from the root
      const size_t v = order[k];
      if (surplus_[v] == 0) continue;
      const auto e = static_cast<size_t>(tree_edge_[v]);
      copies_[e] -= surplus_[v];
      surplus_[static_cast<size_t>(g_.tail[e])] += surplus_[v];
      surplus_[v] = 0;
    }
  }

  const Graph& g_;
  const std::vector<int32_t>& component_;
  std::vector<int64_t> copies_;  // times an edge has still to be walked
  std::vector<int64_t> cursor_, in_first_, in_edges_, tree_edge_, surplus_;
  std::vector<uint8_t> mark_;
};

// Weaves walks from the start to an end until every edge and every end is walked.
class Weaver {
 public:
  explicit Weaver(const Graph& graph)
      : g_(graph),
        component_(components(graph)),
        tours_(graph, component_),
        cursor_(graph.first.begin(), graph.first.end() - 1),
        walked_(graph.head.size(), 0),
        ended_(component_.size(), 0) {
    toured_.assign(static_cast<size_t>(*std::max_element(component_.begin(), component_.end())) + 1,
                   1);
    for (size_t e = 0; e < graph.head.size(); ++e) {
      if (tours_.inside(e)) toured_[static_cast<size_t>(component_[static_cast<size_t>(g_.head[e])])] = 0;
    }
    walks_.offsets.push_back(0);
  }

  Walks run() {
    const auto nodes = component_.size();
    // Components are numbered against the edges' direction: the last is the first to be entered.
    std::vector<int64_t> entrance(toured_.size(), -1);
    for (size_t v = nodes; v-- > 0;) entrance[static_cast<size_t>(component_[v])] = static_cast<int64_t>(v);
    for (size_t c = toured_.size(); c-- > 0;) {
      if (!toured_[c]) walk(static_cast<size_t>(entrance[c]), true);
    }
    for (size_t v = 0; v < nodes; ++v) {
      while (unwalked(v) >= 0) walk(v, true);
    }
    for (size_t v = 0; v < nodes; ++v) {
      if (g_.accepting[v] && !ended_[v]) walk(v, false);
    }
    walks_.edges = g_.edges();
    walks_.ends = std::count_if(g_.accepting.begin(), g_.accepting.end(), [](uint8_t x) { return x != 0; });
    return std::move(walks_);
  }

 private:
  int64_t unwalked(size_t v) {
    int64_t& e = cursor_[v];
    while (e < g_.first[v + 1] && walked_[static_cast<size_t>(e)]) ++e;
    return e < g_.first[v + 1] ? e : -1;
  }

  void take(int64_t edge) {
    walked_[static_cast<size_t>(edge)] = 1;
    walks_.columns.push_back(g_.symbol[static_cast<size_t>(edge)]);
  }

  // One walk: shortest way to v, then (onward) along edges not walked before, then out.
  void walk(size_t v, bool onward) {
    std::vector<int64_t> way;
    for (size_t u = v; g_.parent_edge[u] >= 0;) {
      way.push_back(g_.parent_edge[u]);
      u = static_cast<size_t>(g_.tail[static_cast<size_t>(way.back())]);
    }
    for (size_t k = way.size(); k-- > 0;) take(way[k]);
    while (onward) {
      const auto c = static_cast<size_t>(component_[v]);
      if (!toured_[c]) {
        toured_[c] = 1;
        for (const int64_t e : tours_.tour(v)) take(e);
      }
      int64_t e = unwalked(v);
      if (e < 0) e = g_.exit_edge[v];
      if (e < 0) break;
      take(e);
      v = static_cast<size_t>(g_.head[static_cast<size_t>(e)]);
    }
    ended_[v] = 1;
    walks_.offsets.push_back(static_cast<int64_t>(walks_.columns.size()));
  }

  const Graph& g_;
  std::vector<int32_t> component_;
  Tours tours_;
  std::vector<int64_t> cursor_;
  std::vector<uint8_t> walked_, ended_, toured_;
  Walks walks_;
};

}  // namespace

double estimate_windows(const ColumnAutomaton& a, int64_t length) {
  const auto states = static_cast<size_t>(a.states);
  const auto symbols = static_cast<size_t>(a.symbols);
  std::vector<double> paths(states, 1.0), longer(states);
  for (int64_t i = 0; i < std::min<int64_t>(length, 1000); ++i) {
    for (size_t q = 0; q < states; ++q) {
      longer[q] = 0;
      for (size_t s = 0; s < symbols; ++s) {
        const int32_t to = a.transitions[q * symbols + s];
        if (to >= 0) longer[q] += paths[static_cast<size_t>(to)];
      }
    }
    paths.swap(longer);
  }
  std::map<int32_t, double> most;  // per label: what differs only in other respects is merged
  for (size_t q = 0; q < states; ++q) most[a.labels[q]] = std::max(most[a.labels[q]], paths[q]);
  double total = 0;
  for (const auto& [label, count] : most) total += count;
  return total;
}

Walks cover(const ColumnAutomaton& automaton, int64_t past, int64_t future, int64_t max_edges) {
  check(automaton);
  if (past < 0 || future < 0) throw std::invalid_argument("expected past >= 0 and future >= 0");
  const double estimate = estimate_windows(automaton, past + future + 1);
  if (estimate > 4.0 * static_cast<double>(max_edges) || max_edges > INT32_MAX) {
    std::array<char, 32> text{};
    std::snprintf(text.data(), text.size(), "%.3g", estimate);
    throw std::invalid_argument("about " + std::string(text.data()) +
                                " windows of columns, more than " + std::to_string(max_edges) +
                                ": the reach is too large to enumerate");
  }
  return Weaver(explore(automaton, past + future, max_edges)).run();
}

}  // namespace arithtf::cover
