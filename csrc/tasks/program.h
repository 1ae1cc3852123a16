// A task on operands: how its prompt looks, and a program that writes answers. One writer for all of them.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "digits.h"
#include "layout.h"
#include "tasks/draw.h"

namespace arithtf {

using Lengths = std::span<const std::int64_t>;
using Numbers = std::span<const Number>;

// Tokens after the digits and other numbers, in the order of arithtf.tasks.vocabulary.
enum Control : int { pad_token, bos_token, eos_token, equals_token, first_symbol };

// How answers are written. What it says of lengths, and of the runs of an answer that is not written yet,
// depends on operand lengths alone, so that ids are known before the answer is.
class Program {
 public:
  virtual ~Program() = default;
  virtual std::int64_t segments() const = 0;
  // The most tokens that an answer to operands of these lengths has, EOS included.
  virtual std::int64_t answer_tokens(Lengths lengths) const = 0;
  // Distance of two rows where ids number cells row by row; 0 without rows.
  virtual std::int64_t row_stride(Lengths) const { return 0; }
  // Writes the answer, EOS included, and, if wanted, its runs. Returns the number of tokens.
  virtual std::int64_t write(Numbers operands, std::uint8_t* out, RunList* runs) const = 0;
  // The runs of an answer to come that fills `room` tokens.
  virtual void expect(Lengths lengths, std::int64_t room, RunList& runs) const = 0;
};

// BOS, the operands with separators between them, "=". Segments: bos 0, the first operand 1, separators 2,
// further operands 3, "=" 4; of one operand bos 0, operand 1, "=" 2.
struct Prompt {
  int control = 10;                      // token of PAD
  bool padded = false;                   // operands are zero-padded to the longest
  bool reversed = false;                 // operands stand least significant digit first
  bool repeated = false;                 // any number of operands, each with a row number of its own
  std::vector<std::uint8_t> separators;  // [arity - 1]; one if repeated
};

struct Task {
  Shape shape;
  Prompt prompt;
  std::unique_ptr<Program> program;

  std::int64_t prompt_tokens(Lengths lengths) const;
};

// Problems of explicit operands: digits of operand k are [offsets[k], offsets[k + 1]).
struct Operands {
  const std::uint8_t* digits;
  const std::int64_t* offsets;
  std::int64_t instances, arity;

  Number operand(std::int64_t instance, std::int64_t number) const {
    const std::int64_t* at = offsets + arity * instance + number;
    return {digits + at[0], at[1] - at[0]};
  }
  void read(std::int64_t instance, std::vector<Number>& out) const {
    out.clear();
    for (std::int64_t k = 0; k < arity; ++k) out.push_back(operand(instance, k));
  }
  void check(const Shape& shape) const;
};

// Column 0 holds BOS; the rest of the prompt ends at column `start`, the answer begins at start + 1.
struct Grid {
  std::int64_t instances = 0, columns = 0, start = 0;
};

struct Buffers {
  std::uint8_t* tokens;
  std::uint8_t* targets;
};

// Throws std::invalid_argument for more columns, a prompt and its answer, than ids can number.
void check_columns(std::int64_t columns, std::int64_t answer);

// The smallest grid for operands of up to `longest` digits each; of given problems, for these if longest
// is 0. Throws std::invalid_argument for a longest below an operand's length, or for more columns than ids
// can number.
Grid grid_for(const Task& task, std::int64_t instances, std::int64_t longest, std::int64_t arity);
Grid grid_for(const Task& task, const Operands& operands, std::int64_t longest);

// The problems of a draw, with their answers.
Runs write_drawn(const Task& task, const Draw& draw, const Grid& grid, std::int64_t threads, Buffers out);

// Given problems. `solved` false leaves the answers to be decoded: PAD tokens, runs of answers to come, no
// targets. The random parts of their ids depend on the problem alone.
Runs write_given(const Task& task, const Operands& operands, const Grid& grid, bool solved,
                 std::int64_t threads, Buffers out);

}  // namespace arithtf
