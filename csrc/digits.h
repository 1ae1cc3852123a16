// Digit arrays in any base from 2 to 128, one digit a byte. "MSD" and "LSD" say which digit comes first.
#pragma once

#include <cstdint>

#include "philox.h"

namespace arithtf {

inline constexpr int max_base = 128;

// A number as its digits, most significant first, without leading zeros; zero is the one digit 0.
struct Number {
  const std::uint8_t* digits;
  std::int64_t length;
};

// Throws std::invalid_argument unless 2 <= base <= max_base.
void check_base(std::int64_t base);

// Throws std::invalid_argument unless the digits are below base and the number is in normal form (a string
// may begin with zeros).
void check_number(Number number, int base, std::int64_t instance, std::int64_t operand,
                  bool string = false);

// Writes `length` digits drawn uniformly. One 64-bit word gives k digits, the largest k with
// base^k <= 2^32, by repeated multiply-shift: the relative bias of any k-tuple is at most 2^-32 < 1e-9.
void fill_uniform(WordStream& words, int base, std::uint8_t* out, std::int64_t length);

// Draws a number of `length` digits: leading digit 1..base-1, or 0..base-1 if it is the only one.
// `word` is what the length was drawn from, after its multiply-shift.
void draw_number(WordStream& words, std::uint64_t word, int base, std::uint8_t* out,
                 std::int64_t length);

// Writes a + b least significant digit first and returns the last carry, 0 or 1: `out` receives
// max(a.length, b.length) digits and nothing beyond.
int add(Number a, Number b, int base, std::uint8_t* out);

// Copies digits in reverse order.
void copy_reversed(const std::uint8_t* from, std::int64_t length, std::uint8_t* to);

// A number without leading zeros, pointing into the same digits.
Number normal_form(const std::uint8_t* digits, std::int64_t length);

// Whether the fixed hash of the unordered set of operands puts a problem into the test split (1 in 8).
bool in_test_split(const Number* operands, std::int64_t count);

}  // namespace arithtf
