// Walks of a column automaton that together contain every window of columns that can occur.
//
// An instance of a column task is a word of column symbols (for addition: the pair of operand digits
// of equal significance, least significant column first) accepted by a finite automaton. What a
// windowed query at column j can depend on is decided by
//   the automaton's state left of column j - past (only through its label, e.g. the carry),
//   the symbols of columns j - past .. j + future, and where the word begins or ends among them.
// So it is enough to walk every edge of the graph whose nodes are (label of the state before the
// remembered columns, the last past + future columns incl. padding before the start) and whose
// edges append a column, and to end a walk in every node in which a word can end.
#pragma once

#include <cstdint>
#include <vector>

namespace arithtf::cover {

struct ColumnAutomaton {
  int32_t states;
  int32_t symbols;
  std::vector<int32_t> transitions;  // [states, symbols], -1: impossible
  std::vector<int32_t> labels;       // [states]: all that contexts can depend on, a congruence:
                                     // equal labels and equal symbols lead to equal labels
  int32_t start;
  std::vector<uint8_t> accepting;    // [states]
};

struct Walks {
  std::vector<int32_t> columns;  // symbols of all walks, concatenated
  std::vector<int64_t> offsets;  // [walks + 1]
  int64_t edges;                 // windows of past + 1 + future columns that occur
  int64_t ends;                  // different ends of a word (last past + future columns)
};

// Words that can occur together contain every edge and every end; the total length is within a
// small factor of edges + ends. Throws std::invalid_argument if the automaton is malformed or the
// graph has more than max_edges edges.
Walks cover(const ColumnAutomaton& automaton, int64_t past, int64_t future, int64_t max_edges);

// About how many windows of `length` columns there are (counted as paths of the automaton).
double estimate_windows(const ColumnAutomaton& automaton, int64_t length);

}  // namespace arithtf::cover
