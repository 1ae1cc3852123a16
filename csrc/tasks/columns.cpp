#include "tasks/columns.h"

#include <algorithm>
#include <cstring>
#include <span>
#include <stdexcept>
#include <string>

#include "parallel.h"

namespace arithtf::columns {
namespace {

// Tokens after the digits, in the order of arithtf.tasks.vocabulary.
enum Control { pad_token, bos_token, equals_token = 3 };

void expect(bool holds, const char* what) {
  if (!holds) throw std::invalid_argument(std::string("column task tables: ") + what);
}

bool states_below(const std::vector<std::int32_t>& table, std::int64_t states) {
  return std::all_of(table.begin(), table.end(),
                     [states](std::int32_t state) { return state >= 0 && state < states; });
}

std::uint8_t* put(std::uint8_t* out, int value, std::int64_t count = 1) {
  std::memset(out, value, static_cast<std::size_t>(count));
  return out + count;
}

// The rows of answers, one instance after the other; the memory between is used again.
class Rows {
 public:
  explicit Rows(const Task& task) : task_(task), symbol_count_(task.symbols()) {}

  // Writes the answer's tokens and, if `runs` is given, appends its runs. Returns the number of tokens.
  std::int64_t answer(std::span<const Number> operands, std::uint8_t* out, std::vector<Run>* runs) {
    read_symbols(operands);
    std::int64_t value = task_.shape.last_digit ? operands.back().digits[0] : 0;
    std::uint8_t* at = out;
    std::int64_t segment = 2 * task_.shape.arity + 1;
    for (const Pass& pass : task_.passes) {
      const std::uint8_t* begin = at;
      std::int64_t state = pass.start[static_cast<std::size_t>(value)];
      for (const std::int32_t symbol : symbols_) {
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

  // The runs of an answer to be written: rows before the last have a token a column and an end.
  void unsolved(std::span<const Number> operands, std::int64_t room, std::vector<Run>& runs) {
    read_symbols(operands);
    std::int64_t segment = 2 * task_.shape.arity + 1;
    for (std::size_t p = 0; p < task_.passes.size(); ++p) {
      const Pass& pass = task_.passes[p];
      const bool last = p + 1 == task_.passes.size();
      const std::int64_t length = last ? room : static_cast<std::int64_t>(symbols_.size()) + 1;
      segment = add_row(pass, segment, length, runs);
      room -= length;
    }
  }

 private:
  void read_symbols(std::span<const Number> operands) {
    const std::int64_t numbers = task_.shape.numbers();
    std::int64_t longest = 0;
    for (std::int64_t k = 0; k < numbers; ++k) {
      longest = std::max(longest, operands[static_cast<std::size_t>(k)].length);
    }
    const std::int64_t read = task_.columns_of(longest);
    symbols_.assign(static_cast<std::size_t>(read), 0);
    std::int32_t factor = 1;
    for (std::int64_t k = 0; k < numbers; ++k, factor *= task_.shape.base + 1) {
      const Number& number = operands[static_cast<std::size_t>(k)];
      const std::int64_t zeros = longest - number.length;  // before the first digit
      for (std::int64_t j = 0; j < read; ++j) {
        const std::int64_t place = task_.from_left ? j - zeros : number.length - 1 - j;
        const int missing = task_.padded ? 0 : task_.shape.base;
        const int digit = place >= 0 && place < number.length ? number.digits[place] : missing;
        symbols_[static_cast<std::size_t>(j)] += factor * digit;
      }
    }
  }

  static std::int64_t add_row(const Pass& pass, std::int64_t segment, std::int64_t length, std::vector<Run>& runs) {
    if (!pass.end_apart) {
      runs.push_back({segment, 0, length});
      return segment + 1;
    }
    runs.push_back({segment, 0, length - 1});
    runs.push_back({segment + 1, 0, 1, length - 1});
    return segment + 2;
  }

  const Task& task_;
  std::int64_t symbol_count_;
  std::vector<std::int32_t> symbols_;
};

class Writer {
 public:
  Writer(const Task& task, const Coupling& coupling, IdDraws draws, const Grid& grid, bool solved,
         Buffers out)
      : task_(task), coupling_(coupling), draws_(draws), grid_(grid), solved_(solved), out_(out), rows_(task) {}

  void write(std::int64_t instance, std::span<const Number> operands) {
    std::uint8_t* row = out_.tokens + instance * grid_.columns;
    std::uint8_t* targets = out_.targets + instance * grid_.columns;
    const std::int64_t room = grid_.columns - grid_.start - 1;
    const std::int64_t prompt = write_prompt(operands, row);
    std::memset(targets, ignore_target, static_cast<std::size_t>(grid_.columns));
    std::uint8_t* at = row + grid_.start + 1;
    std::int64_t written = 0;
    if (solved_) {
      written = rows_.answer(operands, at, &runs_);
      std::memcpy(targets + grid_.start, at, static_cast<std::size_t>(written));
    } else {
      rows_.unsolved(operands, room, runs_);
    }
    put(at + written, task_.control + pad_token, room - written);
    const std::int64_t place =
        instance * static_cast<std::int64_t>(coupling_.levels.size()) * grid_.columns;
    write_ids(coupling_, draws_, grid_, instance, runs_, prompt, prompt + room,
              {out_.query + place, out_.key + place});
  }

 private:
  std::int64_t width(const Number& number) const { return task_.padded ? columns_ : number.length; }

  std::int64_t write_prompt(std::span<const Number> operands, std::uint8_t* row) {
    const int control = task_.control;
    const std::int64_t numbers = task_.shape.numbers();
    columns_ = 0;
    for (std::int64_t k = 0; k < numbers; ++k) {
      columns_ = std::max(columns_, operands[static_cast<std::size_t>(k)].length);
    }
    std::int64_t prompt = 2;  // BOS and "="
    for (const Number& number : operands) prompt += width(number) + 1;
    prompt -= 1;  // separators stand between operands
    std::uint8_t* at = put(row, control + bos_token);
    at = put(at, control + pad_token, grid_.start + 1 - prompt);
    runs_.assign(1, Run{0, 0, 1});
    for (std::size_t k = 0; k < operands.size(); ++k) {
      const Number& number = operands[k];
      const auto segment = static_cast<std::int64_t>(2 * k) + 1;
      if (k > 0) {
        at = put(at, task_.separators[k - 1]);
        runs_.push_back({segment - 1, 0, 1});
      }
      at = put(at, 0, width(number) - number.length);
      std::memcpy(at, number.digits, static_cast<std::size_t>(number.length));
      at += number.length;
      runs_.push_back({segment, 0, width(number)});
    }
    put(at, control + equals_token);
    runs_.push_back({2 * task_.shape.arity, 0, 1});
    return prompt;
  }

  const Task& task_;
  const Coupling& coupling_;
  IdDraws draws_;
  Grid grid_;
  bool solved_;
  Buffers out_;
  Rows rows_;
  std::int64_t columns_ = 0;
  std::vector<Run> runs_;
};

std::vector<Number> problem(const Operands& operands, std::int64_t instance) {
  std::vector<Number> numbers;
  for (std::int64_t k = 0; k < operands.arity; ++k) numbers.push_back(operands.operand(instance, k));
  return numbers;
}

}  // namespace

bool Pass::flushes() const {
  return std::any_of(flush.begin(), flush.end(), [](std::uint8_t token) { return token != no_token; });
}

void Task::check() const {
  check_base(shape.base);
  const std::int64_t numbers = shape.numbers();
  expect(shape.arity >= 1 && shape.arity <= 2 && numbers >= 1, "one or two operands, one of them a number");
  expect(control >= shape.base, "control tokens after the digits");
  expect(static_cast<std::int64_t>(separators.size()) == shape.arity - 1, "a separator between operands");
  expect(!shape.related || numbers == 2, "only two numbers can be related");
  expect(!from_left || padded || numbers == 1, "columns from the left need operands of equal length");
  expect(!passes.empty() && limit >= 0, "at least one pass and no negative limit");
  std::int64_t values = shape.last_digit ? shape.base : 1;
  for (const Pass& pass : passes) {
    const auto cells = static_cast<std::size_t>(pass.states * symbols());
    const auto states = static_cast<std::size_t>(pass.states);
    expect(static_cast<std::int64_t>(pass.start.size()) == values, "a start for every value before");
    expect(pass.next.size() == cells && pass.emitted.size() == cells, "tables [states, symbols]");
    expect(pass.flush.size() == states && pass.end.size() == states, "an end for every state");
    expect(states_below(pass.start, pass.states) && states_below(pass.next, pass.states),
           "states below their number");
    expect(&pass == &passes.back() || !pass.flushes(), "only the last row may be longer than the columns");
    values = pass.states;
  }
}

std::int64_t Task::symbols() const {
  std::int64_t count = 1;
  for (std::int64_t k = 0; k < shape.numbers(); ++k) count *= shape.base + 1;
  return count;
}

std::int64_t Task::segment_count() const {
  std::int64_t count = 2 * shape.arity + 1;
  for (const Pass& pass : passes) count += pass.end_apart ? 2 : 1;
  return count;
}

std::int64_t Task::columns_of(std::int64_t longest) const {
  return limit > 0 ? std::min(limit, longest) : longest;
}

std::int64_t Task::room(std::int64_t longest) const {
  std::int64_t tokens = 0;
  for (const Pass& pass : passes) tokens += columns_of(longest) + (pass.flushes() ? 2 : 1);
  return tokens;
}

Grid grid_for(const Task& task, std::int64_t instances, std::int64_t longest) {
  check_size(instances);
  const std::int64_t digits = task.shape.numbers() * longest + (task.shape.last_digit ? 1 : 0);
  const std::int64_t start = digits + task.shape.arity;
  return {instances, start + 1 + task.room(longest), start};
}

void fill_batch(const Task& task, const Coupling& coupling, const Draw& draw, const Grid& grid,
                std::int64_t threads, Buffers out) {
  threads = thread_count(threads, grid.instances * grid.columns);
  parallel_for(grid.instances, threads, [&](std::int64_t begin, std::int64_t end) {
    Sampler sampler(draw);
    Writer writer(task, coupling, draw.id_draws(), grid, true, out);
    for (std::int64_t i = begin; i < end; ++i) writer.write(i, sampler(i));
  });
}

void fill_layout(const Task& task, const Coupling& coupling, const Operands& operands, const Grid& grid,
                 bool solved, std::int64_t threads, Buffers out) {
  threads = thread_count(threads, grid.instances * grid.columns);
  parallel_for(grid.instances, threads, [&](std::int64_t begin, std::int64_t end) {
    Writer writer(task, coupling, IdDraws{0, id_stream - 1, 0, false}, grid, solved, out);
    for (std::int64_t i = begin; i < end; ++i) writer.write(i, problem(operands, i));
  });
}

std::int64_t write_answer(const Task& task, const Operands& operands, std::int64_t instance,
                          std::uint8_t* out) {
  return Rows(task).answer(problem(operands, instance), out, nullptr);
}

}  // namespace arithtf::columns
