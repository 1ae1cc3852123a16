#include "tasks/addition.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <stdexcept>

#include "parallel.h"

namespace arithtf::addition {
namespace {

// Symbols after the digits, in the order of arithtf.tasks.vocabulary.
enum Symbol { pad_symbol, bos_symbol, eos_symbol, equals_symbol, plus_symbol };

std::uint8_t* put(std::uint8_t* out, std::uint8_t value, std::int64_t count = 1) {
  std::memset(out, value, static_cast<std::size_t>(count));
  return out + count;
}

std::uint8_t* put_operand(const Format& format, Number number, std::int64_t width, std::uint8_t* out) {
  const std::int64_t zeros = width - number.length;
  if (format.reverse_operands) {
    copy_reversed(number.digits, number.length, out);
    return put(out + number.length, 0, zeros);
  }
  out = put(out, 0, zeros);
  std::memcpy(out, number.digits, static_cast<std::size_t>(number.length));
  return out + number.length;
}

struct Writer {
  const Format& format;
  const Coupling& coupling;
  IdDraws draws;
  Grid grid;
  bool solved;
  Buffers out;

  void operator()(std::int64_t instance, const Problem& problem) const {
    const std::int64_t longer = std::max(problem.a.length, problem.b.length);
    const std::int64_t width_a = format.padded ? longer : problem.a.length;
    const std::int64_t width_b = format.padded ? longer : problem.b.length;
    const std::int64_t prompt = 3 + width_a + width_b;
    const std::int64_t room = grid.columns - grid.start - 1;

    std::uint8_t* row = out.tokens + instance * grid.columns;
    std::uint8_t* targets = out.targets + instance * grid.columns;
    std::uint8_t* at = put(row, format.token(bos_symbol));
    at = put(at, format.pad(), grid.start + 1 - prompt);
    at = put_operand(format, problem.a, width_a, at);
    at = put(at, format.token(plus_symbol));
    at = put_operand(format, problem.b, width_b, at);
    at = put(at, format.token(equals_symbol));

    std::int64_t written = room;
    std::memset(targets, ignore_target, static_cast<std::size_t>(grid.columns));
    if (solved) {
      const std::int64_t digits = write_answer(format, problem, at);
      at[digits] = format.token(eos_symbol);
      written = digits + 1;
      put(at + written, format.pad(), room - written);
      std::memcpy(targets + grid.start, at, static_cast<std::size_t>(written));
    } else {
      put(at, format.pad(), room);
    }
    const std::array<Run, segment_count> runs{
        Run{bos, 0, 1},          Run{first, 0, width_a}, Run{plus, 0, 1},
        Run{second, 0, width_b}, Run{equals, 0, 1},      Run{answer, 0, written}};
    const std::int64_t place =
        instance * static_cast<std::int64_t>(coupling.levels.size()) * grid.columns;
    write_ids(coupling, draws, grid, instance, runs, prompt, prompt + room,
              {out.query + place, out.key + place});
  }
};

}  // namespace

Grid grid_for(std::int64_t instances, std::int64_t longest) {
  check_size(instances);
  const std::int64_t start = 2 * longest + 2;
  return {instances, start + 1 + longest + 2, start};
}

void fill_batch(const Format& format, const Coupling& coupling, const Draw& draw, const Grid& grid,
                std::int64_t threads, Buffers out) {
  const Writer write{format, coupling, draw.id_draws(), grid, true, out};
  threads = thread_count(threads, grid.instances * grid.columns);
  parallel_for(grid.instances, threads, [&](std::int64_t begin, std::int64_t end) {
    Sampler sampler(draw);
    for (std::int64_t i = begin; i < end; ++i) {
      const auto pair = sampler(i);
      write(i, {pair[0], pair[1]});
    }
  });
}

void fill_layout(const Format& format, const Coupling& coupling, const Operands& operands,
                 const Grid& grid, bool solved, std::int64_t threads, Buffers out) {
  const Writer write{format, coupling, IdDraws{0, id_stream - 1, 0, false}, grid, solved, out};
  threads = thread_count(threads, grid.instances * grid.columns);
  parallel_for(grid.instances, threads, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) write(i, {operands.operand(i, 0), operands.operand(i, 1)});
  });
}

std::int64_t write_answer(const Format& format, const Problem& problem, std::uint8_t* out) {
  const std::int64_t longer = std::max(problem.a.length, problem.b.length);
  const int carry = add(problem.a, problem.b, format.base, out);
  if (!carry && !format.padded) return longer;
  out[longer] = static_cast<std::uint8_t>(carry);
  return longer + 1;
}

}  // namespace arithtf::addition
