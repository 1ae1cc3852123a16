#include "tasks/multiplication.h"

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <limits>
#include <stdexcept>
#include <string>
#include <vector>

#include "parallel.h"

namespace arithtf::multiplication {
namespace {

// Symbols after the digits, in the order of arithtf.tasks.vocabulary.
enum Symbol { pad_symbol, bos_symbol, eos_symbol, equals_symbol, times_symbol, row_symbol };

// A row is its separator, then digit and carry for each digit of the multiplicand.
std::int64_t row_width(std::int64_t n) { return 2 * n + 1; }

std::int64_t prompt_length(std::int64_t n, std::int64_t m) { return n + m + 3; }

// The runs of an instance of n x m digits; `answers` tokens follow the work.
std::vector<Run> runs_of(std::int64_t n, std::int64_t m, std::int64_t answers) {
  std::vector<Run> runs{{bos, 0, 1}, {first, 0, n}, {times, 0, 1}, {second, 0, m}, {equals, 0, 1}};
  runs.reserve(static_cast<std::size_t>(7 + 5 * m));
  std::int64_t token = prompt_length(n, m);
  for (std::int64_t j = 0; j < m; ++j, token += row_width(n)) {
    const bool final_row = j == m - 1;
    runs.push_back({row, j, 1, 0, 1, token});
    runs.push_back({fixed, j, final_row ? n : 1, 0, 2, token + 1});
    if (!final_row) runs.push_back({sum, j, n - 1, 1, 2, token + 3});
    runs.push_back({carry, j, n - 1, 0, 2, token + 2});
    runs.push_back({final_row ? last : top, j, 1, n - 1, 1, token + 2 * n});
  }
  runs.push_back({end, 0, 1, 0, 1, token});
  runs.push_back({answer, 0, answers, 0, 1, token + 1});
  return runs;
}

struct Writer {
  int base;
  const Coupling& coupling;
  const IdDraws& draws;
  const Operands& operands;
  const Grid& grid;
  bool solved;
  Buffers out;

  std::uint8_t symbol(int number) const { return static_cast<std::uint8_t>(base + number); }

  void operator()(std::int64_t instance) const {
    const Number a = operands.operand(instance, 0), b = operands.operand(instance, 1);
    const std::int64_t prompt = prompt_length(a.length, b.length);
    const std::int64_t written = answer_length(a.length, b.length) + 1;

    std::uint8_t* tokens = out.tokens + instance * grid.columns;
    std::uint8_t* targets = out.targets + instance * grid.columns;
    std::memset(tokens, symbol(pad_symbol), static_cast<std::size_t>(grid.columns));
    std::memset(targets, ignore_target, static_cast<std::size_t>(grid.columns));
    tokens[0] = symbol(bos_symbol);
    std::uint8_t* at = tokens + grid.start + 2 - prompt;
    at = std::copy_n(a.digits, a.length, at);
    *at++ = symbol(times_symbol);
    at = std::copy_n(b.digits, b.length, at);
    *at++ = symbol(equals_symbol);
    if (solved) {
      write_answer(base, a, b, at);
      at[written - 1] = symbol(eos_symbol);
      std::copy_n(at, written, targets + grid.start);
    }
    const auto runs = runs_of(a.length, b.length, a.length + b.length + 1);
    const std::int64_t place =
        instance * static_cast<std::int64_t>(coupling.levels.size()) * grid.columns;
    write_ids(coupling, draws, grid, instance, runs, prompt, grid.columns,
              {out.query + place, out.key + place}, row_width(a.length));
  }
};

}  // namespace

Number Operands::operand(std::int64_t instance, std::int64_t number) const {
  const std::int64_t* at = offsets + 2 * instance + number;
  return {digits + at[0], at[1] - at[0]};
}

void Operands::check(int base) const {
  for (std::int64_t k = 0; k < 2 * instances; ++k) check_number(operand(k / 2, k % 2), base, k / 2, k % 2);
}

std::int64_t answer_length(std::int64_t n, std::int64_t m) {
  return m * row_width(n) + 1 + n + m;
}

Grid grid_for(const Operands& operands, std::int64_t width) {
  std::int64_t prompt = 0, room = 0, longest = 0;
  const auto fit = [&](std::int64_t n, std::int64_t m) {
    prompt = std::max(prompt, prompt_length(n, m));
    room = std::max(room, answer_length(n, m) + 1);
    longest = std::max({longest, n, m});
  };
  for (std::int64_t i = 0; i < operands.instances; ++i) {
    fit(operands.operand(i, 0).length, operands.operand(i, 1).length);
  }
  if (width > 0) {
    if (width < longest) {
      throw std::invalid_argument("width must be at least the longest operand, " +
                                  std::to_string(longest) + " digits, got " + std::to_string(width));
    }
    fit(width, width);
  }
  if (prompt + room > std::numeric_limits<std::int32_t>::max()) {
    throw std::invalid_argument("the work of this product has " + std::to_string(room) +
                                " tokens, more than 32-bit ids can number; give shorter operands");
  }
  return {operands.instances, prompt + room, prompt - 1};
}

void fill(int base, const Coupling& coupling, const IdDraws& draws, const Operands& operands,
          const Grid& grid, bool solved, std::int64_t threads, Buffers out) {
  const Writer write{base, coupling, draws, operands, grid, solved, out};
  threads = thread_count(threads, grid.instances * grid.columns);
  parallel_for(grid.instances, threads, [&](std::int64_t begin, std::int64_t stop) {
    for (std::int64_t i = begin; i < stop; ++i) write(i);
  });
}

void write_answer(int base, Number a, Number b, std::uint8_t* out) {
  const auto equals_token = static_cast<std::uint8_t>(base + equals_symbol);
  const auto row_token = static_cast<std::uint8_t>(base + row_symbol);
  std::uint8_t* product = out + b.length * row_width(a.length);
  *product++ = equals_token;
  // The digits of the running sum that later rows still change, least significant first.
  std::vector<std::uint8_t> running(static_cast<std::size_t>(a.length) + 1);
  for (std::int64_t j = 0; j < b.length; ++j) {
    const int factor = b.digits[b.length - 1 - j];
    int carried = 0;
    *out++ = row_token;
    for (std::int64_t i = 0; i < a.length; ++i) {
      const auto place = static_cast<std::size_t>(i);
      const int value = a.digits[a.length - 1 - i] * factor + running[place + 1] + carried;
      carried = value / base;
      running[place] = static_cast<std::uint8_t>(value - carried * base);
      *out++ = running[place];
      *out++ = static_cast<std::uint8_t>(carried);
    }
    running.back() = static_cast<std::uint8_t>(carried);
    *product++ = running.front();
  }
  std::copy_n(running.data() + 1, a.length, product);
}

}  // namespace arithtf::multiplication
