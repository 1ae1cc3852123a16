#include "tasks/worksheet.h"

#include <vector>

namespace arithtf::worksheets {

void Sheet::expect(Lengths lengths, std::int64_t, RunList& list) const {
  std::int64_t prompt = 1;
  for (const std::int64_t digits : lengths) prompt += digits + 1;  // the digits, then a sign or "="
  runs(lengths, prompt, list);
}

std::int64_t Sheet::write(Numbers operands, std::uint8_t* out, RunList* list) const {
  std::vector<std::int64_t> lengths;
  for (const Number& number : operands) lengths.push_back(number.length);
  const std::int64_t written = work_tokens(lengths);
  write_answer(operands, out);
  out[written] = symbol(eos_token);
  if (list) expect(lengths, written + 1, *list);
  return written + 1;
}

}  // namespace arithtf::worksheets
