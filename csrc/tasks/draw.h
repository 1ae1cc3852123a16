// Problems by address: operands of any number, their splits and distributions.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "digits.h"
#include "layout.h"

namespace arithtf {

enum class Split { train, test, all };
enum class Distribution {
  uniform, chain, complement, complement_plus, ripple, repdigit, kill, lopsided, zeros, double_,
  alternating
};

// Throw std::invalid_argument with the names known.
Split split_named(const std::string& name);
Distribution distribution_named(const std::string& name);

// What the operands of a task look like.
struct Shape {
  int base = 10;
  std::int64_t arity = 2;
  bool strings = false;     // strings of digits, zeros in front count; otherwise numbers
  bool last_digit = false;  // the last operand is a single digit
  bool related = false;     // half of the uniform problems agree in a random number of low digits
  bool divisor = false;     // the last operand is not 0
  bool skewed = false;      // in half of the problems drawn for training large digits are more frequent

  std::int64_t numbers() const { return arity - (last_digit ? 1 : 0); }
};

// What a batch of problems is drawn from.
struct Draw {
  std::uint64_t seed = 0, step = 0;
  Split split = Split::train;
  Distribution distribution = Distribution::uniform;
  std::int64_t low = 1, high = 1;                // operand lengths; structured distributions: of the longer one
  std::int64_t chain_length = 0, chain_place = 0;  // distribution chain
  std::uint64_t pool = 0;                        // > 0: one of so many problems, the same at every step
  Shape shape;

  // Throws std::invalid_argument where no problem can be drawn.
  void check() const;
  std::uint64_t problem_stream() const;
  IdDraws id_draws() const;
};

// Draws problems one at a time into memory of its own, which the next draw uses again.
class Sampler {
 public:
  explicit Sampler(const Draw& draw);
  std::span<const Number> operator()(std::int64_t sample);

 private:
  void relate(WordStream& words);
  void enlarge(WordStream& words);

  Draw draw_;
  std::vector<std::vector<std::uint8_t>> digits_;
  std::vector<Number> operands_;
};

// Ragged digits: one operand after the other.
struct Ragged {
  std::vector<std::uint8_t> digits;
  std::vector<std::int64_t> lengths;
};

// The operands of a batch, in parts that follow each other.
std::vector<Ragged> draw_operands(const Draw& draw, std::int64_t size, std::int64_t threads);

// Throws std::invalid_argument for an operand of more digits than any instance has tokens.
void check_length(std::int64_t digits);

// Throws std::invalid_argument for a batch of nothing.
void check_size(std::int64_t instances);

// Draws a structured problem (every distribution but uniform) of two operands, or of one, into digits that have
// room for `high`; the operands are written to `out`.
void draw_structured(const Draw& draw, WordStream& words, std::uint8_t* a, std::uint8_t* b,
                     Number* out);

// Whether a distribution exists for operands of this shape.
bool has_distribution(const Shape& shape, Distribution distribution);

// The shortest longer operand a distribution can have.
std::int64_t shortest(const Draw& draw);

}  // namespace arithtf
