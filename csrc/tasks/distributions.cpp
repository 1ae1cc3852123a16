// Sums with a chosen carry structure. Columns are numbered from the units, column 0. A column generates a
// carry if its digits sum to base or more, propagates one if they sum to base - 1, and absorbs otherwise.
#include <algorithm>
#include <utility>

#include "tasks/draw.h"

namespace arithtf {
namespace {

using Pair = std::pair<int, int>;

struct Columns {
  WordStream& words;
  int base;
  std::uint8_t* a;
  std::uint8_t* b;
  std::int64_t length;

  int digit(int low = 0) {
    return low + static_cast<int>(words.below(static_cast<std::uint64_t>(base - low)));
  }

  bool coin() { return words.below(2) == 1; }

  void set(std::int64_t column, Pair digits) {
    a[length - 1 - column] = static_cast<std::uint8_t>(digits.first);
    b[length - 1 - column] = static_cast<std::uint8_t>(digits.second);
  }

  // Uniform among the pairs of digits for which `wanted` holds, by rejection.
  template <typename Wanted>
  Pair pair(const Wanted& wanted) {
    for (;;) {
      const Pair digits{digit(), digit()};
      if (wanted(digits)) return digits;
    }
  }

  Pair generating() {
    return pair([this](Pair p) { return p.first + p.second >= base; });
  }

  Pair propagating(int low = 0) {
    const int first = digit(low);
    return {first, base - 1 - first};
  }

  Pair absorbing(bool top) {
    return pair([this, top](Pair p) { return p.first + p.second <= base - 2 && (!top || p.first > 0); });
  }

  bool top(std::int64_t column) const { return column == length - 1; }

  void pair_to(Number* out) {
    const Number x = normal_form(a, length), y = normal_form(b, length);
    const bool exchanged = coin();
    out[exchanged ? 1 : 0] = x;
    out[exchanged ? 0 : 1] = y;
  }
};

void fill_chain(Columns& columns, std::int64_t chain, std::int64_t place) {
  for (std::int64_t k = 0; k < columns.length; ++k) {
    if (k == place) {
      columns.set(k, columns.generating());
    } else if (k > place && k < place + chain) {
      columns.set(k, columns.propagating(columns.top(k) ? 1 : 0));
    } else if (k == place + chain || k == place - 1) {
      columns.set(k, columns.absorbing(columns.top(k)));
    } else {
      columns.set(k, {columns.digit(columns.top(k) ? 1 : 0), columns.digit()});
    }
  }
}

void fill_complement(Columns& columns, bool plus_one) {
  for (std::int64_t k = 0; k < columns.length; ++k) {
    Pair digits = columns.propagating(columns.top(k) || (plus_one && k == 0) ? 1 : 0);
    if (plus_one && k == 0) ++digits.second;
    columns.set(k, digits);
  }
}

void fill_kill(Columns& columns) {
  fill_complement(columns, true);
  const auto inside = static_cast<std::uint64_t>(columns.length - 2);
  const auto column = 1 + static_cast<std::int64_t>(columns.words.below(inside));
  columns.set(column, columns.pair([&](Pair p) { return p.first + p.second == columns.base - 2; }));
}

void fill_random(Columns& columns, std::uint8_t* out, std::int64_t length) {
  for (std::int64_t k = 0; k < length; ++k) {
    out[k] = static_cast<std::uint8_t>(columns.digit(k == 0 && length > 1 ? 1 : 0));
  }
}

void fill_lopsided(Columns& columns) {
  fill_random(columns, columns.a, columns.length);
  columns.b[columns.length - 1] = static_cast<std::uint8_t>(columns.digit());
}

// 0 + x, base^k + x, or two numbers with three of four inner digits zero; the first forms have a zero or a
// power of the base only where there are two numbers.
void fill_zeros(Columns& columns) {
  const auto form = columns.words.below(3);
  if (form == 0) {
    fill_random(columns, columns.a, columns.length);
  } else if (form == 1) {
    columns.a[0] = 1;
    const auto length =
        1 + static_cast<std::int64_t>(columns.words.below(static_cast<std::uint64_t>(columns.length)));
    fill_random(columns, columns.b + columns.length - length, length);
  } else {
    for (std::int64_t k = 0; k < columns.length; ++k) {
      const bool inner = k > 0 && !columns.top(k);
      const int low = columns.top(k) ? 1 : 0;
      const int first = inner && columns.words.below(4) > 0 ? 0 : columns.digit(low);
      const int second = inner && columns.words.below(4) > 0 ? 0 : columns.digit(low);
      columns.set(k, {first, second});
    }
  }
}

// Carrying and absorbing columns take turns, each with one pair of digits throughout.
void fill_alternating(Columns& columns) {
  const bool top_carries = columns.base == 2 || columns.coin();
  const Pair carrying =
      columns.pair([&](Pair p) { return p.first + p.second >= columns.base && p.first > 0; });
  const Pair absorbing = columns.absorbing(!top_carries);
  for (std::int64_t k = 0; k < columns.length; ++k) {
    const bool like_top = (columns.length - 1 - k) % 2 == 0;
    columns.set(k, like_top == top_carries ? carrying : absorbing);
  }
}

// The distributions that shape a number on its own.
bool alone(Distribution distribution) {
  return distribution == Distribution::uniform || distribution == Distribution::ripple || distribution == Distribution::repdigit ||
         distribution == Distribution::zeros || distribution == Distribution::alternating;
}

// In base 2 an absorbing column is 0 + 0 and cannot be the top one.
bool possible(const Draw& draw, std::int64_t length) {
  return draw.shape.base > 2 || draw.distribution != Distribution::chain ||
         length != draw.chain_length + draw.chain_place + 1;
}

std::int64_t draw_length(const Draw& draw, WordStream& words) {
  const std::int64_t low = std::max(draw.low, shortest(draw));
  for (;;) {
    const auto choices = static_cast<std::uint64_t>(draw.high - low + 1);
    const auto length = low + static_cast<std::int64_t>(words.below(choices));
    if (possible(draw, length)) return length;
  }
}

}  // namespace

bool has_distribution(const Shape& shape, Distribution distribution) {
  if (shape.numbers() > 2) return distribution == Distribution::uniform;
  return shape.numbers() == 2 ? !shape.strings : alone(distribution);
}

std::int64_t shortest(const Draw& draw) {
  if (draw.distribution == Distribution::kill) return 3;
  if (draw.distribution != Distribution::chain) return 1;
  std::int64_t length = std::max(draw.low, draw.chain_length + draw.chain_place);
  while (!possible(draw, length)) ++length;
  return length;
}

void draw_structured(const Draw& draw, WordStream& words, std::uint8_t* a, std::uint8_t* b,
                     Number* out) {
  Columns columns{words, draw.shape.base, a, b, draw_length(draw, words)};
  std::fill_n(a, columns.length, std::uint8_t{0});
  std::fill_n(b, columns.length, std::uint8_t{0});
  switch (draw.distribution) {
    case Distribution::chain: fill_chain(columns, draw.chain_length, draw.chain_place); break;
    case Distribution::complement: fill_complement(columns, false); break;
    case Distribution::complement_plus: fill_complement(columns, true); break;
    case Distribution::ripple:
      std::fill_n(a, columns.length, static_cast<std::uint8_t>(draw.shape.base - 1));
      b[columns.length - 1] = 1;
      break;
    case Distribution::repdigit:
      std::fill_n(a, columns.length, static_cast<std::uint8_t>(columns.digit(1)));
      std::fill_n(b, columns.length, static_cast<std::uint8_t>(columns.digit(1)));
      break;
    case Distribution::kill: fill_kill(columns); break;
    case Distribution::lopsided: fill_lopsided(columns); break;
    case Distribution::zeros: fill_zeros(columns); break;
    case Distribution::double_:
      fill_random(columns, a, columns.length);
      std::copy_n(a, columns.length, b);
      break;
    case Distribution::alternating: fill_alternating(columns); break;
    case Distribution::uniform: break;
  }
  if (draw.shape.numbers() > 1) return columns.pair_to(out);
  out[0] = draw.shape.strings ? Number{a, columns.length} : normal_form(a, columns.length);
}

}  // namespace arithtf
