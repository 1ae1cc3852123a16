// Column tasks: the answer is written by passes of finite transducers over the operands' columns. A task is
// a set of tables, made in arithtf.tasks.column_rule; everything here is common to all of them.
#pragma once

#include <cstdint>
#include <vector>

#include "coupling.h"
#include "layout.h"
#include "tasks/draw.h"

namespace arithtf::columns {

inline constexpr std::uint8_t no_token = 255;

// One row of the answer: a token for each column, then `flush` if the last state has one, then `end`.
struct Pass {
  std::int64_t states = 0;
  std::vector<std::int32_t> start;     // [values]: state before the first column. The value is the last
                                       // operand's digit (or 0) in the first pass, then the last state
                                       // of the pass before
  std::vector<std::int32_t> next;      // [states, symbols]
  std::vector<std::uint8_t> emitted;   // [states, symbols]
  std::vector<std::uint8_t> flush;     // [states], no_token: nothing
  std::vector<std::uint8_t> end;       // [states]
  bool end_apart = false;              // the end is a segment of its own, which goes on counting

  bool flushes() const;
};

// Segments in order: bos; operands with separators between them; equals; for every pass its row and, where
// it is apart, its end. A column's symbol is the digits of the column operands (the base where one has
// ended), the first one the least significant place in base + 1.
struct Task {
  Shape shape;
  int control = 10;                     // the token after the last digit, PAD
  bool from_left = false;               // columns are read most significant first
  bool padded = false;                  // operands are zero-padded to the longest
  std::int64_t limit = 0;               // > 0: at most so many columns are read
  std::vector<std::uint8_t> separators; // [arity - 1]
  std::vector<Pass> passes;

  // Throws std::invalid_argument for tables that do not fit each other.
  void check() const;
  std::int64_t symbols() const;
  std::int64_t segment_count() const;
  std::int64_t columns_of(std::int64_t longest) const;
  // Tokens of an answer to operands of at most `longest` digits.
  std::int64_t room(std::int64_t longest) const;
};

Grid grid_for(const Task& task, std::int64_t instances, std::int64_t longest);

void fill_batch(const Task& task, const Coupling& coupling, const Draw& draw, const Grid& grid,
                std::int64_t threads, Buffers out);

// `solved` false leaves the answer to be decoded: PAD tokens, ids of an answer of full width, no targets.
void fill_layout(const Task& task, const Coupling& coupling, const Operands& operands, const Grid& grid,
                 bool solved, std::int64_t threads, Buffers out);

// The tokens of an answer, EOS included; `out` has room for task.room(longest operand).
std::int64_t write_answer(const Task& task, const Operands& operands, std::int64_t instance,
                          std::uint8_t* out);

}  // namespace arithtf::columns
