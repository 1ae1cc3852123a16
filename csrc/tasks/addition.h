// Addition of two numbers: problems by address, their tokens, ids and targets.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "coupling.h"
#include "digits.h"
#include "layout.h"

namespace arithtf::addition {

// Segments in order, as arithtf.tasks.addition names them.
enum Segment : std::int64_t { bos, first, plus, second, equals, answer, segment_count };

struct Format {
  int base = 10;
  bool padded = false;            // operands zero-padded to the longer one, answer to one digit more
  bool reverse_operands = false;  // operands least significant digit first

  std::uint8_t pad() const { return static_cast<std::uint8_t>(base); }
  std::uint8_t token(int symbol) const { return static_cast<std::uint8_t>(base + symbol); }
};

enum class Split { train, test, all };
enum class Kind {
  uniform, chain, complement, complement_plus, ripple, repdigit, kill, lopsided, zeros, double_,
  alternating
};

// Throw std::invalid_argument with the names known.
Split split_named(const std::string& name);
Kind kind_named(const std::string& name);

// What a batch of problems is drawn from.
struct Draw {
  std::uint64_t seed = 0, step = 0;
  Split split = Split::train;
  Kind kind = Kind::uniform;
  std::int64_t low = 1, high = 1;                // operand lengths; structured kinds: of the longer one
  std::int64_t chain_length = 0, chain_place = 0;  // kind chain
  int base = 10;

  // Throws std::invalid_argument where no problem can be drawn.
  void check() const;
  std::uint64_t problem_stream() const;
  IdDraws id_draws() const;
};

struct Problem {
  Number a, b;
};

// Draws problems one at a time into memory of its own, which the next draw uses again.
class Sampler {
 public:
  explicit Sampler(const Draw& draw);
  Problem operator()(std::int64_t sample);

 private:
  Draw draw_;
  std::vector<std::uint8_t> a_, b_;
};

// Problems of explicit operands: digits of operand k are [offsets[k], offsets[k + 1]).
struct Operands {
  const std::uint8_t* digits;
  const std::int64_t* offsets;
  std::int64_t instances;

  Problem problem(std::int64_t instance) const;
  void check(int base) const;
  std::int64_t longest() const;
};

struct Buffers {
  std::uint8_t* tokens;
  std::int32_t* query;
  std::int32_t* key;
  std::uint8_t* targets;
};

// The grid of instances whose operands have at most `longest` digits.
Grid grid_for(std::int64_t instances, std::int64_t longest);

void fill_batch(const Format& format, const Coupling& coupling, const Draw& draw, const Grid& grid,
                std::int64_t threads, Buffers out);

// `solved` false leaves the answer to be decoded: PAD tokens, ids of an answer of full width, no targets.
void fill_layout(const Format& format, const Coupling& coupling, const Operands& operands,
                 const Grid& grid, bool solved, std::int64_t threads, Buffers out);

// Ragged digits: one operand after the other, two for a problem.
struct Ragged {
  std::vector<std::uint8_t> digits;
  std::vector<std::int64_t> lengths;
};

// The operands of a batch, in parts that follow each other.
std::vector<Ragged> draw_operands(const Draw& draw, std::int64_t size, std::int64_t threads);

// Digits of the answer as the format writes it, least significant first; `out` has room for length + 1 of
// the longer operand. Returns the number of digits.
std::int64_t write_answer(const Format& format, const Problem& problem, std::uint8_t* out);

// Draws a structured problem (every kind but uniform) into a and b, which have room for `high` digits.
Problem draw_structured(const Draw& draw, WordStream& words, std::uint8_t* a, std::uint8_t* b);

// The shortest longer operand a kind can have.
std::int64_t shortest(const Draw& draw);

}  // namespace arithtf::addition
