// Multiplication of two numbers with its work written out: tokens, ids and targets of given operands.
#pragma once

#include <cstdint>

#include "coupling.h"
#include "digits.h"
#include "layout.h"

namespace arithtf::multiplication {

// Segments in order, as arithtf.tasks.multiplication names them.
enum Segment : std::int64_t {
  bos, first, times, second, equals, row, sum, fixed, carry, top, last, end, answer, segment_count
};

// Problems of explicit operands: operand k is the digits [offsets[k], offsets[k + 1]), two for a problem.
struct Operands {
  const std::uint8_t* digits;
  const std::int64_t* offsets;
  std::int64_t instances;

  Number operand(std::int64_t instance, std::int64_t number) const;
  void check(int base) const;
};

struct Buffers {
  std::uint8_t* tokens;
  std::int32_t* query;
  std::int32_t* key;
  std::uint8_t* targets;
};

// Tokens of the work and the product of n x m digits, EOS left out.
std::int64_t answer_length(std::int64_t n, std::int64_t m);

// The smallest grid that holds all problems, or any of operands up to `width` digits if width > 0. Throws
// std::invalid_argument for a width below an operand's length, or more columns than ids can number.
Grid grid_for(const Operands& operands, std::int64_t width);

// `solved` false leaves everything after the prompt to be decoded: PAD tokens, their ids, no targets.
void fill(int base, const Coupling& coupling, const IdDraws& draws, const Operands& operands,
          const Grid& grid, bool solved, std::int64_t threads, Buffers out);

// Writes the answer_length tokens that solve a * b.
void write_answer(int base, Number a, Number b, std::uint8_t* out);

}  // namespace arithtf::multiplication
