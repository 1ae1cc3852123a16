// Worksheets: problems solved by rows of work, cell by cell, each row from the one before.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "tasks/program.h"

namespace arithtf::worksheets {

// One kind of worksheet: which segment each token belongs to, and what is written. All but the digits
// depends on the operands' lengths alone.
class Sheet : public Program {
 public:
  explicit Sheet(int base) : base_(base) {}

  // Whether the last operand divides, so that it is not 0.
  virtual bool divides() const { return false; }
  // Tokens after the prompt, EOS left out.
  virtual std::int64_t work_tokens(Lengths lengths) const = 0;
  // The runs of all tokens after the prompt, EOS included; the first of them is token number `token`.
  virtual void runs(Lengths lengths, std::int64_t token, RunList& runs) const = 0;
  virtual void write_answer(Numbers operands, std::uint8_t* out) const = 0;

  std::int64_t answer_tokens(Lengths lengths) const final { return work_tokens(lengths) + 1; }
  std::int64_t write(Numbers operands, std::uint8_t* out, RunList* runs) const final;
  void expect(Lengths lengths, std::int64_t room, RunList& runs) const final;

 protected:
  std::uint8_t symbol(int number) const { return static_cast<std::uint8_t>(base_ + number); }
  static constexpr int equals_symbol = equals_token, row_symbol = first_symbol + 1;

  int base_;
};

// Throws std::invalid_argument for a name that is none of "product", "sum", "quotient", or a base that does not exist.
std::unique_ptr<Sheet> make_sheet(const std::string& name, std::int64_t base);

}  // namespace arithtf::worksheets
