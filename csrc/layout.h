// From the runs of an instance (segment, row, length) to ids: what is common to all tasks.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

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

inline constexpr std::int64_t after_last = -1;

// Tokens of one segment. A segment may come again with another row number. Indices from the left begin at
// `first`: not 0 where a run goes on with the count of the one before. The tokens stand `stride` apart, so
// that two segments can take turns; the first one is token number `token` of the instance, by default the
// one after the last token of the run before.
struct Run {
  std::int64_t segment = 0, row = 0, length = 0, first = 0;
  std::int64_t stride = 1, token = after_last;
};

// Column 0 holds the first token (BOS); the rest of the prompt ends at column `start`, what is to be
// predicted begins at start + 1.
struct Grid {
  std::int64_t instances = 0, columns = 0, start = 0;
};

// Token ids of an instance: query and key rows have `columns` entries for each level, level by level.
struct IdRows {
  std::int32_t* query;
  std::int32_t* key;
};

// Writes the ids of one instance on all levels. `runs` are its tokens in order (the first run is the one
// BOS), of which `prompt` tokens belong to the prompt; `drawn` is the number of tokens that randomized
// positions are drawn for: not fewer than the tokens of the runs, and independent of the answer's length.
// `pitch` is the distance of two rows where ids number the cells of a sheet row by row; 0 without rows.
void write_ids(const Coupling& coupling, const IdDraws& draws, const Grid& grid,
               std::int64_t sample, std::span<const Run> runs, std::int64_t prompt,
               std::int64_t drawn, IdRows out, std::int64_t pitch = 0);

}  // namespace arithtf
