// From the segments of an instance to ids: the one writer of ids, for every task.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <vector>

#include "coupling.h"

// Versions of a function for newer vector units, chosen when the library is loaded; results do not depend
// on the choice. Sanitizers cannot run before the loader has finished, so they build the portable one only.
#if defined(__x86_64__) && defined(__linux__) && defined(__GNUC__) && !defined(__clang__) && \
    !defined(__SANITIZE_ADDRESS__)
#define ARITHTF_CLONES __attribute__((target_clones("default", "avx2", "avx512f")))
#else
#define ARITHTF_CLONES
#endif

namespace arithtf {

inline constexpr std::uint8_t ignore_target = 255;

// Tokens of an instance, so that ids, differences of them and a few sums fit 32 bits.
inline constexpr std::int64_t most_columns = std::numeric_limits<std::int32_t>::max() / 4;

// Of a row's number and the distance of two rows: the one product of an id that is of three numbers fits 61 bits.
inline constexpr std::int64_t most_row_cells = std::int64_t{1} << 33;

inline constexpr std::int64_t after_last = -1;

// Tokens of one segment. A segment may come again with another row number. Indices from the left begin at
// `first`: not 0 where a run goes on with the count of the one before. The tokens stand `stride` apart, so
// that two segments can take turns; the first one is token number `token` of the instance.
struct Run {
  std::int32_t segment, row, length, first, stride, token;
};

// The runs of one instance, appended in the order of its tokens.
class RunList {
 public:
  explicit RunList(std::vector<Run>& runs) : runs_(runs) {}

  // Without a token the run begins right after the last token of the run before.
  void add(std::int64_t segment, std::int64_t row, std::int64_t length, std::int64_t first = 0,
           std::int64_t stride = 1, std::int64_t token = after_last) {
    if (token == after_last) token = next_;
    next_ = token + (length - 1) * stride + 1;
    const auto narrow = [](std::int64_t value) { return static_cast<std::int32_t>(value); };
    runs_.push_back({narrow(segment), narrow(row), narrow(length), narrow(first), narrow(stride),
                     narrow(token)});
  }

 private:
  std::vector<Run>& runs_;
  std::int64_t next_ = 0;
};

// What ids depend on besides the coupling: the segments of a batch's tokens, and where what is random comes from.
struct Runs {
  struct Instance {
    std::int64_t part = 0, begin = 0, count = 0;  // runs [begin, begin + count) of parts[part]
    std::int64_t gap = 0;         // columns without a token after column 0
    std::int64_t capacity = 0;    // tokens that randomized positions are drawn for
    std::int64_t row_stride = 0;  // distance of two rows where ids number the cells row by row
    std::uint64_t sample = 0;     // address of the ids' random parts
  };
  IdDraws draws;
  std::int64_t segments = 0, columns = 0;  // all segments are below the one, all tokens within the other
  std::vector<Instance> instances;
  std::vector<std::vector<Run>> parts;  // one for each thread that wrote them

  std::span<const Run> of(const Instance& instance) const {
    const auto& runs = parts[static_cast<std::size_t>(instance.part)];
    return {runs.data() + instance.begin, static_cast<std::size_t>(instance.count)};
  }
};

// Token ids of an instance: query and key rows have `columns` entries for each level, level by level.
struct IdRows {
  std::int32_t* query;
  std::int32_t* key;
};

// Writes the ids of a batch, [instances, levels, columns] on each side. Token 0 stands at column 0, token n
// at column n + gap. The query side describes the token `ahead` places on: 1 for the next one, 0 for the
// token itself.
void write_ids(const Coupling& coupling, const Runs& runs, std::int64_t columns, std::int64_t ahead,
               std::int64_t threads, IdRows out);

}  // namespace arithtf
