#include "tasks/draw.h"

#include <algorithm>
#include <array>
#include <stdexcept>

#include "parallel.h"

namespace arithtf {
namespace {

constexpr std::array<const char*, 3> split_names{"train", "test", "all"};
constexpr std::array<const char*, 11> distribution_names{
    "uniform", "chain", "complement", "complement_plus", "ripple", "repdigit",
    "kill",    "lopsided", "zeros",    "double",          "alternating"};
constexpr int redraws = 4096;
constexpr std::uint64_t pool_step = ~std::uint64_t{0}, pool_channel = 1;

// At most a few characters of any text, so that the error can be read.
std::string quoted(const std::string& text) {
  std::string shown;
  for (const char c : text.substr(0, 40)) shown += c >= ' ' && c <= '~' ? c : '?';
  return "'" + shown + (text.size() > 40 ? "...'" : "'");
}

template <typename Names>
std::size_t position(const Names& names, const std::string& name, const char* what) {
  const auto found = std::find(names.begin(), names.end(), name);
  if (found != names.end()) return static_cast<std::size_t>(found - names.begin());
  std::string known = names[0];
  for (std::size_t k = 1; k < names.size(); ++k) known.append(", ").append(names[k]);
  throw std::invalid_argument(std::string(what) + " must be one of " + known + ", got " + quoted(name));
}

bool is_zero(Number number) { return number.length == 1 && number.digits[0] == 0; }

std::string name_of(Distribution distribution) { return distribution_names[static_cast<std::size_t>(distribution)]; }

}  // namespace

Split split_named(const std::string& name) {
  return static_cast<Split>(position(split_names, name, "split"));
}

Distribution distribution_named(const std::string& name) {
  return static_cast<Distribution>(position(distribution_names, name, "distribution"));
}

void check_size(std::int64_t instances) {
  if (instances < 1) {
    throw std::invalid_argument("expected at least one instance, got size " + std::to_string(instances));
  }
}

void check_length(std::int64_t digits) {
  if (digits > most_columns) {
    throw std::invalid_argument("operands of " + std::to_string(digits) +
                                " digits have more tokens than 32-bit ids can number; give shorter operands");
  }
}

void Draw::check() const {
  check_base(shape.base);
  if (low < 1 || high < low) {
    throw std::invalid_argument("lengths must be (low, high) with 1 <= low <= high, got (" +
                                std::to_string(low) + ", " + std::to_string(high) + ")");
  }
  check_length(high);
  if (!has_distribution(shape, distribution)) {
    throw std::invalid_argument("distribution '" + name_of(distribution) + "' is for two numbers; this task has " +
                                std::to_string(shape.numbers()) + (shape.strings ? " strings" : " numbers"));
  }
  if (distribution != Distribution::uniform && split != Split::all) {
    throw std::invalid_argument("structured distributions are in no split: expected split 'all' for distribution '" +
                                name_of(distribution) + "', got '" +
                                split_names[static_cast<std::size_t>(split)] + "'");
  }
  if (distribution != Distribution::chain && (chain_length != 0 || chain_place != 0)) {
    throw std::invalid_argument("chain=(length, place) is for distribution 'chain' only; leave it out");
  }
  if (distribution == Distribution::chain && (chain_length < 1 || chain_place < 0 || chain_length > high ||
                              chain_place > high - chain_length)) {
    throw std::invalid_argument(
        "distribution 'chain' needs chain=(length, place) with length >= 1, place >= 0 and length + place <= "
        "the longest operand " + std::to_string(high) + ", got (" + std::to_string(chain_length) +
        ", " + std::to_string(chain_place) + ")");
  }
  if (shortest(*this) > high) {
    throw std::invalid_argument("distribution '" + name_of(distribution) + "' needs operands of at least " +
                                std::to_string(shortest(*this)) +
                                " digits here, got lengths up to " + std::to_string(high));
  }
}

std::uint64_t Draw::problem_stream() const {
  return static_cast<std::uint64_t>(distribution) * 16 + static_cast<std::uint64_t>(split);
}

IdDraws Draw::id_draws() const {
  return {seed, id_stream + problem_stream(), step, split == Split::train};
}

Sampler::Sampler(const Draw& draw)
    : draw_(draw),
      digits_(static_cast<std::size_t>(std::max<std::int64_t>(draw.shape.arity, 2)),
              std::vector<std::uint8_t>(static_cast<std::size_t>(draw.high) + 1)),
      operands_(static_cast<std::size_t>(draw.shape.arity)) {}

std::span<const Number> Sampler::operator()(std::int64_t sample) {
  std::uint64_t step = draw_.step, number = static_cast<std::uint64_t>(sample);
  if (draw_.pool > 0) {
    // Which problem of the pool is drawn afresh; the problems themselves are those of one step.
    WordStream choice(draw_.seed, draw_.problem_stream(), step, number, pool_channel);
    number = choice.below(draw_.pool);
    step = pool_step;
  }
  WordStream words(draw_.seed, draw_.problem_stream(), step, number);
  const Shape& shape = draw_.shape;
  const auto draw_digit = [&] {
    if (!shape.last_digit) return;
    std::vector<std::uint8_t>& out = digits_[static_cast<std::size_t>(shape.arity - 1)];
    out[0] = static_cast<std::uint8_t>(words.below(static_cast<std::uint64_t>(shape.base)));
    operands_.back() = {out.data(), 1};
  };
  if (draw_.distribution != Distribution::uniform) {
    draw_structured(draw_, words, digits_[0].data(), digits_[1].data(), operands_.data());
    draw_digit();
    if (shape.divisor && is_zero(operands_.back())) {
      digits_.back()[0] = 1;
      operands_.back() = {digits_.back().data(), 1};
    }
    return operands_;
  }
  const auto lengths = static_cast<std::uint64_t>(draw_.high - draw_.low + 1);
  for (int attempt = 0; attempt < redraws; ++attempt) {
    for (std::int64_t k = 0; k < shape.numbers(); ++k) {
      const std::uint64_t word = words.next();
      // A divisor has at most the digits of what it divides: longer ones give a quotient of zeros.
      const bool divides = shape.divisor && k == shape.numbers() - 1;
      const std::uint64_t choices =
          divides ? static_cast<std::uint64_t>(operands_[0].length - draw_.low + 1) : lengths;
      const auto length = draw_.low + static_cast<std::int64_t>(high_product(word, choices));
      std::uint8_t* out = digits_[static_cast<std::size_t>(k)].data();
      if (shape.strings) {
        fill_uniform(words, shape.base, out, length);
      } else {
        draw_number(words, word * choices, shape.base, out, length);
      }
      operands_[static_cast<std::size_t>(k)] = {out, length};
    }
    draw_digit();
    if (shape.related) relate(words);
    if (shape.skewed && draw_.split == Split::train) enlarge(words);
    if (shape.divisor && is_zero(operands_.back())) continue;
    if (draw_.split == Split::all ||
        in_test_split(operands_.data(), shape.arity) == (draw_.split == Split::test)) {
      return operands_;
    }
  }
  throw std::invalid_argument("no problem of lengths " + std::to_string(draw_.low) + ".." +
                              std::to_string(draw_.high) + " is in split '" +
                              split_names[static_cast<std::size_t>(draw_.split)] +
                              "'; allow longer operands or use split 'all'");
}

// Gives the second of two numbers the low digits of the first, in half of the problems.
void Sampler::relate(WordStream& words) {
  const Number &a = operands_[0], &b = operands_[1];
  const auto choices = static_cast<std::uint64_t>(std::min(a.length, b.length) + 1);
  const auto shared = static_cast<std::int64_t>(words.below(choices));
  if (words.below(2) == 0) return;
  std::uint8_t* digits = digits_[1].data();
  std::copy_n(a.digits + a.length - shared, shared, digits + b.length - shared);
  if (b.length > 1 && digits[0] == 0) digits[0] = 1;
}

// Makes every digit of half of the problems the largest of three: long sums then carry often and far.
void Sampler::enlarge(WordStream& words) {
  if (words.below(2) == 0) return;
  std::vector<std::uint8_t> other(static_cast<std::size_t>(draw_.high));
  for (std::size_t k = 0; k < operands_.size(); ++k) {
    for (int again = 0; again < 2; ++again) {
      fill_uniform(words, draw_.shape.base, other.data(), operands_[k].length);
      for (std::int64_t i = 0; i < operands_[k].length; ++i) {
        std::uint8_t& digit = digits_[k][static_cast<std::size_t>(i)];
        digit = std::max(digit, other[static_cast<std::size_t>(i)]);
      }
    }
  }
}

std::vector<Ragged> draw_operands(const Draw& draw, std::int64_t size, std::int64_t threads) {
  check_size(size);
  const std::int64_t parts = std::min(size, thread_count(threads, size * draw.high));
  std::vector<Ragged> drawn(static_cast<std::size_t>(parts));
  parallel_parts(size, parts, [&](std::int64_t part, std::int64_t begin, std::int64_t end) {
    Sampler sampler(draw);
    Ragged& out = drawn[static_cast<std::size_t>(part)];
    for (std::int64_t i = begin; i < end; ++i) {
      for (const Number n : sampler(i)) {
        out.digits.insert(out.digits.end(), n.digits, n.digits + n.length);
        out.lengths.push_back(n.length);
      }
    }
  });
  return drawn;
}

}  // namespace arithtf
