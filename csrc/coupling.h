// Couplings as data: for every level and segment, the affine form of what a token knows about its place.
#pragma once

#include <cstdint>
#include <limits>
#include <vector>

#include "philox.h"

namespace arithtf {

// "Has no id on this level": matches nothing.
inline constexpr std::int32_t no_id = std::numeric_limits<std::int32_t>::min();

// id = offset + left * i + right * r + row * rho + index * n + pitch * w + cell * rho * w, see
// arithtf.tasks.coupling.Place.
struct Form {
  bool present = false;
  std::int64_t offset = 0, left = 0, right = 0, row = 0, index = 0, pitch = 0, cell = 0;
};

struct Level {
  std::vector<Form> key, query;  // one form per segment of the task
  std::int64_t period = 0;
  std::int64_t start_low = 0, start_high = 0;
  bool shared_start = false;
  std::int64_t randomized = 0;
};

struct Coupling {
  std::vector<Level> levels;
  std::int64_t segments = 0;

  // Tables as Python hands them over: forms are [levels, segments, 8] (present, offset, left, right, row,
  // index, pitch, cell), settings [levels, 5] (period, start low, start high, shared start, randomized).
  Coupling(const std::int64_t* key, const std::int64_t* query, const std::int64_t* settings,
           std::int64_t level_count, std::int64_t segment_count);
};

// The streams of random words below this one are those of problems; ids have theirs above it.
inline constexpr std::uint64_t id_stream = std::uint64_t{1} << 32;

// Where the random parts of the ids come from; as it stands, those of problems that have no address.
struct IdDraws {
  std::uint64_t seed = 0, stream = id_stream - 1, step = 0;
  bool random_start = false;  // false: every level starts at its lowest start

  std::int64_t start(const Level& level, std::int64_t level_number, std::uint64_t sample) const;

  // A sorted uniform sample of `count` distinct values of [0, range), for levels with randomized positions.
  std::vector<std::int64_t> places(std::int64_t range, std::int64_t count, std::int64_t level_number,
                                   std::uint64_t sample) const;
};

}  // namespace arithtf
