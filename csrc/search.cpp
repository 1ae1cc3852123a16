#include "search.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <stdexcept>
#include <string>

#include "parallel.h"

namespace arithtf::search {
namespace {

using contexts::kIgnore;
using contexts::kNoId;

// A side of a relation in one instance; ids are [levels, columns], places from level 1 on.
class Form {
 public:
  Form(std::int64_t segment, std::span<const std::int64_t> factors) : segment_(segment) {
    for (std::size_t p = 0; p < factors.size(); ++p) {
      if (factors[p] != 0) parts_.push_back({static_cast<std::int64_t>(p) + 1, factors[p]});
    }
  }

  // Whether the token at the column has a value, and which.
  bool read(const std::int32_t* ids, std::int64_t columns, std::int64_t column,
            std::int64_t& value) const {
    if (ids[column] != segment_) return false;
    value = 0;
    for (const auto& [level, factor] : parts_) {
      const std::int32_t place = ids[level * columns + column];
      if (place == kNoId) return false;
      value += factor * place;
    }
    return true;
  }

 private:
  struct Part {
    std::int64_t level, factor;
  };
  std::int64_t segment_;
  std::vector<Part> parts_;
};

struct Key {
  std::int64_t column, value;
  std::uint64_t code;
};

void write_relation(const Examples& examples, const Relation& relation, std::int64_t low,
                    std::int64_t high, std::int64_t queries, std::uint64_t* sums,
                    std::int32_t* most) {
  const auto& batch = examples.batch;
  const std::int64_t width = high - low + 1;
  std::fill_n(sums, width * queries, std::uint64_t{0});
  std::fill_n(most, width, std::int32_t{0});
  if (queries == 0) return;
  const Form key_form(relation.key_segment, relation.key_factors);
  const Form query_form(relation.query_segment, relation.query_factors);
  std::vector<Key> keys;
  std::vector<std::int32_t> seen(static_cast<std::size_t>(width));
  std::int64_t query = 0;
  for (std::int64_t row = 0; row < batch.rows; ++row) {
    const std::uint8_t* tokens = batch.tokens + row * batch.columns;
    const std::uint8_t* targets = examples.targets + row * batch.columns;
    const std::int32_t* key_ids = batch.key_ids + row * batch.key_stride;
    const std::int32_t* query_ids = batch.query_ids + row * batch.query_stride;
    keys.clear();
    std::int64_t value = 0;
    for (std::int64_t t = 1; t < batch.columns; ++t) {
      if (key_form.read(key_ids, batch.columns, t, value)) {
        keys.push_back({t, value, token_code(tokens[t])});
      }
    }
    for (std::int64_t t = 0; t < batch.columns; ++t) {
      if (targets[t] == kIgnore) continue;
      const std::int64_t at = query++;
      if (keys.empty() || !query_form.read(query_ids, batch.columns, t, value)) continue;
      std::fill(seen.begin(), seen.end(), 0);
      for (const Key& key : keys) {
        if (key.column > t) break;
        const std::int64_t difference = key.value - value;
        if (difference < low || difference > high) continue;
        const std::int64_t e = difference - low;
        sums[e * queries + at] += key.code;
        most[e] = std::max(most[e], ++seen[static_cast<std::size_t>(e)]);
      }
    }
  }
}

// Counts of one candidate's contexts; reused from candidate to candidate without being cleared.
class Counter {
 public:
  Counter(const Queries& queries, double alpha)
      : queries_(queries),
        slots_(std::bit_ceil(2 * queries.start.size() + 2)),
        counts_(queries.start.size() * static_cast<std::size_t>(queries.symbols)) {
    const double share = alpha / static_cast<double>(queries.symbols);
    for (std::size_t n = 0; n <= queries.start.size(); ++n) {
      log_all_.push_back(std::log2(static_cast<double>(n) + alpha));
      log_one_.push_back(std::log2(static_cast<double>(n) + share));
    }
    sums_.resize(queries.start.size());
    total_.resize(queries.start.size());
  }

  Score count(const std::uint64_t* lookups, const Candidates& candidates, std::size_t c,
              double most_bits, std::int64_t most_conflicts) {
    if (++epoch_ == 0) {
      std::fill(slots_.begin(), slots_.end(), Slot{});
      epoch_ = 1;
    }
    Score score;
    const std::size_t end = queries_.start.size();
    // In parts, so that a candidate that is given up early has cost little.
    for (std::size_t from = 0, to = 0; from < end && score.complete; from = to) {
      to = std::min(end, from + kPart);
      add(lookups, candidates, c, from, to);
      for (std::size_t q = from; q < to; ++q) {
        record(q, score);
        if (score.conflicts > most_conflicts) break;
      }
      score.complete = score.conflicts <= most_conflicts && score.bits <= most_bits;
    }
    return score;
  }

 private:
  static constexpr std::size_t kPart = 256;
  struct Slot {
    std::uint64_t sum = 0;
    std::uint32_t epoch = 0;
    std::uint32_t index = 0;
  };

  void add(const std::uint64_t* lookups, const Candidates& candidates, std::size_t c,
           std::size_t from, std::size_t to) {
    std::copy(queries_.start.begin() + static_cast<std::ptrdiff_t>(from),
              queries_.start.begin() + static_cast<std::ptrdiff_t>(to),
              sums_.begin() + static_cast<std::ptrdiff_t>(from));
    for (auto k = candidates.offsets[c]; k < candidates.offsets[c + 1]; ++k) {
      const auto term = static_cast<std::size_t>(k);
      const std::uint64_t* lookup =
          lookups + static_cast<std::size_t>(candidates.rows[term]) * queries_.start.size();
      const std::uint64_t factor = candidates.factors[term];
      for (std::size_t q = from; q < to; ++q) sums_[q] += factor * lookup[q];
    }
  }

  void record(std::size_t q, Score& score) {
    const std::uint64_t sum = sums_[q];
    const std::size_t mask = slots_.size() - 1;
    const auto symbols = static_cast<std::size_t>(queries_.symbols);
    std::size_t at = (sum ^ (sum >> 32)) * 0x9E3779B97F4A7C15ull >> 20 & mask;
    while (slots_[at].epoch == epoch_ && slots_[at].sum != sum) at = (at + 1) & mask;
    Slot& slot = slots_[at];
    if (slot.epoch != epoch_) {
      slot = {sum, epoch_, static_cast<std::uint32_t>(score.contexts++)};
      total_[slot.index] = 0;
      std::fill_n(counts_.begin() + static_cast<std::ptrdiff_t>(slot.index * symbols), symbols, 0);
    }
    std::uint32_t& all = total_[slot.index];
    std::uint32_t& one = counts_[slot.index * symbols + queries_.targets[q]];
    score.bits += log_all_[all & kSeen] - log_one_[one];
    if (one != all && all < kClash) {  // until now one target, and this is another
      all |= kClash;
      ++score.conflicts;
    }
    ++all;
    ++one;
  }

  static constexpr std::uint32_t kClash = 1u << 31;
  static constexpr std::uint32_t kSeen = kClash - 1;

  const Queries& queries_;
  std::vector<Slot> slots_;
  std::vector<std::uint32_t> counts_;  // [context, target]
  std::vector<std::uint32_t> total_;   // per context; the top bit marks a conflict
  std::vector<std::uint64_t> sums_;
  std::vector<double> log_all_, log_one_;
  std::uint32_t epoch_ = 0;
};

}  // namespace

std::uint64_t token_code(std::uint64_t token) {
  std::uint64_t z = (token + 1) * 0x9E3779B97F4A7C15ull;
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ull;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBull;
  return (z ^ (z >> 31)) | 1;
}

std::int64_t Examples::queries() const {
  return batch.rows * batch.columns -
         std::count(targets, targets + batch.rows * batch.columns, kIgnore);
}

void write_lookups(const Examples& examples, std::span<const Relation> relations, std::int64_t low,
                  std::int64_t high, std::int64_t threads, std::uint64_t* sums,
                  std::int32_t* most) {
  const std::int64_t queries = examples.queries(), width = high - low + 1;
  const auto count = static_cast<std::int64_t>(relations.size());
  const auto places = static_cast<std::size_t>(examples.batch.levels - 1);
  for (const Relation& relation : relations) {
    if (relation.key_factors.size() != places || relation.query_factors.size() != places) {
      throw std::invalid_argument("expected one factor per place (" + std::to_string(places) + ")");
    }
  }
  const std::int64_t work = count * examples.batch.rows * examples.batch.columns * 8;
  parallel_for(count, thread_count(threads, work), [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t n = begin; n < end; ++n) {
      write_relation(examples, relations[static_cast<std::size_t>(n)], low, high, queries,
                     sums + n * width * queries, most + n * width);
    }
  });
}

void score(const std::uint64_t* lookups, const Queries& queries, const Candidates& candidates,
           double alpha, double most_bits, std::int64_t most_conflicts, std::int64_t threads,
           Score* out) {
  if (std::any_of(queries.targets.begin(), queries.targets.end(),
                  [&](std::uint8_t t) { return t >= queries.symbols; })) {
    throw std::invalid_argument("expected targets below symbols");
  }
  const auto count = static_cast<std::int64_t>(candidates.offsets.size()) - 1;
  const auto work = count * static_cast<std::int64_t>(queries.start.size()) * 16;
  parallel_for(count, thread_count(threads, work), [&](std::int64_t begin, std::int64_t end) {
    if (begin == end) return;
    Counter counter(queries, alpha);
    for (std::int64_t c = begin; c < end; ++c) {
      out[c] = counter.count(lookups, candidates, static_cast<std::size_t>(c), most_bits,
                             most_conflicts);
    }
  });
}

}  // namespace arithtf::search
