#include "attention.h"

#include <algorithm>
#include <atomic>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <stdexcept>
#include <string>

#include "parallel.h"

namespace arithtf::attention {

namespace {

using std::int32_t;
using std::int64_t;

constexpr int64_t kPad = 16;  // the weights' buffer has room up to a multiple of this

// One query of one head: what the inner loops need.
struct Row {
  const float* query;  // scaled
  const float* keys;   // of this batch entry and head
  const float* values;
  int64_t key_stride, value_stride;
  const int32_t* columns;      // visible key columns, sinks first
  const int32_t* differences;  // index into bias per visible key
  int64_t visible, sinks;
  const float* bias;  // of this head, or null
  float* weights;     // scratch for one number per visible key
  float* out;
};

namespace baseline {
#include "attention_row.inc"
}

#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__)
#define ARITHTF_X86_BUILDS 1
#pragma GCC push_options
#pragma GCC target("avx2")
namespace avx2 {
#include "attention_row.inc"
}
#pragma GCC pop_options
#pragma GCC push_options
#pragma GCC target("avx512f,avx512dq,avx512vl,avx512bw")
namespace avx512 {
#include "attention_row.inc"
}
#pragma GCC pop_options
#endif

struct Build {
  const char* name;
  void (*attend)(const Row&, int64_t);
  void (*exp_all)(float*, int64_t);
};

std::vector<Build> available() {
  std::vector<Build> found;
#ifdef ARITHTF_X86_BUILDS
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
      __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512bw")) {
    found.push_back({"avx512", avx512::attend, avx512::exp_all});
  }
  if (__builtin_cpu_supports("avx2")) found.push_back({"avx2", avx2::attend, avx2::exp_all});
#endif
  found.push_back({"baseline", baseline::attend, baseline::exp_all});
  return found;
}

const std::vector<Build>& all_builds() {
  static const std::vector<Build> found = available();
  return found;
}

std::atomic<std::size_t> chosen{0};

const Build& build() { return all_builds()[chosen.load(std::memory_order_relaxed)]; }

// The keys of one level in columns [first, last), ordered by (id, column); keys without id left out.
class Index {
 public:
  void assign(const int32_t* ids, int64_t first, int64_t last) {
    int64_t count = 0;
    int32_t low = INT32_MAX, high = INT32_MIN;
    for (int64_t c = first; c < last; ++c) {
      if (ids[c] == kNoId) continue;
      ++count;
      low = std::min(low, ids[c]);
      high = std::max(high, ids[c]);
    }
    columns_.resize(static_cast<std::size_t>(count));
    ids_.resize(static_cast<std::size_t>(count));
    low_ = low;
    span_ = count ? int64_t{high} - low + 1 : 0;
    dense_ = span_ <= 4 * count + 64;
    if (dense_) {
      count_by_id(ids, first, last);
    } else {
      radix_sort(ids, first, last);
    }
  }

  // Number of keys whose id is below `id`.
  int64_t below(int64_t id) const {
    if (dense_) return starts_[static_cast<std::size_t>(std::clamp<int64_t>(id - low_, 0, span_))];
    if (id > INT32_MAX) return static_cast<int64_t>(ids_.size());
    if (id < INT32_MIN) return 0;
    return std::lower_bound(ids_.begin(), ids_.end(), static_cast<int32_t>(id)) - ids_.begin();
  }
  int32_t column(int64_t place) const { return columns_[static_cast<std::size_t>(place)]; }
  int32_t id(int64_t place) const { return ids_[static_cast<std::size_t>(place)]; }

 private:
  void count_by_id(const int32_t* ids, int64_t first, int64_t last) {
    starts_.assign(static_cast<std::size_t>(span_) + 2, 0);
    // Shifted by two: after the second loop starts_[i] is where id low_ + i begins.
    for (int64_t c = first; c < last; ++c) {
      if (ids[c] != kNoId) ++starts_[slot(ids[c]) + 2];
    }
    for (std::size_t i = 2; i < starts_.size(); ++i) starts_[i] += starts_[i - 1];
    for (int64_t c = first; c < last; ++c) {
      if (ids[c] == kNoId) continue;
      const auto place = static_cast<std::size_t>(starts_[slot(ids[c]) + 1]++);
      columns_[place] = static_cast<int32_t>(c);
      ids_[place] = ids[c];
    }
  }

  void radix_sort(const int32_t* ids, int64_t first, int64_t last) {
    std::size_t n = 0;
    for (int64_t c = first; c < last; ++c) {
      if (ids[c] == kNoId) continue;
      ids_[n] = ids[c];
      columns_[n++] = static_cast<int32_t>(c);
    }
    if (std::is_sorted(ids_.begin(), ids_.end())) return;
    spare_ids_.resize(n);
    spare_columns_.resize(n);
    constexpr unsigned kBits = 11;
    for (unsigned shift = 0; shift < 32; shift += kBits) {
      // Flipping the sign bit orders negative ids before the others.
      const auto digit = [shift](int32_t id) {
        return ((static_cast<std::uint32_t>(id) ^ 0x80000000u) >> shift) & ((1u << kBits) - 1);
      };
      std::vector<std::size_t> begin((std::size_t{1} << kBits) + 1, 0);
      for (std::size_t i = 0; i < n; ++i) ++begin[digit(ids_[i]) + 1];
      for (std::size_t i = 1; i < begin.size(); ++i) begin[i] += begin[i - 1];
      for (std::size_t i = 0; i < n; ++i) {
        const std::size_t place = begin[digit(ids_[i])]++;
        spare_ids_[place] = ids_[i];
        spare_columns_[place] = columns_[i];
      }
      ids_.swap(spare_ids_);
      columns_.swap(spare_columns_);
    }
  }

  std::size_t slot(int32_t id) const { return static_cast<std::size_t>(int64_t{id} - low_); }

  std::vector<int32_t> ids_, columns_, starts_, spare_ids_, spare_columns_;
  int64_t low_ = 0, span_ = 0;
  bool dense_ = true;
};

// One document of one batch entry: key columns [first, last) and its queries.
struct Segment {
  int64_t batch, first, last, query_begin, query_end;
};

std::vector<Segment> segments(const Problem& p) {
  std::vector<Segment> found;
  for (int64_t b = 0; b < p.batch; ++b) {
    const int32_t* document = p.documents.data ? p.documents.at(b, 0) : nullptr;
    for (int64_t first = 0, last; first < p.keys; first = last) {
      last = first + 1;
      if (document == nullptr) last = p.keys;
      while (last < p.keys && document[last] == document[first]) ++last;
      const int64_t begin = std::max(first - p.query_start, int64_t{0});
      const int64_t end = std::min(last - p.query_start, p.queries);
      if (begin < end) found.push_back({b, first, last, begin, end});
    }
  }
  return found;
}

// Buffers of one thread.
struct Scratch {
  std::vector<int32_t> columns, differences;
  std::vector<float> weights, query;
};

class Runner {
 public:
  explicit Runner(const Problem& p) : p_(p), attend_(build().attend), heads_(p.windows.size()) {
    for (int64_t h = 0; h < p.heads; ++h) {
      heads_[static_cast<std::size_t>(p.head_levels[static_cast<std::size_t>(h)])].push_back(h);
    }
  }

  std::size_t levels() const { return heads_.size(); }

  void index_level(const Segment& s, std::size_t level, Index& index) const {
    if (heads_[level].empty()) return;
    const int64_t first = std::min(s.first + p_.sinks, s.last);
    index.assign(p_.key_ids.at(s.batch, static_cast<int64_t>(level)), first, s.last);
  }

  void queries(const Segment& s, const std::vector<Index>& index, int64_t begin, int64_t end,
               Scratch& scratch) const {
    for (int64_t i = begin; i < end; ++i) {
      for (std::size_t level = 0; level < heads_.size(); ++level) {
        if (heads_[level].empty()) continue;
        const int64_t sinks = look(s, index[level], level, i, scratch);
        for (const int64_t h : heads_[level]) head(s, h, i, sinks, scratch);
      }
    }
  }

 private:
  // Fills the visible columns of query i; returns how many of them are sinks.
  int64_t look(const Segment& s, const Index& index, std::size_t level, int64_t i,
               Scratch& scratch) const {
    int64_t limit = s.last - 1;
    if (p_.causal) {
      const int64_t before = p_.prefix ? int64_t{p_.prefix[s.batch]} : 0;
      limit = std::min(limit, std::max(p_.query_start + i, before - 1));
    }
    auto& columns = scratch.columns;
    auto& differences = scratch.differences;
    columns.clear();
    differences.clear();
    const int64_t sink_end = std::min(s.first + p_.sinks, limit + 1);
    for (int64_t c = s.first; c < sink_end; ++c) columns.push_back(static_cast<int32_t>(c));
    differences.resize(columns.size(), 0);
    const auto sinks = static_cast<int64_t>(columns.size());
    const int64_t id = p_.query_ids.at(s.batch, static_cast<int64_t>(level))[i];
    if (id == kNoId) return sinks;
    const auto [back, ahead] = p_.windows[level];
    const int64_t stop = index.below(id + ahead + 1);
    for (int64_t place = index.below(id - back); place < stop; ++place) {
      const int32_t column = index.column(place);
      if (column > limit) continue;
      columns.push_back(column);
      const int64_t difference = std::clamp(index.id(place) - id, -p_.reach, p_.reach);
      differences.push_back(static_cast<int32_t>(difference + p_.reach));
    }
    return sinks;
  }

  void head(const Segment& s, int64_t h, int64_t i, int64_t sinks, Scratch& scratch) const {
    const auto visible = static_cast<int64_t>(scratch.columns.size());
    float* out = p_.out.at(s.batch, h, i);
    if (visible == 0) {
      std::fill_n(out, p_.dim, 0.0f);
      return;
    }
    float scale = p_.scale[h];
    if (p_.log_scale) scale *= static_cast<float>(std::log(static_cast<double>(visible)));
    const float* query = p_.query.at(s.batch, h, i);
    scratch.query.resize(static_cast<std::size_t>(p_.dim));
    for (int64_t d = 0; d < p_.dim; ++d) scratch.query[static_cast<std::size_t>(d)] = query[d] * scale;
    if (scratch.weights.size() < scratch.columns.size() + kPad) {
      scratch.weights.resize(scratch.columns.size() + kPad);
    }
    const Row row{scratch.query.data(),
                  p_.key.at(s.batch, h, 0),
                  p_.value.at(s.batch, h, 0),
                  p_.key.column,
                  p_.value.column,
                  scratch.columns.data(),
                  scratch.differences.data(),
                  visible,
                  sinks,
                  p_.bias ? p_.bias + h * (2 * p_.reach + 1) : nullptr,
                  scratch.weights.data(),
                  out};
    attend_(row, p_.dim);
  }

  const Problem& p_;
  void (*attend_)(const Row&, int64_t);
  std::vector<std::vector<int64_t>> heads_;  // per level, the heads that read it
};

}  // namespace

void Problem::check() const {
  const auto require = [](bool good, const char* what) {
    if (!good) throw std::invalid_argument(what);
  };
  require(batch >= 0 && heads >= 1 && queries >= 0 && dim >= 1, "attention: sizes must be positive");
  require(keys <= INT32_MAX, "attention: expected fewer than 2^31 keys; split the sequence");
  require(queries <= keys && query_start >= 0 && query_start <= keys - queries,
          "attention: expected queries within the key columns; check query_start");
  require(static_cast<int64_t>(head_levels.size()) == heads, "attention: expected a level per head");
  for (const int64_t level : head_levels) {
    require(level >= 0 && level < static_cast<int64_t>(windows.size()),
            "attention: expected head levels below the number of windows");
  }
  for (const auto& [back, ahead] : windows) {
    require(back >= 0 && ahead >= 0 && std::max(back, ahead) <= INT32_MAX,
            "attention: expected windows (back, ahead) of at least 0");
  }
  require(reach >= 0 && sinks >= 0, "attention: expected reach and sinks of at least 0");
}

void windowed(const Problem& problem, int64_t threads) {
  problem.check();
  if (problem.batch == 0 || problem.queries == 0) return;
  const Runner runner(problem);
  const std::vector<Segment> parts = segments(problem);
  // A thread costs more to start than a few thousand rows cost to compute.
  constexpr int64_t kRowsPerThread = 4096;
  const int64_t rows = problem.batch * problem.queries * problem.heads;
  threads = std::clamp<int64_t>(rows / kRowsPerThread, 1, std::max<int64_t>(threads, 1));
  if (static_cast<int64_t>(parts.size()) >= threads) {
    parallel_for(static_cast<int64_t>(parts.size()), threads, [&](int64_t begin, int64_t end) {
      std::vector<Index> index(runner.levels());
      Scratch scratch;
      for (int64_t k = begin; k < end; ++k) {
        const Segment& s = parts[static_cast<std::size_t>(k)];
        for (std::size_t l = 0; l < index.size(); ++l) runner.index_level(s, l, index[l]);
        runner.queries(s, index, s.query_begin, s.query_end, scratch);
      }
    });
    return;
  }
  std::vector<Index> index(runner.levels());
  for (const Segment& s : parts) {
    parallel_for(static_cast<int64_t>(index.size()), threads, [&](int64_t begin, int64_t end) {
      for (auto l = static_cast<std::size_t>(begin); l < static_cast<std::size_t>(end); ++l) {
        runner.index_level(s, l, index[l]);
      }
    });
    parallel_for(s.query_end - s.query_begin, threads, [&](int64_t begin, int64_t end) {
      Scratch scratch;
      runner.queries(s, index, s.query_begin + begin, s.query_begin + end, scratch);
    });
  }
}

void exp_nonpositive(float* values, int64_t count) { build().exp_all(values, count); }

std::vector<const char*> builds() {
  std::vector<const char*> names;
  for (const Build& b : all_builds()) names.push_back(b.name);
  return names;
}

void use_build(const std::string& name) {
  for (std::size_t i = 0; i < all_builds().size(); ++i) {
    if (name == all_builds()[i].name) {
      chosen.store(i, std::memory_order_relaxed);
      return;
    }
  }
  std::string known;
  for (const char* build : builds()) known += (known.empty() ? "" : ", ") + std::string(build);
  throw std::invalid_argument("attention: this processor cannot run the build asked for; expected one of " + known);
}

}  // namespace arithtf::attention
