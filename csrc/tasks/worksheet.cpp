#include "tasks/worksheet.h"

#include <algorithm>
#include <cstring>
#include <limits>
#include <stdexcept>

#include "parallel.h"

namespace arithtf::worksheets {
namespace {

std::vector<std::int64_t> lengths_of(const Operands& operands, std::int64_t instance) {
  std::vector<std::int64_t> lengths;
  for (std::int64_t k = 0; k < operands.arity; ++k) {
    lengths.push_back(operands.operand(instance, k).length);
  }
  return lengths;
}

}  // namespace

std::int64_t Sheet::prompt_length(Lengths lengths) const {
  std::int64_t length = 1;
  for (const std::int64_t digits : lengths) length += digits + 1;  // the digits, then a sign or "="
  return length;
}

void Sheet::write_prompt(Numbers operands, std::uint8_t* out) const {
  for (const Number& number : operands) {
    out = std::copy_n(number.digits, number.length, out);
    *out++ = symbol(&number == &operands.back() ? equals_symbol : sign_symbol);
  }
}

class Writer {
 public:
  Writer(const Sheet& sheet, const Coupling& coupling, const IdDraws& draws, const Operands& operands,
         const Grid& grid, bool solved, Buffers out)
      : sheet_(sheet), coupling_(coupling), draws_(draws), operands_(operands), grid_(grid),
        solved_(solved), out_(out) {}

  void operator()(std::int64_t instance) const {
    const auto lengths = lengths_of(operands_, instance);
    std::vector<Number> numbers;
    for (std::int64_t k = 0; k < operands_.arity; ++k) numbers.push_back(operands_.operand(instance, k));
    const std::int64_t prompt = sheet_.prompt_length(lengths);

    std::uint8_t* tokens = out_.tokens + instance * grid_.columns;
    std::uint8_t* targets = out_.targets + instance * grid_.columns;
    std::memset(tokens, sheet_.symbol(Sheet::pad_symbol), static_cast<std::size_t>(grid_.columns));
    std::memset(targets, ignore_target, static_cast<std::size_t>(grid_.columns));
    tokens[0] = sheet_.symbol(Sheet::bos_symbol);
    sheet_.write_prompt(numbers, tokens + grid_.start + 2 - prompt);
    if (solved_) {
      const std::int64_t written = sheet_.answer_length(lengths);
      std::uint8_t* answer = tokens + grid_.start + 1;
      sheet_.write_answer(numbers, answer);
      answer[written] = sheet_.symbol(Sheet::eos_symbol);
      std::copy_n(answer, written + 1, targets + grid_.start);
    }
    const auto runs = sheet_.runs(lengths);
    const std::int64_t place =
        instance * static_cast<std::int64_t>(coupling_.levels.size()) * grid_.columns;
    write_ids(coupling_, draws_, grid_, instance, runs, prompt, grid_.columns,
              {out_.query + place, out_.key + place}, sheet_.pitch(lengths));
  }

 private:
  const Sheet& sheet_;
  const Coupling& coupling_;
  const IdDraws& draws_;
  const Operands& operands_;
  const Grid& grid_;
  bool solved_;
  Buffers out_;
};

Grid grid_for(const Sheet& sheet, const Operands& operands, std::int64_t width) {
  std::int64_t prompt = 0, room = 0;
  const auto fit = [&](Lengths lengths) {
    prompt = std::max(prompt, sheet.prompt_length(lengths));
    room = std::max(room, sheet.answer_length(lengths) + 1);
  };
  for (std::int64_t i = 0; i < operands.instances; ++i) fit(lengths_of(operands, i));
  if (width > 0) {
    const std::int64_t longest = operands.longest(operands.arity);
    if (width < longest) {
      throw std::invalid_argument("width must be at least the longest operand, " +
                                  std::to_string(longest) + " digits, got " + std::to_string(width));
    }
    fit(std::vector<std::int64_t>(static_cast<std::size_t>(operands.arity), width));
  }
  if (prompt + room > std::numeric_limits<std::int32_t>::max() / 4) {
    throw std::invalid_argument("the work of this problem has " + std::to_string(room) +
                                " tokens, more than 32-bit ids can number; give shorter operands");
  }
  return {operands.instances, prompt + room, prompt - 1};
}

void fill(const Sheet& sheet, const Coupling& coupling, const IdDraws& draws, const Operands& operands,
          const Grid& grid, bool solved, std::int64_t threads, Buffers out) {
  const Writer write(sheet, coupling, draws, operands, grid, solved, out);
  threads = thread_count(threads, grid.instances * grid.columns);
  parallel_for(grid.instances, threads, [&](std::int64_t begin, std::int64_t stop) {
    for (std::int64_t i = begin; i < stop; ++i) write(i);
  });
}

}  // namespace arithtf::worksheets
