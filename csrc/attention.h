// Windowed softmax attention on the CPU: forward, float32, cost linear in tokens.
//
// Keys are sorted by id once per sequence and level, so what a query sees is one contiguous range of
// them. Outputs do not depend on the number of threads nor on the vector width of the processor:
// every sum has one fixed order (dot products in 16 lanes, added as a tree; sums over keys one by one,
// sinks first, then by id and column), and products are never fused with sums.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace arithtf::attention {

constexpr std::int32_t kNoId = INT32_MIN;

// Rows of D contiguous floats; strides count floats.
template <typename Float>
struct Rows {
  Float* data;
  std::int64_t batch, head, column;
  Float* at(std::int64_t b, std::int64_t h, std::int64_t t) const {
    return data + b * batch + h * head + t * column;
  }
};

// Contiguous ids per batch entry and level; strides count ids (0: shared by the batch).
struct Ids {
  const std::int32_t* data;
  std::int64_t batch, level;
  const std::int32_t* at(std::int64_t b, std::int64_t l) const { return data + b * batch + l * level; }
};

struct Problem {
  std::int64_t batch, heads, queries, keys, dim;
  Rows<const float> query, key, value;
  Rows<float> out;
  Ids query_ids, key_ids;
  std::vector<std::int64_t> head_levels;                      // heads
  std::vector<std::pair<std::int64_t, std::int64_t>> windows;  // levels: (back, ahead), >= 0
  const float* bias;    // [heads, 2 * reach + 1] or null; differences are clipped to [-reach, reach]
  std::int64_t reach;
  const float* scale;   // [heads]
  bool log_scale;       // multiply the scale by log(number of visible keys)
  std::int64_t sinks;
  bool causal;
  std::int64_t query_start;
  const std::int32_t* prefix;  // [batch] or null
  Ids documents;               // data null: one document; level stride unused

  // Throws std::invalid_argument where sizes do not fit each other.
  void check() const;
};

void windowed(const Problem& problem, std::int64_t threads);

// exp of values <= 0, within 2 ulp; exactly 0 below -87 (exp(-87) is about 1.4 FLT_MIN), NaN stays NaN.
void exp_nonpositive(float* values, std::int64_t count);

// Names of the kernel's builds that this processor can run, the default first; for tests, which compare
// their bits.
std::vector<const char*> builds();
void use_build(const std::string& name);

}  // namespace arithtf::attention
