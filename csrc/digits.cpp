#include "digits.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <stdexcept>
#include <string>
#include <vector>

namespace arithtf {
namespace {

constexpr std::uint64_t every_byte = 0x0101010101010101u;

std::uint64_t swap_bytes(std::uint64_t word) { return __builtin_bswap64(word); }

// Eight bytes as a number whose lowest byte is the first: the same on every machine.
std::uint64_t load_word(const std::uint8_t* from) {
  std::uint64_t word;
  std::memcpy(&word, from, 8);
  return std::endian::native == std::endian::little ? word : swap_bytes(word);
}

void store_word(std::uint8_t* to, std::uint64_t word) {
  if constexpr (std::endian::native != std::endian::little) word = swap_bytes(word);
  std::memcpy(to, &word, 8);
}

int digits_per_word(int base) {
  int count = 0;
  for (std::uint64_t power = static_cast<std::uint64_t>(base); power <= std::uint64_t{1} << 32;
       power *= static_cast<std::uint64_t>(base)) {
    ++count;
  }
  return count;
}

template <int Count>
inline void unpack_word(std::uint64_t word, std::uint64_t base, std::uint8_t* out) {
  for (int k = 0; k < Count; ++k) {
    const Wide product = static_cast<Wide>(word) * base;
    out[k] = static_cast<std::uint8_t>(product >> 64);
    word = static_cast<std::uint64_t>(product);
  }
}

inline void unpack_some(std::uint64_t word, std::uint64_t base, std::uint8_t* out,
                        std::int64_t count) {
  for (std::int64_t k = 0; k < count; ++k) {
    const Wide product = static_cast<Wide>(word) * base;
    out[k] = static_cast<std::uint8_t>(product >> 64);
    word = static_cast<std::uint64_t>(product);
  }
}

std::uint64_t fold(std::uint64_t a, std::uint64_t b) {
  const Wide product = static_cast<Wide>(a) * b;
  return static_cast<std::uint64_t>(product) ^ static_cast<std::uint64_t>(product >> 64);
}

std::uint64_t hash_number(Number number) {
  constexpr std::uint64_t factor = 0x9FB21C651E98DF25u, seed = 0xD6E8FEB86659FD93u;
  std::uint64_t hash = seed + static_cast<std::uint64_t>(number.length);
  std::int64_t at = 0;
  for (; at + 8 <= number.length; at += 8) hash = fold(hash ^ load_word(number.digits + at), factor);
  std::uint64_t rest = 0;
  for (int shift = 0; at < number.length; ++at, shift += 8) {
    rest |= static_cast<std::uint64_t>(number.digits[at]) << shift;
  }
  return fold(hash ^ rest, factor);
}

std::uint64_t mix_pair(std::uint64_t small, std::uint64_t large) {
  return fold(small ^ 0xA0761D6478BD642Fu, large ^ 0xE7037ED1A0B428DBu);
}

constexpr bool is_test(std::uint64_t hash) { return hash >> 61 == 0; }

}  // namespace

void check_base(std::int64_t base) {
  if (base < 2 || base > max_base) {
    throw std::invalid_argument("base must be in 2.." + std::to_string(max_base) + ", got " +
                                std::to_string(base));
  }
}

void check_number(Number number, int base, std::int64_t instance, std::int64_t operand, bool string) {
  const auto name = [&] {
    return "operand " + std::to_string(operand) + " of instance " + std::to_string(instance);
  };
  if (number.length < 1) {
    throw std::invalid_argument(name() + " has no digits; write zero as the one digit 0");
  }
  const std::uint8_t largest = *std::max_element(number.digits, number.digits + number.length);
  if (largest >= base) {
    throw std::invalid_argument(name() + ": digits must be below the base " + std::to_string(base) +
                                ", got " + std::to_string(largest));
  }
  if (!string && number.length > 1 && number.digits[0] == 0) {
    throw std::invalid_argument(name() + " has leading zeros; leave them out, in the padded format too");
  }
}

void fill_uniform(WordStream& words, int base, std::uint8_t* out, std::int64_t length) {
  const auto factor = static_cast<std::uint64_t>(base);
  const std::int64_t group = digits_per_word(base);
  std::int64_t at = 0;
  if (base == 10) {
    for (; at + 9 <= length; at += 9) unpack_word<9>(words.next(), 10, out + at);
  } else {
    for (; at + group <= length; at += group) unpack_some(words.next(), factor, out + at, group);
  }
  if (at < length) unpack_some(words.next(), factor, out + at, length - at);
}

void draw_number(WordStream& words, std::uint64_t word, int base, std::uint8_t* out,
                 std::int64_t length) {
  const auto choices = static_cast<std::uint64_t>(length > 1 ? base - 1 : base);
  out[0] = static_cast<std::uint8_t>(high_product(word, choices) + (length > 1 ? 1 : 0));
  fill_uniform(words, base, out + 1, length - 1);
}

int add(Number a, Number b, int base, std::uint8_t* out) {
  if (a.length < b.length) std::swap(a, b);
  // Eight columns at once. With 256 - base added to every byte, a byte overflows exactly when its column
  // carries, and the machine's own carry runs through the word. A byte that did not overflow has its top
  // bit set and gives the 256 - base back.
  const std::uint64_t excess = static_cast<std::uint64_t>(256 - base);
  const std::uint8_t* end_a = a.digits + a.length;
  const std::uint8_t* end_b = b.digits + b.length;
  std::uint64_t carry = 0;
  std::int64_t at = 0;
  for (; at + 8 <= b.length; at += 8) {
    const std::uint64_t x = swap_bytes(load_word(end_a - at - 8)) + every_byte * excess;
    const std::uint64_t y = swap_bytes(load_word(end_b - at - 8)) + carry;
    const std::uint64_t sum = x + y;
    carry = sum < x;
    store_word(out + at, sum - ((sum >> 7) & every_byte) * excess);
  }
  for (; at < b.length; ++at) {
    const int sum = end_a[-1 - at] + end_b[-1 - at] + static_cast<int>(carry);
    carry = sum >= base;
    out[at] = static_cast<std::uint8_t>(carry ? sum - base : sum);
  }
  for (; carry && at < a.length; ++at) {
    const int sum = end_a[-1 - at] + 1;
    carry = sum == base;
    out[at] = static_cast<std::uint8_t>(carry ? 0 : sum);
  }
  copy_reversed(a.digits, a.length - at, out + at);
  return static_cast<int>(carry);
}

void copy_reversed(const std::uint8_t* from, std::int64_t length, std::uint8_t* to) {
  std::int64_t at = 0;
  for (; at + 8 <= length; at += 8) store_word(to + at, swap_bytes(load_word(from + length - at - 8)));
  for (; at < length; ++at) to[at] = from[length - 1 - at];
}

Number normal_form(const std::uint8_t* digits, std::int64_t length) {
  while (length > 1 && *digits == 0) ++digits, --length;
  return {digits, length};
}

bool in_test_split(const Number* operands, std::int64_t count) {
  if (count == 2) {
    const std::uint64_t a = hash_number(operands[0]), b = hash_number(operands[1]);
    return is_test(mix_pair(std::min(a, b), std::max(a, b)));
  }
  std::vector<std::uint64_t> hashes;
  for (std::int64_t k = 0; k < count; ++k) hashes.push_back(hash_number(operands[k]));
  std::sort(hashes.begin(), hashes.end());
  std::uint64_t hash = static_cast<std::uint64_t>(count);
  for (const std::uint64_t one : hashes) hash = mix_pair(hash, one);
  return is_test(hash);
}

}  // namespace arithtf
