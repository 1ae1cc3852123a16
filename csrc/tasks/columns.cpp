#include "tasks/columns.h"

#include <algorithm>
#include <stdexcept>
#include <string>

namespace arithtf {
namespace {

void expect_that(bool holds, const char* what) {
  if (!holds) throw std::invalid_argument(std::string("column task tables: ") + what);
}

bool states_below(const std::vector<std::int32_t>& table, std::int64_t states) {
  return std::all_of(table.begin(), table.end(),
                     [states](std::int32_t state) { return state >= 0 && state < states; });
}

std::int64_t longest_of(Lengths lengths, std::int64_t numbers) {
  return *std::max_element(lengths.begin(), lengths.begin() + numbers);
}

}  // namespace

bool Pass::flushes() const {
  return std::any_of(flush.begin(), flush.end(), [](std::uint8_t token) { return token != no_token; });
}

ColumnProgram::ColumnProgram(const Shape& shape, bool padded, bool from_left, std::int64_t limit,
                             std::vector<Pass> passes)
    : shape_(shape), padded_(padded), from_left_(from_left), limit_(limit), symbol_count_(1),
      passes_(std::move(passes)) {
  const std::int64_t numbers = shape.numbers();
  expect_that(shape.arity >= 1 && shape.arity <= 2 && numbers >= 1, "one or two operands, one of them a number");
  expect_that(!shape.related || numbers == 2, "only two numbers can be related");
  expect_that(!from_left || padded || numbers == 1, "columns from the left need operands of equal length");
  expect_that(!passes_.empty() && limit >= 0, "at least one pass and no negative limit");
  for (std::int64_t k = 0; k < numbers; ++k) symbol_count_ *= shape.base + 1;
  std::int64_t values = shape.last_digit ? shape.base : 1;
  for (const Pass& pass : passes_) {
    const auto cells = static_cast<std::size_t>(pass.states * symbol_count_);
    const auto states = static_cast<std::size_t>(pass.states);
    expect_that(static_cast<std::int64_t>(pass.start.size()) == values, "a start for every value before");
    expect_that(pass.next.size() == cells && pass.emitted.size() == cells, "tables [states, symbols]");
    expect_that(pass.flush.size() == states && pass.end.size() == states, "an end for every state");
    expect_that(states_below(pass.start, pass.states) && states_below(pass.next, pass.states),
                "states below their number");
    expect_that(&pass == &passes_.back() || !pass.flushes(), "only the last row may be longer than the columns");
    values = pass.states;
  }
  is_sum_ = is_sum();
}

// Whether the tables are those of addition. Their chain of look-ups, each waiting for the one before, is
// then cut short: `add` does eight columns at once.
bool ColumnProgram::is_sum() const {
  const Pass& pass = passes_.front();
  if (passes_.size() != 1 || shape_.numbers() != 2 || shape_.last_digit || from_left_ || limit_ > 0 ||
      pass.states != 2 || pass.start[0] != 0) {
    return false;
  }
  const int base = shape_.base;
  for (int carry = 0; carry < 2; ++carry) {
    for (std::int64_t symbol = 0; symbol < symbol_count_; ++symbol) {
      const int a = static_cast<int>(symbol % (base + 1)), b = static_cast<int>(symbol / (base + 1));
      if (a == base && b == base) continue;  // no column is beyond both
      if (padded_ && (a == base || b == base)) continue;
      const int sum = carry + a % base + b % base;
      const auto cell = static_cast<std::size_t>(carry * symbol_count_ + symbol);
      if (pass.next[cell] != sum / base || pass.emitted[cell] != sum % base) return false;
    }
  }
  return true;
}

std::int64_t ColumnProgram::write_sum(Numbers operands, std::uint8_t* out, RunList* runs) const {
  const Pass& pass = passes_.front();
  const auto carry = static_cast<std::size_t>(add(operands[0], operands[1], shape_.base, out));
  std::uint8_t* at = out + std::max(operands[0].length, operands[1].length);
  if (pass.flush[carry] != no_token) *at++ = pass.flush[carry];
  *at++ = pass.end[carry];
  if (runs) add_row(pass, first_row(), at - out, *runs);
  return at - out;
}

std::int64_t ColumnProgram::segments() const {
  std::int64_t count = first_row();
  for (const Pass& pass : passes_) count += pass.end_apart ? 2 : 1;
  return count;
}

std::int64_t ColumnProgram::columns_of(Lengths lengths) const {
  const std::int64_t longest = longest_of(lengths, shape_.numbers());
  return limit_ > 0 ? std::min(limit_, longest) : longest;
}

std::int64_t ColumnProgram::answer_tokens(Lengths lengths) const {
  std::int64_t tokens = 0;
  for (const Pass& pass : passes_) tokens += columns_of(lengths) + (pass.flushes() ? 2 : 1);
  return tokens;
}

std::int64_t ColumnProgram::write(Numbers operands, std::uint8_t* out, RunList* runs) const {
  if (is_sum_) return write_sum(operands, out, runs);
  // One a thread: a program is shared by the threads that write a batch.
  thread_local std::vector<std::int32_t> symbols;
  std::int64_t longest = 0;
  for (std::int64_t k = 0; k < shape_.numbers(); ++k) {
    longest = std::max(longest, operands[static_cast<std::size_t>(k)].length);
  }
  read_symbols(operands, longest, symbols);
  std::int64_t value = shape_.last_digit ? operands.back().digits[0] : 0;
  std::uint8_t* at = out;
  std::int64_t segment = first_row();
  for (const Pass& pass : passes_) {
    const std::uint8_t* begin = at;
    std::int64_t state = pass.start[static_cast<std::size_t>(value)];
    for (const std::int32_t symbol : symbols) {
      const auto cell = static_cast<std::size_t>(state * symbol_count_ + symbol);
      *at++ = pass.emitted[cell];
      state = pass.next[cell];
    }
    const auto last = static_cast<std::size_t>(state);
    if (pass.flush[last] != no_token) *at++ = pass.flush[last];
    *at++ = pass.end[last];
    if (runs) segment = add_row(pass, segment, at - begin, *runs);
    value = state;
  }
  return at - out;
}

// Rows before the last have a token a column and an end.
void ColumnProgram::expect(Lengths lengths, std::int64_t room, RunList& runs) const {
  std::int64_t segment = first_row();
  for (const Pass& pass : passes_) {
    const std::int64_t length = &pass == &passes_.back() ? room : columns_of(lengths) + 1;
    segment = add_row(pass, segment, length, runs);
    room -= length;
  }
}

void ColumnProgram::read_symbols(Numbers operands, std::int64_t longest, std::vector<std::int32_t>& symbols) const {
  const std::int64_t read = limit_ > 0 ? std::min(limit_, longest) : longest;
  symbols.assign(static_cast<std::size_t>(read), 0);
  std::int32_t factor = 1;
  for (std::int64_t k = 0; k < shape_.numbers(); ++k, factor *= shape_.base + 1) {
    const Number& number = operands[static_cast<std::size_t>(k)];
    const std::int64_t zeros = longest - number.length;  // before the first digit
    const int missing = padded_ ? 0 : shape_.base;
    for (std::int64_t j = 0; j < read; ++j) {
      const std::int64_t place = from_left_ ? j - zeros : number.length - 1 - j;
      const int digit = place >= 0 && place < number.length ? number.digits[place] : missing;
      symbols[static_cast<std::size_t>(j)] += factor * digit;
    }
  }
}

std::int64_t ColumnProgram::add_row(const Pass& pass, std::int64_t segment, std::int64_t length, RunList& runs) {
  if (!pass.end_apart) {
    runs.add(segment, 0, length);
    return segment + 1;
  }
  runs.add(segment, 0, length - 1);
  runs.add(segment + 1, 0, 1, length - 1);
  return segment + 2;
}

}  // namespace arithtf
