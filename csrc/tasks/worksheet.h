// Worksheets: problems solved by rows of work, cell by cell, each row from the one before.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "coupling.h"
#include "digits.h"
#include "layout.h"
#include "tasks/draw.h"

namespace arithtf::worksheets {

using Lengths = std::span<const std::int64_t>;
using Numbers = std::span<const Number>;

// One kind of worksheet: how a problem is written, and which segment each token belongs to. What it says of
// lengths and runs depends on the operands' lengths alone, so that ids are known before the work is.
class Sheet {
 public:
  explicit Sheet(int base) : base_(base) {}
  virtual ~Sheet() = default;

  int base() const { return base_; }
  virtual std::int64_t segments() const = 0;
  // Whether the last operand divides, so that it is not 0.
  virtual bool divides() const { return false; }
  // Tokens after the prompt, EOS left out.
  virtual std::int64_t answer_length(Lengths lengths) const = 0;
  // Distance of two rows where ids number the cells row by row: more than a row has columns.
  virtual std::int64_t pitch(Lengths lengths) const = 0;
  // All tokens of an instance, BOS first, EOS included.
  virtual std::vector<Run> runs(Lengths lengths) const = 0;
  // Writes the answer_length tokens that solve the problem.
  virtual void write_answer(Numbers operands, std::uint8_t* out) const = 0;

  // BOS, the operands with the sign between them, "=".
  std::int64_t prompt_length(Lengths lengths) const;
  void write_prompt(Numbers operands, std::uint8_t* out) const;

 protected:
  // The vocabulary after the digits, in the order of arithtf.tasks.vocabulary.
  enum Symbol { pad_symbol, bos_symbol, eos_symbol, equals_symbol, sign_symbol, row_symbol };
  std::uint8_t symbol(Symbol number) const { return static_cast<std::uint8_t>(base_ + number); }
  friend class Writer;

  int base_;
};

// Throws std::invalid_argument for a name that is none of "product", "sum", "quotient", or a base that does not exist.
std::unique_ptr<Sheet> make_sheet(const std::string& name, std::int64_t base);

// The smallest grid that holds all problems, or any of operands up to `width` digits if width > 0. Throws
// std::invalid_argument for a width below an operand's length, or more columns than ids can number.
Grid grid_for(const Sheet& sheet, const Operands& operands, std::int64_t width);

// `solved` false leaves everything after the prompt to be decoded: PAD tokens, their ids, no targets.
void fill(const Sheet& sheet, const Coupling& coupling, const IdDraws& draws, const Operands& operands,
          const Grid& grid, bool solved, std::int64_t threads, Buffers out);

}  // namespace arithtf::worksheets
