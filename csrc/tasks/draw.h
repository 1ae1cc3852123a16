// Problems by address: operands of any number, their splits and kinds. Common to all tasks on operands.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "digits.h"
#include "layout.h"

namespace arithtf {

enum class Split { train, test, all };
enum class Kind {
  uniform, chain, complement, complement_plus, ripple, repdigit, kill, lopsided, zeros, double_,
  alternating
};

// Throw std::invalid_argument with the names known.
Split split_named(const std::string& name);
Kind kind_named(const std::string& name);

// The streams of random words below this one are those of problems; ids have theirs above it.
inline constexpr std::uint64_t id_stream = std::uint64_t{1} << 32;

// What the operands of a task look like.
struct Shape {
  int base = 10;
  std::int64_t arity = 2;
  bool strings = false;     // strings of digits, zeros in front count; otherwise numbers
  bool last_digit = false;  // the last operand is a single digit
  bool related = false;     // half of the uniform problems agree in a random number of low digits
  bool divisor = false;     // the last operand is not 0
  bool skewed = false;      // half of the uniform problems have large digits more often than small ones

  std::int64_t numbers() const { return arity - (last_digit ? 1 : 0); }
};

// What a batch of problems is drawn from.
struct Draw {
  std::uint64_t seed = 0, step = 0;
  Split split = Split::train;
  Kind kind = Kind::uniform;
  std::int64_t low = 1, high = 1;                // operand lengths; structured kinds: of the longer one
  std::int64_t chain_length = 0, chain_place = 0;  // kind chain
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

// Problems of explicit operands: digits of operand k are [offsets[k], offsets[k + 1]).
struct Operands {
  const std::uint8_t* digits;
  const std::int64_t* offsets;
  std::int64_t instances, arity;

  Number operand(std::int64_t instance, std::int64_t number) const {
    const std::int64_t* at = offsets + arity * instance + number;
    return {digits + at[0], at[1] - at[0]};
  }
  void check(const Shape& shape) const;
  // Of the operands whose number is below `numbers`.
  std::int64_t longest(std::int64_t numbers) const;
};

// Ragged digits: one operand after the other.
struct Ragged {
  std::vector<std::uint8_t> digits;
  std::vector<std::int64_t> lengths;
};

// The operands of a batch, in parts that follow each other.
std::vector<Ragged> draw_operands(const Draw& draw, std::int64_t size, std::int64_t threads);

struct Buffers {
  std::uint8_t* tokens;
  std::int32_t* query;
  std::int32_t* key;
  std::uint8_t* targets;
};

// Throws std::invalid_argument for a batch of nothing.
void check_size(std::int64_t instances);

// Draws a structured problem (every kind but uniform) of two operands, or of one, into digits that have
// room for `high`; the operands are written to `out`.
void draw_structured(const Draw& draw, WordStream& words, std::uint8_t* a, std::uint8_t* b,
                     Number* out);

// Whether a kind exists for operands of this shape.
bool has_kind(const Shape& shape, Kind kind);

// The shortest longer operand a kind can have.
std::int64_t shortest(const Draw& draw);

}  // namespace arithtf
