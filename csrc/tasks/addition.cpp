#include "tasks/addition.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <stdexcept>

#include "parallel.h"

namespace arithtf::addition {
namespace {

constexpr std::array<const char*, 3> split_names{"train", "test", "all"};
constexpr std::array<const char*, 11> kind_names{
    "uniform", "chain", "complement", "complement_plus", "ripple", "repdigit",
    "kill",    "lopsided", "zeros",    "double",          "alternating"};

// Streams of random words: one for each kind and split, and one for ids beside it.
constexpr std::uint64_t id_stream = std::uint64_t{1} << 32;
constexpr int redraws = 4096;
// Symbols after the digits, in the order of arithtf.tasks.vocabulary.
enum Symbol { pad_symbol, bos_symbol, eos_symbol, equals_symbol, plus_symbol };

template <typename Names>
std::size_t position(const Names& names, const std::string& name, const char* what) {
  const auto found = std::find(names.begin(), names.end(), name);
  if (found != names.end()) return static_cast<std::size_t>(found - names.begin());
  std::string known = names[0];
  for (std::size_t k = 1; k < names.size(); ++k) known.append(", ").append(names[k]);
  throw std::invalid_argument(std::string(what) + " must be one of " + known + ", got '" + name + "'");
}

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

void check_size(std::int64_t instances) {
  if (instances < 1) {
    throw std::invalid_argument("expected at least one instance, got size " + std::to_string(instances));
  }
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

Split split_named(const std::string& name) {
  return static_cast<Split>(position(split_names, name, "split"));
}

Kind kind_named(const std::string& name) {
  return static_cast<Kind>(position(kind_names, name, "kind"));
}

void Draw::check() const {
  check_base(base);
  if (low < 1 || high < low) {
    throw std::invalid_argument("lengths must be (low, high) with 1 <= low <= high, got (" +
                                std::to_string(low) + ", " + std::to_string(high) + ")");
  }
  if (kind != Kind::uniform && split != Split::all) {
    throw std::invalid_argument("structured kinds are in no split: expected split 'all' for kind '" +
                                std::string(kind_names[static_cast<std::size_t>(kind)]) + "', got '" +
                                split_names[static_cast<std::size_t>(split)] + "'");
  }
  if (kind != Kind::chain && (chain_length != 0 || chain_place != 0)) {
    throw std::invalid_argument("chain=(length, place) is for kind 'chain' only; leave it out");
  }
  if (kind == Kind::chain && (chain_length < 1 || chain_place < 0 || chain_length > high ||
                              chain_place > high - chain_length)) {
    throw std::invalid_argument(
        "kind 'chain' needs chain=(length, place) with length >= 1, place >= 0 and length + place <= "
        "the longest operand " + std::to_string(high) + ", got (" + std::to_string(chain_length) +
        ", " + std::to_string(chain_place) + ")");
  }
  if (shortest(*this) > high) {
    throw std::invalid_argument("kind '" + std::string(kind_names[static_cast<std::size_t>(kind)]) +
                                "' needs operands of at least " + std::to_string(shortest(*this)) +
                                " digits here, got lengths up to " + std::to_string(high));
  }
}

std::uint64_t Draw::problem_stream() const {
  return static_cast<std::uint64_t>(kind) * 16 + static_cast<std::uint64_t>(split);
}

IdDraws Draw::id_draws() const {
  return {seed, id_stream + problem_stream(), step, split == Split::train};
}

Sampler::Sampler(const Draw& draw)
    : draw_(draw),
      a_(static_cast<std::size_t>(draw.high) + 1),
      b_(static_cast<std::size_t>(draw.high) + 1) {}

Problem Sampler::operator()(std::int64_t sample) {
  WordStream words(draw_.seed, draw_.problem_stream(), draw_.step, static_cast<std::uint64_t>(sample));
  if (draw_.kind != Kind::uniform) return draw_structured(draw_, words, a_.data(), b_.data());
  const auto lengths = static_cast<std::uint64_t>(draw_.high - draw_.low + 1);
  const auto draw_operand = [&](std::uint8_t* out) {
    const std::uint64_t word = words.next();
    const auto length = draw_.low + static_cast<std::int64_t>(high_product(word, lengths));
    draw_number(words, word * lengths, draw_.base, out, length);
    return Number{out, length};
  };
  for (int attempt = 0; attempt < redraws; ++attempt) {
    const Number a = draw_operand(a_.data());
    const std::array<Number, 2> pair{a, draw_operand(b_.data())};
    if (draw_.split == Split::all ||
        in_test_split(pair.data(), 2) == (draw_.split == Split::test)) {
      return {pair[0], pair[1]};
    }
  }
  throw std::invalid_argument("no problem of lengths " + std::to_string(draw_.low) + ".." +
                              std::to_string(draw_.high) + " is in split '" +
                              split_names[static_cast<std::size_t>(draw_.split)] +
                              "'; allow longer operands or use split 'all'");
}

Problem Operands::problem(std::int64_t instance) const {
  const std::int64_t* at = offsets + 2 * instance;
  return {{digits + at[0], at[1] - at[0]}, {digits + at[1], at[2] - at[1]}};
}

void Operands::check(int base) const {
  for (std::int64_t i = 0; i < instances; ++i) {
    const Problem p = problem(i);
    check_number(p.a, base, i, 0);
    check_number(p.b, base, i, 1);
  }
}

std::int64_t Operands::longest() const {
  std::int64_t length = 0;
  for (std::int64_t k = 0; k < 2 * instances; ++k) length = std::max(length, offsets[k + 1] - offsets[k]);
  return length;
}

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
    for (std::int64_t i = begin; i < end; ++i) write(i, sampler(i));
  });
}

void fill_layout(const Format& format, const Coupling& coupling, const Operands& operands,
                 const Grid& grid, bool solved, std::int64_t threads, Buffers out) {
  const Writer write{format, coupling, IdDraws{0, id_stream - 1, 0, false}, grid, solved, out};
  threads = thread_count(threads, grid.instances * grid.columns);
  parallel_for(grid.instances, threads, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) write(i, operands.problem(i));
  });
}

std::vector<Ragged> draw_operands(const Draw& draw, std::int64_t size, std::int64_t threads) {
  check_size(size);
  const std::int64_t parts = std::min(size, thread_count(threads, size * draw.high));
  std::vector<Ragged> drawn(static_cast<std::size_t>(parts));
  parallel_parts(size, parts, [&](std::int64_t part, std::int64_t begin, std::int64_t end) {
    Sampler sampler(draw);
    Ragged& out = drawn[static_cast<std::size_t>(part)];
    for (std::int64_t i = begin; i < end; ++i) {
      const Problem problem = sampler(i);
      for (const Number n : {problem.a, problem.b}) {
        out.digits.insert(out.digits.end(), n.digits, n.digits + n.length);
        out.lengths.push_back(n.length);
      }
    }
  });
  return drawn;
}

std::int64_t write_answer(const Format& format, const Problem& problem, std::uint8_t* out) {
  const std::int64_t longer = std::max(problem.a.length, problem.b.length);
  const int carry = add(problem.a, problem.b, format.base, out);
  if (!carry && !format.padded) return longer;
  out[longer] = static_cast<std::uint8_t>(carry);
  return longer + 1;
}

}  // namespace arithtf::addition
