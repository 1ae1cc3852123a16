// Addition of two numbers: problems by address, their tokens, ids and targets.
#pragma once

#include <cstdint>

#include "coupling.h"
#include "digits.h"
#include "layout.h"
#include "tasks/draw.h"

namespace arithtf::addition {

// Segments in order, as arithtf.tasks.addition names them.
enum Segment : std::int64_t { bos, first, plus, second, equals, answer, segment_count };

struct Format {
  int base = 10;
  bool padded = false;            // operands zero-padded to the longer one, answer to one digit more
  bool reverse_operands = false;  // operands least significant digit first

  std::uint8_t pad() const { return static_cast<std::uint8_t>(base); }
  std::uint8_t token(int symbol) const { return static_cast<std::uint8_t>(base + symbol); }
};

struct Problem {
  Number a, b;
};

// The grid of instances whose operands have at most `longest` digits.
Grid grid_for(std::int64_t instances, std::int64_t longest);

void fill_batch(const Format& format, const Coupling& coupling, const Draw& draw, const Grid& grid,
                std::int64_t threads, Buffers out);

// `solved` false leaves the answer to be decoded: PAD tokens, ids of an answer of full width, no targets.
void fill_layout(const Format& format, const Coupling& coupling, const Operands& operands,
                 const Grid& grid, bool solved, std::int64_t threads, Buffers out);

// Digits of the answer as the format writes it, least significant first; `out` has room for length + 1 of
// the longer operand. Returns the number of digits.
std::int64_t write_answer(const Format& format, const Problem& problem, std::uint8_t* out);

}  // namespace arithtf::addition
