#include "coupling.h"

#include <algorithm>
#include <stdexcept>
#include <string>

namespace arithtf {
namespace {

constexpr std::uint64_t shared_sample = ~std::uint64_t{0};
constexpr std::uint64_t places_channel = std::uint64_t{1} << 32;
// Keep every id a sum that cannot overflow 64 bits; results are checked against 32 bits later.
constexpr std::int64_t largest_offset = std::int64_t{1} << 31;
constexpr std::int64_t form_size = 8;
constexpr std::int64_t largest_factor = std::int64_t{1} << 28;

std::int64_t checked(std::int64_t value, const char* what, std::int64_t largest = largest_factor) {
  if (value < -largest || value > largest) {
    throw std::invalid_argument(std::string(what) + " must be within +-" + std::to_string(largest) + ", got " +
                                std::to_string(value));
  }
  return value;
}

std::vector<Form> read_forms(const std::int64_t* table, std::int64_t segments) {
  std::vector<Form> forms;
  for (std::int64_t s = 0; s < segments; ++s, table += form_size) {
    forms.push_back({table[0] != 0, checked(table[1], "offset", largest_offset), checked(table[2], "left"),
                     checked(table[3], "right"), checked(table[4], "row"),
                     checked(table[5], "index"), checked(table[6], "pitch"), checked(table[7], "cell")});
  }
  return forms;
}

}  // namespace

Coupling::Coupling(const std::int64_t* key, const std::int64_t* query, const std::int64_t* settings,
                   std::int64_t level_count, std::int64_t segment_count)
    : segments(segment_count) {
  if (level_count < 1) throw std::invalid_argument("a coupling needs at least one level, got 0");
  for (std::int64_t l = 0; l < level_count; ++l, settings += 5) {
    Level level;
    level.key = read_forms(key + l * segments * form_size, segments);
    level.query = read_forms(query + l * segments * form_size, segments);
    level.period = checked(settings[0], "period", largest_offset);
    level.start_low = checked(settings[1], "start", largest_offset);
    level.start_high = checked(settings[2], "start", largest_offset);
    level.shared_start = settings[3] != 0;
    level.randomized = checked(settings[4], "randomized", largest_offset);
    if (level.period < 0 || level.randomized < 0 || level.start_low > level.start_high) {
      throw std::invalid_argument("a level needs period >= 0, randomized >= 0 and start low <= high");
    }
    levels.push_back(std::move(level));
  }
}

std::int64_t IdDraws::start(const Level& level, std::int64_t level_number, std::uint64_t sample) const {
  if (!random_start || level.start_low == level.start_high) return level.start_low;
  const auto address = level.shared_start ? shared_sample : sample;
  WordStream words(seed, stream, step, address, static_cast<std::uint64_t>(level_number));
  const auto choices = static_cast<std::uint64_t>(level.start_high - level.start_low + 1);
  return level.start_low + static_cast<std::int64_t>(words.below(choices));
}

std::vector<std::int64_t> IdDraws::places(std::int64_t range, std::int64_t count,
                                          std::int64_t level_number, std::uint64_t sample) const {
  if (count > range) {
    throw std::invalid_argument("randomized positions need a range of at least the " +
                                std::to_string(count) + " tokens of an instance, got " +
                                std::to_string(range) + "; give the level a larger one");
  }
  WordStream words(seed, stream, step, sample,
                   places_channel + static_cast<std::uint64_t>(level_number));
  // Draw the smaller of the sample and its complement: distinct values, topped up until there are
  // enough. Every subset of that size is equally likely, since the draws do not tell values apart.
  const bool complement = count > range / 2;
  const auto wanted = static_cast<std::size_t>(complement ? range - count : count);
  std::vector<std::int64_t> drawn;
  while (drawn.size() < wanted) {
    for (std::size_t missing = wanted - drawn.size(); missing > 0; --missing) {
      drawn.push_back(static_cast<std::int64_t>(words.below(static_cast<std::uint64_t>(range))));
    }
    std::sort(drawn.begin(), drawn.end());
    drawn.erase(std::unique(drawn.begin(), drawn.end()), drawn.end());
  }
  if (!complement) return drawn;
  std::vector<std::int64_t> kept;
  kept.reserve(static_cast<std::size_t>(count));
  for (std::int64_t value = 0, at = 0; value < range; ++value) {
    if (at < static_cast<std::int64_t>(drawn.size()) && drawn[static_cast<std::size_t>(at)] == value) {
      ++at;
    } else {
      kept.push_back(value);
    }
  }
  return kept;
}

}  // namespace arithtf
