#include "layout.h"

#include <algorithm>
#include <cstring>
#include <stdexcept>
#include <string>
#include <vector>

namespace arithtf {
namespace {

ARITHTF_CLONES void fill_constant(std::int32_t* out, std::int64_t count, std::int32_t value) {
  for (std::int64_t k = 0; k < count; ++k) out[k] = value;
}

ARITHTF_CLONES void fill_progression(std::int32_t* out, std::int64_t count, std::int32_t first,
                                     std::int32_t slope) {
  // Unsigned, so that the step after the last id may wrap without being undefined.
  for (std::int64_t k = 0; k < count; ++k) {
    out[k] = static_cast<std::int32_t>(static_cast<std::uint32_t>(first) +
                                       static_cast<std::uint32_t>(k) * static_cast<std::uint32_t>(slope));
  }
}

void fill_apart(std::int32_t* out, std::int64_t count, std::int32_t first, std::int32_t slope,
                std::int64_t stride) {
  auto id = static_cast<std::uint32_t>(first);
  for (std::int64_t k = 0; k < count; ++k, out += stride, id += static_cast<std::uint32_t>(slope)) {
    *out = static_cast<std::int32_t>(id);
  }
}

inline std::int32_t narrow(std::int64_t id) {
  if (id <= no_id || id > std::numeric_limits<std::int32_t>::max()) [[unlikely]] {
    throw std::invalid_argument("position id " + std::to_string(id) +
                                " does not fit into 32 bits; use smaller factors, a smaller start or a "
                                "period in the coupling");
  }
  return static_cast<std::int32_t>(id);
}

// Ids of the tokens of a run: id(k) = base + slope * k [+ index * places[stride * k]], modulo the period.
struct Sequence {
  std::int64_t base, slope, index, period, stride;
  const std::int64_t* places;  // null: places are token indices, already part of base and slope

  std::int64_t at(std::int64_t k) const {
    std::int64_t id = base + slope * k + (places ? index * places[stride * k] : 0);
    if (period > 0) {
      id %= period;
      if (id < 0) id += period;
    }
    return id;
  }

  void write(std::int64_t from, std::int64_t count, std::int32_t* out) const {
    if (count <= 0) return;
    if (period > 0 || places) {
      for (std::int64_t k = 0; k < count; ++k) out[stride * k] = narrow(at(from + k));
      return;
    }
    const std::int32_t first = narrow(at(from));
    if (count > 1) narrow(at(from + count - 1));
    const std::int32_t step = count > 1 ? static_cast<std::int32_t>(slope) : 0;
    if (stride == 1) {
      fill_progression(out, count, first, step);
    } else {
      fill_apart(out, count, first, step, stride);
    }
  }
};

Sequence sequence(const Form& form, const Run& run, std::int64_t first_token, std::int64_t start,
                  std::int64_t pitch, std::int64_t period, const std::int64_t* places) {
  Sequence s{form.offset + start + form.left * run.first + form.right * (run.length - 1) +
                 form.row * run.row + (form.pitch + form.cell * run.row) * pitch,
             form.left - form.right, form.index, period, run.stride, nullptr};
  if (places && form.index != 0) {
    s.places = places + first_token;
  } else {
    s.base += form.index * first_token;
    s.slope += form.index * run.stride;
  }
  return s;
}

// The key side of a run stands at the run's own columns, the query side one token earlier: the query at a
// token describes the token to come. The token before the first one after BOS is BOS, at column 0.
void write_level(const Level& level, const Grid& grid, std::int64_t start, const std::int64_t* places,
                 std::span<const Run> runs, std::int64_t prompt, std::int64_t pitch, IdRows out) {
  fill_constant(out.query, grid.columns, no_id);
  fill_constant(out.key, grid.columns, no_id);
  const std::int64_t shift = grid.start + 1 - prompt;  // column of token n >= 1 is n + shift
  std::int64_t next = 0;
  for (const Run& run : runs) {
    const std::int64_t token = run.token == after_last ? next : run.token;
    const auto segment = static_cast<std::size_t>(run.segment);
    const Form& key = level.key[segment];
    const Form& query = level.query[segment];
    const std::int64_t column = token == 0 ? 0 : token + shift;
    if (key.present) {
      sequence(key, run, token, start, pitch, level.period, places).write(0, run.length, out.key + column);
    }
    if (query.present && token > 0) {
      const Sequence s = sequence(query, run, token, start, pitch, level.period, places);
      const std::int64_t at_bos = token == 1 ? std::min<std::int64_t>(run.length, 1) : 0;
      s.write(0, at_bos, out.query);
      s.write(at_bos, run.length - at_bos, out.query + column - 1 + at_bos * run.stride);
    }
    next = token + (run.length - 1) * run.stride + 1;
  }
}

}  // namespace

void write_ids(const Coupling& coupling, const IdDraws& draws, const Grid& grid,
               std::int64_t sample, std::span<const Run> runs, std::int64_t prompt,
               std::int64_t drawn, IdRows out, std::int64_t pitch) {
  std::int64_t number = 0;
  std::vector<std::int64_t> places;
  for (const Level& level : coupling.levels) {
    if (level.randomized > 0) places = draws.places(level.randomized, drawn, number, sample);
    write_level(level, grid, draws.start(level, number, sample),
                level.randomized > 0 ? places.data() : nullptr, runs, prompt, pitch, out);
    out.query += grid.columns;
    out.key += grid.columns;
    ++number;
  }
}

}  // namespace arithtf
