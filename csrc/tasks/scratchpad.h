// Scratchpads: rows of passes of finite transducers over columns of digits. A scratchpad is a set of tables, made
// in arithtf/tasks/arithmetic/scratchpad.py, which says what each of them means.
#pragma once

#include <array>
#include <cstdint>
#include <utility>
#include <vector>

#include "tasks/program.h"

namespace arithtf::scratchpads {

inline constexpr std::int64_t none = -1;

// Digits of which the rows of a turn see a window: as many cells as a row has columns, or one.
struct Track {
  std::int64_t operand = none;  // whose digits it holds at first
  bool each = false;            // those of operand + t in turn t
  std::int64_t moves = 0;       // cells that the window moves in a turn: 1, 0, -1
  bool single = false;
};

// Tokens for every column of a row, or for one. A state is given by where its entries begin: its number shifted by
// `shift`, so that an entry has one index and the number needs no division.
struct Pass {
  static constexpr std::size_t most_reads = 2, most_tokens = 4;
  struct Entry {
    std::int32_t next = 0;
    std::array<std::uint8_t, most_tokens> tokens{};
  };

  bool single = false;
  std::vector<std::size_t> reads;   // tracks
  std::int64_t changes = none;      // the track that token number `changed_by` of a column goes to
  std::size_t changed_by = 0;
  std::size_t tokens = 0;           // of a column
  std::vector<std::size_t> last;    // those of them that the last one writes
  std::vector<std::int32_t> start;  // [states of the pass before]: states
  int shift = 0;
  std::vector<Entry> table;         // [states, 2^shift], the second index is the column's symbol
  // Of at most eight states: byte s of jumps[symbol] is 8 times the state after state s. Then a column waits for a
  // shift of the one before, and for no look-up.
  std::vector<std::uint64_t> jumps;
};

// A number that depends on how many columns a row has.
struct Affine {
  std::int64_t fixed = 0, by_column = 0;
  std::int64_t at(std::int64_t columns) const { return fixed + by_column * columns; }
};

// A run of a row's tokens, `token` being counted from the row's first.
struct RowRun {
  std::int64_t segment = 0, stride = 1;
  Affine first, length, token;
};

// What follows the rows: digits from the lowest cells of a track, as many as some operands have, then a mark.
struct Part {
  enum Row { zero_row, last_row, next_row };
  std::int64_t segment = 0, track = none;
  std::vector<std::size_t> lengths;
  std::uint8_t end = 0;
  Row row = zero_row;
};

struct Tables {
  static constexpr std::size_t most_tracks = 8, most_passes = 64;
  static constexpr std::int64_t most_repeat = 1 << 10, most_segments = 1 << 15;
  static constexpr std::int64_t prompt_segments = 5;  // of two operands or more

  int base = 10;
  std::int64_t segments = 0;
  std::vector<Track> tracks;
  std::vector<Pass> passes;
  std::array<std::vector<RowRun>, 8> runs;  // of a row that is 1: the first, 2: the last of its turn, 4: the last
  std::vector<Part> tail;
  std::int64_t turns = none;    // an operand: a turn for each of its digits; none: for each operand after the first
  std::int64_t columns = none;  // an operand, to have one column more; none: enough for the sum of all operands
  std::int64_t repeat = 1;      // rows in a turn

  std::int64_t row_tokens(std::int64_t row_columns) const;
  // Throws std::invalid_argument for tables that do not fit each other.
  void check() const;

 private:
  void check_run(const RowRun& run) const;
};

// How much there is depends on the operands' lengths alone, and so do the runs.
class Scratchpad final : public Program {
 public:
  explicit Scratchpad(Tables tables);

  std::int64_t segments() const override { return tables_.segments; }
  std::int64_t answer_tokens(Lengths lengths) const override;
  std::int64_t row_stride(Lengths lengths) const override;
  std::int64_t write(Numbers operands, std::uint8_t* out, RunList* runs) const override;
  void expect(Lengths lengths, std::int64_t room, RunList& runs) const override;

 private:
  struct Sizes {
    std::int64_t turns, columns;
  };
  Sizes sizes(Lengths lengths) const;

  Tables tables_;
};

}  // namespace arithtf::scratchpads
