// Column tasks: the answer is written by passes of finite transducers over the operands' columns. A task is
// a set of tables, made in arithtf.tasks.arithmetic.transducer; everything here is common to all of them.
#pragma once

#include <cstdint>
#include <vector>

#include "tasks/program.h"

namespace arithtf {

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

// Segments after those of the prompt: for every pass its row and, where it is apart, its end. A column's
// symbol is the digits of the column operands (the base where one has ended), the first one the least
// significant place in base + 1.
class ColumnProgram final : public Program {
 public:
  // Throws std::invalid_argument for tables that do not fit each other. `from_left`: columns are read most
  // significant first; `limit` > 0: at most so many are read.
  ColumnProgram(const Shape& shape, bool padded, bool from_left, std::int64_t limit, std::vector<Pass> passes);

  std::int64_t segments() const override;
  std::int64_t answer_tokens(Lengths lengths) const override;
  std::int64_t write(Numbers operands, std::uint8_t* out, RunList* runs) const override;
  void expect(Lengths lengths, std::int64_t room, RunList& runs) const override;

 private:
  std::int64_t columns_of(Lengths lengths) const;
  bool is_sum() const;
  std::int64_t write_sum(Numbers operands, std::uint8_t* out, RunList* runs) const;
  std::int64_t first_row() const { return 2 * shape_.arity + 1; }
  void read_symbols(Numbers operands, std::int64_t longest, std::vector<std::int32_t>& symbols) const;
  static std::int64_t add_row(const Pass& pass, std::int64_t segment, std::int64_t length, RunList& runs);

  Shape shape_;
  bool padded_, from_left_;
  std::int64_t limit_;
  std::int64_t symbol_count_;
  std::vector<Pass> passes_;
  bool is_sum_;
};

}  // namespace arithtf
