#include "layout.h"

#include <algorithm>
#include <cstring>
#include <stdexcept>
#include <string>
#include <vector>

#include "parallel.h"

namespace arithtf {
namespace {

constexpr std::int64_t long_run = 16, cached_ids = 1 << 7;

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

// For the short runs of most instances too: choosing a version of a function costs more than they do.
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
    if (stride == 1 && count >= long_run) {
      fill_progression(out, count, first, step);
    } else {
      fill_apart(out, count, first, step, stride);
    }
  }
};

Sequence sequence(const Form& form, const Run& run, std::int64_t start, std::int64_t row_stride,
                  std::int64_t period, const std::int64_t* places) {
  const std::int64_t first = run.first, last = run.length - 1, row = run.row, token = run.token;
  Sequence s{form.offset + start + form.left * first + form.right * last + form.row * row +
                 (form.pitch + form.cell * row) * row_stride,
             form.left - form.right, form.index, period, run.stride, nullptr};
  if (places && form.index != 0) {
    s.places = places + token;
  } else {
    s.base += form.index * token;
    s.slope += form.index * run.stride;
  }
  return s;
}

// How many of a run's tokens have randomized places. An answer that is yet to be written may fill more columns
// than the longest true one needs; what a problem's ids are must not depend on them, so tokens there have none.
std::int64_t drawn_length(const Run& run, std::int64_t capacity) {
  return std::clamp<std::int64_t>((capacity - run.token + run.stride - 1) / run.stride, 0, run.length);
}

void write_level(const Level& level, const Runs::Instance& instance, std::span<const Run> runs,
                 std::int64_t ahead, std::int64_t start, const std::int64_t* places, IdRows out) {
  for (const Run& run : runs) {
    const std::int64_t count = places ? drawn_length(run, instance.capacity) : run.length;
    const auto segment = static_cast<std::size_t>(run.segment);
    const Form& key = level.key[segment];
    const Form& query = level.query[segment];
    const std::int64_t column = run.token == 0 ? 0 : run.token + instance.gap;
    if (key.present) {
      sequence(key, run, start, instance.row_stride, level.period, places).write(0, count, out.key + column);
    }
    if (!query.present) continue;
    const Sequence s = sequence(query, run, start, instance.row_stride, level.period, places);
    if (ahead == 0) {
      s.write(0, count, out.query + column);
      continue;
    }
    // No query asks for token 0. The one that asks for token 1 stands at token 0, before the gap.
    const std::int64_t skipped = run.token == 0 ? 1 : 0;
    const std::int64_t at_first = run.token == 1 ? std::min<std::int64_t>(count, 1) : 0;
    s.write(0, at_first, out.query);
    const std::int64_t from = std::max(skipped, at_first);
    s.write(from, count - from, out.query + column - 1 + from * run.stride);
  }
}

}  // namespace

void write_ids(const Coupling& coupling, const Runs& runs, std::int64_t columns, std::int64_t ahead,
               std::int64_t threads, IdRows out) {
  const auto count = static_cast<std::int64_t>(runs.instances.size());
  const auto levels = static_cast<std::int64_t>(coupling.levels.size());
  // Levels of very short instances are cleared together: one call for each would take longer than its work.
  const std::int64_t cleared = std::clamp<std::int64_t>(cached_ids / columns, 1, levels);
  parallel_for(count, thread_count(threads, count * columns * levels), [&](std::int64_t begin, std::int64_t end) {
    std::vector<std::int64_t> places;
    for (std::int64_t i = begin; i < end; ++i) {
      const Runs::Instance& instance = runs.instances[static_cast<std::size_t>(i)];
      std::int64_t number = 0;
      for (const Level& level : coupling.levels) {
        const bool randomized = level.randomized > 0;
        if (randomized) places = runs.draws.places(level.randomized, instance.capacity, number, instance.sample);
        const std::int64_t at = (i * levels + number) * columns;
        if (number % cleared == 0) {
          const std::int64_t ids = std::min(cleared, levels - number) * columns;
          fill_constant(out.query + at, ids, no_id);
          fill_constant(out.key + at, ids, no_id);
        }
        write_level(level, instance, runs.of(instance), ahead, runs.draws.start(level, number, instance.sample),
                    randomized ? places.data() : nullptr, {out.query + at, out.key + at});
        ++number;
      }
    }
  });
}

}  // namespace arithtf
