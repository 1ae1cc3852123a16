#include "tasks/program.h"

#include <algorithm>
#include <cstring>
#include <stdexcept>
#include <string>

#include "parallel.h"

namespace arithtf {
namespace {

constexpr std::int64_t few_runs = 16, most_reserved_runs = 1 << 16;

std::uint8_t* put(std::uint8_t* out, int value, std::int64_t count = 1) {
  std::memset(out, value, static_cast<std::size_t>(count));
  return out + count;
}

void read_lengths(Numbers numbers, std::vector<std::int64_t>& lengths) {
  lengths.clear();
  for (const Number& number : numbers) lengths.push_back(number.length);
}

// Writes instances one after the other; the memory between is used again.
class Writer {
 public:
  Writer(const Task& task, const Grid& grid, bool solved, std::int64_t part, std::int64_t instances, Runs& runs,
         Buffers out)
      : task_(task), grid_(grid), solved_(solved), part_(part), instances_(instances), runs_(runs),
        own_(runs.parts[static_cast<std::size_t>(part)]), out_(out) {
    own_.reserve(few_runs);
  }

  // `sample` addresses the random parts of the ids; without one they follow from the problem.
  void write(std::int64_t instance, Numbers operands, const std::uint64_t* sample) {
    std::uint8_t* tokens = out_.tokens + instance * grid_.columns;
    std::uint8_t* targets = out_.targets + instance * grid_.columns;
    const std::int64_t room = grid_.columns - grid_.start - 1;
    const auto begin = static_cast<std::int64_t>(own_.size());
    RunList list(own_);
    read_lengths(operands, lengths_);
    const std::int64_t prompt = write_prompt(operands, tokens, list);
    std::memset(targets, ignore_target, static_cast<std::size_t>(grid_.columns));
    std::uint8_t* answer = tokens + grid_.start + 1;
    std::int64_t written = 0;
    if (solved_) {
      written = task_.program->write(operands, answer, &list);
      std::memcpy(targets + grid_.start, answer, static_cast<std::size_t>(written));
    } else {
      task_.program->expect(lengths_, room, list);
    }
    put(answer + written, task_.prompt.control + pad_token, room - written);
    Runs::Instance& entry = runs_.instances[static_cast<std::size_t>(instance)];
    entry.part = part_;
    entry.begin = begin;
    entry.count = static_cast<std::int64_t>(own_.size()) - begin;
    // The others have about as many.
    if (begin == 0) own_.reserve(static_cast<std::size_t>(std::min(entry.count * instances_, most_reserved_runs)));
    entry.gap = grid_.start + 1 - prompt;
    entry.row_stride = task_.program->row_stride(lengths_);
    // Of a drawn problem the address says all, the width of its batch too; a given one is like no other.
    entry.capacity = prompt + (sample ? room : task_.program->answer_tokens(lengths_));
    entry.sample = sample ? *sample : hash_tokens(tokens + grid_.start + 2 - prompt, prompt - 1);
  }

 private:
  std::int64_t write_prompt(Numbers operands, std::uint8_t* tokens, RunList& runs) {
    const Prompt& prompt = task_.prompt;
    const std::int64_t length = task_.prompt_tokens(lengths_);
    std::int64_t longest = 0;
    if (prompt.padded) longest = *std::max_element(lengths_.begin(), lengths_.end());
    std::uint8_t* at = put(tokens, prompt.control + bos_token);
    at = put(at, prompt.control + pad_token, grid_.start + 1 - length);
    runs.add(0, 0, 1);
    for (std::size_t k = 0; k < operands.size(); ++k) {
      const std::int64_t row = prompt.repeated ? static_cast<std::int64_t>(k) : 0;
      if (k > 0) {
        at = put(at, prompt.separators[prompt.repeated ? 0 : k - 1]);
        runs.add(2, row, 1);
      }
      const std::int64_t width = std::max(longest, operands[k].length);
      at = put_operand(operands[k], width, at);
      runs.add(k > 0 ? 3 : 1, row, width);
    }
    put(at, prompt.control + equals_token);
    runs.add(operands.size() > 1 ? 4 : 2, 0, 1);
    return length;
  }

  std::uint8_t* put_operand(const Number& number, std::int64_t width, std::uint8_t* out) const {
    const std::int64_t zeros = width - number.length;
    if (task_.prompt.reversed) {
      copy_reversed(number.digits, number.length, out);
      return put(out + number.length, 0, zeros);
    }
    out = put(out, 0, zeros);
    std::memcpy(out, number.digits, static_cast<std::size_t>(number.length));
    return out + number.length;
  }

  // FNV-1a.
  static std::uint64_t hash_tokens(const std::uint8_t* tokens, std::int64_t count) {
    std::uint64_t hash = 0xCBF29CE484222325u;
    for (std::int64_t k = 0; k < count; ++k) hash = (hash ^ tokens[k]) * 0x100000001B3u;
    return hash;
  }

  const Task& task_;
  Grid grid_;
  bool solved_;
  std::int64_t part_, instances_;
  Runs& runs_;
  std::vector<Run>& own_;
  Buffers out_;
  std::vector<std::int64_t> lengths_;
};

// Calls body(writer, begin, end) for parts of the instances.
template <typename Body>
Runs write_parts(const Task& task, const Grid& grid, bool solved, std::int64_t threads, Buffers out,
                 const Body& body) {
  Runs runs;
  runs.segments = task.program->segments();
  runs.columns = grid.columns;
  const std::int64_t parts = std::min(grid.instances, thread_count(threads, grid.instances * grid.columns));
  runs.instances.resize(static_cast<std::size_t>(grid.instances));
  runs.parts.resize(static_cast<std::size_t>(parts));
  parallel_parts(grid.instances, parts, [&](std::int64_t part, std::int64_t begin, std::int64_t end) {
    Writer writer(task, grid, solved, part, end - begin, runs, out);
    body(writer, begin, end);
  });
  return runs;
}

Grid checked_grid(std::int64_t instances, std::int64_t prompt, std::int64_t answer) {
  check_columns(prompt + answer, answer);
  return {instances, prompt + answer, prompt - 1};
}

std::vector<std::int64_t> lengths_up_to(const Shape& shape, std::int64_t longest, std::int64_t arity) {
  std::vector<std::int64_t> lengths(static_cast<std::size_t>(arity), longest);
  if (shape.last_digit) lengths.back() = 1;
  return lengths;
}

}  // namespace

void check_columns(std::int64_t columns, std::int64_t answer) {
  if (columns > most_columns) {
    throw std::invalid_argument("an answer to such a problem has up to " + std::to_string(answer) +
                                " tokens, more than 32-bit ids can number; give shorter operands");
  }
}

std::int64_t Task::prompt_tokens(Lengths lengths) const {
  std::int64_t longest = 0, tokens = 1;  // BOS
  if (prompt.padded) longest = *std::max_element(lengths.begin(), lengths.end());
  for (const std::int64_t length : lengths) tokens += std::max(longest, length) + 1;  // a separator or "="
  return tokens;
}

void Operands::check(const Shape& shape) const {
  for (std::int64_t i = 0; i < instances; ++i) {
    for (std::int64_t k = 0; k < arity; ++k) {
      const Number number = operand(i, k);
      check_number(number, shape.base, i, k, shape.strings);
      if (shape.last_digit && k == arity - 1 && number.length != 1) {
        throw std::invalid_argument("operand " + std::to_string(k) + " of instance " +
                                    std::to_string(i) + " must be a single digit, got " +
                                    std::to_string(number.length) + " digits");
      }
      if (shape.divisor && k == arity - 1 && number.length == 1 && number.digits[0] == 0) {
        throw std::invalid_argument("instance " + std::to_string(i) +
                                    " divides by 0; give a divisor of at least 1");
      }
    }
  }
}

Grid grid_for(const Task& task, std::int64_t instances, std::int64_t longest, std::int64_t arity) {
  check_size(instances);
  check_length(longest);
  const auto lengths = lengths_up_to(task.shape, longest, arity);
  return checked_grid(instances, task.prompt_tokens(lengths), task.program->answer_tokens(lengths));
}

Grid grid_for(const Task& task, const Operands& operands, std::int64_t longest) {
  check_size(operands.instances);
  std::int64_t prompt = 0, answer = 0, seen = 0;
  std::vector<Number> numbers;
  std::vector<std::int64_t> lengths;
  for (std::int64_t i = 0; i < operands.instances; ++i) {
    operands.read(i, numbers);
    read_lengths(numbers, lengths);
    seen = std::max(seen, *std::max_element(lengths.begin(), lengths.end()));
    prompt = std::max(prompt, task.prompt_tokens(lengths));
    answer = std::max(answer, task.program->answer_tokens(lengths));
  }
  if (longest > 0) {
    if (longest < seen) {
      throw std::invalid_argument("max_length must be at least the longest operand, " +
                                  std::to_string(seen) + " digits, got " + std::to_string(longest));
    }
    const Grid grid = grid_for(task, operands.instances, longest, operands.arity);
    prompt = std::max(prompt, grid.start + 1);
    answer = std::max(answer, grid.columns - grid.start - 1);
  }
  return checked_grid(operands.instances, prompt, answer);
}

Runs write_drawn(const Task& task, const Draw& draw, const Grid& grid, std::int64_t threads, Buffers out) {
  Runs runs = write_parts(task, grid, true, threads, out, [&](Writer& writer, std::int64_t begin, std::int64_t end) {
    Sampler sampler(draw);
    for (std::int64_t i = begin; i < end; ++i) {
      const auto sample = static_cast<std::uint64_t>(i);
      writer.write(i, sampler(i), &sample);
    }
  });
  runs.draws = draw.id_draws();
  return runs;
}

Runs write_given(const Task& task, const Operands& operands, const Grid& grid, bool solved,
                 std::int64_t threads, Buffers out) {
  return write_parts(task, grid, solved, threads, out, [&](Writer& writer, std::int64_t begin, std::int64_t end) {
    std::vector<Number> numbers;
    for (std::int64_t i = begin; i < end; ++i) {
      operands.read(i, numbers);
      writer.write(i, numbers, nullptr);
    }
  });
}

}  // namespace arithtf
