#include "tasks/scratchpad.h"

#include <algorithm>
#include <cstring>
#include <limits>
#include <stdexcept>
#include <string>

namespace arithtf::scratchpads {
namespace {

std::size_t size(std::int64_t n) { return static_cast<std::size_t>(n); }

// How much work there is, for lengths that no memory would hold too.
std::int64_t times(std::int64_t a, std::int64_t b) {
  std::int64_t product = 0;
  if (__builtin_mul_overflow(a, b, &product) || product > std::numeric_limits<std::int64_t>::max() / 2) {
    throw std::invalid_argument("the work of such a problem has more tokens than 64 bits can count; give shorter operands");
  }
  return product;
}

void require(bool holds, const char* what) {
  if (!holds) throw std::invalid_argument(std::string("scratchpad tables: ") + what);
}

std::int64_t digits_of(const Part& part, Lengths lengths) {
  std::int64_t count = 0;
  for (const std::size_t operand : part.lengths) count += lengths[operand];
  return count;
}

// The tracks of one instance and their windows; after them two of a row's columns each: zeros, for passes that read
// fewer tracks than they can, and what is left by those that change none.
class Cells {
 public:
  Cells(const Tables& tables, Numbers operands, Lengths lengths, std::int64_t turns, std::int64_t columns)
      : tables_(tables), operands_(operands), turns_(turns) {
    std::int64_t begin = 0;
    for (std::size_t t = 0; t < tables.tracks.size() + 2; ++t) {
      std::int64_t count = columns;
      if (t < tables.tracks.size()) {
        const Track& track = tables.tracks[t];
        count = (track.single ? 1 : columns) + (track.moves != 0 ? turns - 1 : 0);
        for (const Part& part : tables.tail) {  // also what is copied though no row has seen it
          if (part.track == static_cast<std::int64_t>(t)) count = std::max(count, digits_of(part, lengths));
        }
      }
      tracks_[t] = {begin, count, nullptr};
      begin += count;
    }
    cells_.resize(size(begin));
    for (Place& place : tracks_) place.window = cells_.data() + place.begin;
    for (std::size_t t = 0; t < tables.tracks.size(); ++t) load(t, tables.tracks[t].operand);
  }

  void turn(std::int64_t number) {
    for (std::size_t t = 0; t < tables_.tracks.size(); ++t) {
      const Track& track = tables_.tracks[t];
      if (track.each && number > 0) load(t, track.operand + number);
      const std::int64_t moved = track.moves < 0 ? turns_ - 1 - number : track.moves * number;
      tracks_[t].window = cells_.data() + tracks_[t].begin + moved;
    }
  }

  const std::uint8_t* read(const Pass& pass, std::size_t number) const {
    return tracks_[number < pass.reads.size() ? pass.reads[number] : tables_.tracks.size()].window;
  }
  std::uint8_t* changed(const Pass& pass) const {
    return tracks_[pass.changes != none ? size(pass.changes) : tables_.tracks.size() + 1].window;
  }
  const std::uint8_t* lowest(std::int64_t track) const { return cells_.data() + tracks_[size(track)].begin; }

 private:
  struct Place {
    std::int64_t begin, count;
    std::uint8_t* window;
  };

  void load(std::size_t track, std::int64_t operand) {
    if (operand == none) return;
    std::uint8_t* begin = cells_.data() + tracks_[track].begin;
    const Number& number = operands_[size(operand)];
    const std::int64_t read = std::min(number.length, tracks_[track].count);
    std::reverse_copy(number.digits + number.length - read, number.digits + number.length, begin);
    std::fill(begin + read, begin + tracks_[track].count, std::uint8_t{0});
  }

  const Tables& tables_;
  Numbers operands_;
  std::int64_t turns_;
  std::array<Place, Tables::most_tracks + 2> tracks_{};
  std::vector<std::uint8_t> cells_;
};

// A pass in one row: reads its columns one by one, and writes their tokens to `out`.
struct Scan {
  const Pass& pass;
  std::array<const std::uint8_t*, Pass::most_reads> read;
  std::uint8_t* changed;
  std::int32_t base, state;
  std::uint8_t* out;

  std::int32_t symbol(std::int64_t column) const { return read[0][column] + base * read[1][column]; }

  Pass::Entry next(std::int64_t column) {
    const Pass::Entry entry = pass.table[size(state + symbol(column))];
    changed[column] = entry.tokens[pass.changed_by];
    state = entry.next;
    return entry;
  }

  template <std::size_t tokens, bool jumping>
  void columns(std::int64_t count) {
    Scan at = *this;  // in registers: what is written could be this object
    auto place = static_cast<std::uint64_t>(state >> pass.shift) * 8;
    for (std::int64_t i = 0; i < count; ++i) {
      const std::uint64_t jumps = jumping ? pass.jumps[size(at.symbol(i))] : 0;
      const Pass::Entry entry = at.next(i);
      std::memcpy(at.out, entry.tokens.data(), tokens);
      at.out += tokens;
      if constexpr (jumping) {
        place = jumps >> place & 63;
        at.state = static_cast<std::int32_t>(place >> 3 << pass.shift);
      }
    }
    state = at.state;
    out = at.out;
  }

  // All columns but the last.
  template <bool jumping>
  void columns_before(std::int64_t last) {
    switch (pass.tokens) {
      case 0: return columns<0, jumping>(last);
      case 1: return columns<1, jumping>(last);
      case 2: return columns<2, jumping>(last);
      case 3: return columns<3, jumping>(last);
      default: return columns<4, jumping>(last);
    }
  }
};

std::uint8_t* write_row(const Tables& tables, const Cells& cells, std::int64_t columns, std::uint8_t* out) {
  std::size_t before = 0;
  for (const Pass& pass : tables.passes) {
    const std::int32_t start = pass.start[before];
    Scan scan{pass, {cells.read(pass, 0), cells.read(pass, 1)}, cells.changed(pass), tables.base, start, out};
    const std::int64_t last = pass.single ? 0 : columns - 1;
    if (last > 0 && pass.jumps.empty()) scan.columns_before<false>(last);
    if (last > 0 && !pass.jumps.empty()) scan.columns_before<true>(last);
    const Pass::Entry entry = scan.next(last);
    out = scan.out;
    for (const std::size_t token : pass.last) *out++ = entry.tokens[token];
    before = size(entry.next >> pass.shift);
  }
  return out;
}

}  // namespace

std::int64_t Tables::row_tokens(std::int64_t row_columns) const {
  std::int64_t length = 0;
  for (const Pass& pass : passes) {
    length += std::ssize(pass.last) + (pass.single ? 0 : (row_columns - 1) * static_cast<std::int64_t>(pass.tokens));
  }
  return length;
}

// Whether a run stays within its row, however many columns that has. All of it is affine in them, and two are the
// fewest.
void Tables::check_run(const RowRun& run) const {
  constexpr std::int64_t fewest = 2, largest = std::int64_t{1} << 20;
  const auto small = [](const Affine& form) {
    return form.by_column >= 0 && form.by_column <= largest && form.fixed >= -largest && form.fixed <= largest &&
           form.at(fewest) >= 0;
  };
  require(run.stride >= 1 && run.stride <= std::ssize(passes) * static_cast<std::int64_t>(Pass::most_tokens) &&
              small(run.first) && small(run.length) && small(run.token),
          "runs of rows with small numbers");
  const std::int64_t row = row_tokens(fewest), by_column = row_tokens(fewest + 1) - row;
  const std::int64_t last = run.token.at(fewest) + (run.length.at(fewest) - 1) * run.stride;
  require(last < row && run.token.by_column + run.length.by_column * run.stride <= by_column, "runs within their row");
}

void Tables::check() const {
  check_base(base);
  require((turns == none) == (columns == none), "turns and columns of single operands, or of all");
  require(turns >= none && turns < 2 && columns >= none && columns < 2,
          "one of the first two operands for turns and columns");
  require(repeat >= 1 && repeat <= most_repeat && !passes.empty() && passes.size() <= most_passes && !tail.empty(),
          "rows with passes, and an end");
  require(segments >= prompt_segments && segments <= most_segments, "segments of the prompt and more, not very many");
  require(tracks.size() <= most_tracks, "few tracks");
  for (const Track& track : tracks) {
    require(track.operand >= none && track.operand < 2 && (!track.each || (track.operand == 1 && turns == none)), "tracks of operands");
    require(track.moves >= -1 && track.moves <= 1, "tracks that move by a cell");
  }
  const auto segment = [&](std::int64_t number) { return number >= 0 && number < segments; };
  require(row_tokens(2) >= 1, "rows of at least one token");
  for (const auto& kind : runs) {
    for (const RowRun& run : kind) {
      require(segment(run.segment), "segments of rows");
      check_run(run);
    }
  }
  std::int64_t before = 1;
  for (const Pass& pass : passes) {
    std::int64_t symbols = 1;
    require(pass.reads.size() <= Pass::most_reads && pass.tokens <= Pass::most_tokens, "few reads and tokens");
    for (const std::size_t track : pass.reads) {
      require(track < tracks.size() && tracks[track].single == pass.single, "tracks to be read");
      symbols *= base;
    }
    const auto count = std::ssize(pass.table);
    const std::int64_t states = count >> pass.shift;
    require(symbols <= std::int64_t{1} << pass.shift && states > 0 && count == states << pass.shift,
           "entries [states, symbols]");
    require(std::ssize(pass.start) == before, "a start for every state of the pass before");
    before = states;
    const auto begins = [&](std::int32_t at) {
      return at >= 0 && at < count && (at >> pass.shift) << pass.shift == at;
    };
    require(std::all_of(pass.start.begin(), pass.start.end(), begins), "starts at states");
    require(std::all_of(pass.last.begin(), pass.last.end(), [&](std::size_t t) { return t < pass.tokens; }),
           "tokens of the last column");
    const bool changes = pass.changes != none;
    require(!changes || (pass.changes >= 0 && pass.changes < std::ssize(tracks) && pass.changed_by < pass.tokens &&
                        tracks[size(pass.changes)].single == pass.single),
           "a track that a pass changes");
    for (const Pass::Entry& entry : pass.table) {
      require(begins(entry.next), "next states");
      require(!changes || entry.tokens[pass.changed_by] < base, "digits for the track that a pass changes");
    }
  }
  for (const Part& part : tail) {
    require(segment(part.segment) && part.track >= none && part.track < std::ssize(tracks), "segments and tracks of the end");
    require(std::all_of(part.lengths.begin(), part.lengths.end(), [](std::size_t k) { return k < 2; }),
           "lengths of the first two operands at the end");
  }
}

Scratchpad::Scratchpad(Tables tables) : tables_(std::move(tables)) {
  tables_.check();
  for (Pass& pass : tables_.passes) {
    const std::size_t symbols = std::size_t{1} << pass.shift;
    if (pass.table.size() > 8 * symbols) continue;
    pass.jumps.resize(symbols);
    for (std::size_t cell = 0; cell < pass.table.size(); ++cell) {
      const auto place = static_cast<std::uint64_t>(pass.table[cell].next >> pass.shift) * 8;
      pass.jumps[cell % symbols] |= place << cell / symbols * 8;
    }
  }
}

Scratchpad::Sizes Scratchpad::sizes(Lengths lengths) const {
  if (tables_.turns != none) return {lengths[size(tables_.turns)], lengths[size(tables_.columns)] + 1};
  // k numbers below base^L have a sum below k base^L: the digits of k - 1 are enough above the longest. One
  // more column makes every row end with a 0.
  const std::int64_t turns = std::ssize(lengths) - 1;
  std::int64_t columns = *std::max_element(lengths.begin(), lengths.end()) + 1;
  for (std::int64_t rest = turns; rest > 0; rest /= tables_.base) ++columns;
  return {turns, columns};
}


std::int64_t Scratchpad::row_stride(Lengths lengths) const {
  const auto [turns, columns] = sizes(lengths);
  if (times(turns * tables_.repeat + 1, columns + 2) > most_row_cells) {
    throw std::invalid_argument("rows of such a problem have more cells than ids can number; give shorter operands");
  }
  return columns + 2;
}

std::int64_t Scratchpad::answer_tokens(Lengths lengths) const {
  const auto [turns, columns] = sizes(lengths);
  std::int64_t tokens = times(times(turns, tables_.repeat), tables_.row_tokens(columns));
  for (const Part& part : tables_.tail) tokens += digits_of(part, lengths) + 1;
  return tokens;
}

void Scratchpad::expect(Lengths lengths, std::int64_t, RunList& runs) const {
  const auto [turns, columns] = sizes(lengths);
  const std::int64_t tokens = tables_.row_tokens(columns);
  // Rows of operands are numbered like these, from 1 on.
  const std::int64_t first_row = tables_.turns == none ? 1 : 0, last_row = first_row + turns * tables_.repeat - 1;
  std::int64_t token = 1, row = first_row;
  for (const std::int64_t digits : lengths) token += digits + 1;  // the prompt
  for (std::int64_t turn = 0; turn < turns; ++turn) {
    for (std::int64_t nth = 0; nth < tables_.repeat; ++nth, ++row, token += tokens) {
      const bool begins = nth == 0, ends = nth == tables_.repeat - 1;
      const std::size_t kind = (begins ? 1u : 0u) | (ends ? 2u : 0u) | (row == last_row ? 4u : 0u);
      for (const RowRun& run : tables_.runs[kind]) {
        const std::int64_t length = run.length.at(columns);
        if (length == 0) continue;
        runs.add(run.segment, row, length, run.first.at(columns), run.stride, token + run.token.at(columns));
      }
    }
  }
  for (const Part& part : tables_.tail) {
    const std::int64_t number = part.row == Part::zero_row ? 0 : part.row == Part::last_row ? last_row : last_row + 1;
    const std::int64_t length = digits_of(part, lengths) + 1;
    runs.add(part.segment, number, length, 0, 1, token);
    token += length;
  }
}

std::int64_t Scratchpad::write(Numbers operands, std::uint8_t* out, RunList* runs) const {
  thread_local std::vector<std::int64_t> lengths;
  lengths.clear();
  for (const Number& number : operands) lengths.push_back(number.length);
  const auto [turns, columns] = sizes(lengths);
  Cells cells(tables_, operands, lengths, turns, columns);
  std::uint8_t* at = out;
  for (std::int64_t turn = 0; turn < turns; ++turn) {
    cells.turn(turn);
    for (std::int64_t nth = 0; nth < tables_.repeat; ++nth) at = write_row(tables_, cells, columns, at);
  }
  for (const Part& part : tables_.tail) {
    if (part.track != none) at = std::copy_n(cells.lowest(part.track), digits_of(part, lengths), at);
    *at++ = part.end;
  }
  if (runs) expect(lengths, at - out, *runs);
  return at - out;
}

}  // namespace arithtf::scratchpads
