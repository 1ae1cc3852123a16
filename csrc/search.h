// What the search for couplings computes: which tokens queries see by an affine relation of
// places, and how well a set of such lookups decides the next token.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "contexts.h"

namespace arithtf::search {

// A relation of places: value(key) - value(query), both affine forms without offset.
struct Relation {
  std::int64_t query_segment, key_segment;
  std::span<const std::int64_t> key_factors, query_factors;  // one per place
};

// Instances whose ids are places: level 0 is the number of the segment, every further one a place.
struct Examples {
  contexts::BatchView batch;
  const std::uint8_t* targets;
  std::int64_t queries() const;  // columns with a target
};

// For every relation and every value in [low, high]: what each query sees there, as the sum of
// token_code over the tokens (0: nothing). A key is seen only at or before the query's column, and
// column 0, the sink, never. sums [relations, high - low + 1, queries]; most [relations, high -
// low + 1], the most tokens that one query sees.
void write_lookups(const Examples& examples, std::span<const Relation> relations, std::int64_t low,
                  std::int64_t high, std::int64_t threads, std::uint64_t* sums, std::int32_t* most);

// A random odd number per token, fixed for good.
std::uint64_t token_code(std::uint64_t token);

// Candidates as sums: the context of query q under candidate c is start[q] + sum factor *
// lookups[row][q] over the candidate's terms, modulo 2^64. Equal contexts give equal sums; different
// ones nearly never do.
struct Candidates {
  std::span<const std::int64_t> offsets;  // terms of candidate c: [offsets[c], offsets[c + 1])
  std::span<const std::int64_t> rows;
  std::span<const std::uint64_t> factors;
};

struct Queries {
  std::span<const std::uint64_t> start;
  std::span<const std::uint8_t> targets;  // below `symbols`
  std::int64_t symbols;
};

struct Score {
  std::int64_t contexts = 0;   // different ones
  std::int64_t conflicts = 0;  // of them, those with two targets or more
  double bits = 0;             // code length of the targets, see score()
  bool complete = true;        // false: given up, the numbers are those of the queries read
};

// Code length of the targets for a reader who knows the contexts alone: in a context met n times
// before, and n_t times with target t, t costs -log2((n_t + alpha / symbols) / (n + alpha)). A new
// context costs log2(symbols), a repetition that agrees less than a bit, one that does not many.
// A candidate is given up once `most_bits` or `most_conflicts` is exceeded.
void score(const std::uint64_t* lookups, const Queries& queries, const Candidates& candidates,
           double alpha, double most_bits, std::int64_t most_conflicts, std::int64_t threads,
           Score* out);

}  // namespace arithtf::search
