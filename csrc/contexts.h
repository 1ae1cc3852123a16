// Local contexts: everything one prediction of a windowed attention layer can depend on.
//
// The context of the query at column t is the token at t and the sorted multiset of
// (level, key_id - query_id, token) over the keys it sees. A context is stored as 64-bit words:
// word 0 is the query token, every further word packs one entry so that sorting words sorts entries.
#pragma once

#include <cstdint>
#include <mutex>
#include <span>
#include <vector>

namespace arithtf::contexts {

inline constexpr int32_t kNoId = INT32_MIN;  // "no id on this level": matches nothing
inline constexpr uint8_t kIgnore = 255;      // target that is not predicted
inline constexpr int64_t kMaxLevels = 16;

using Words = std::vector<uint64_t>;

struct Window {
  int64_t back;   // visible iff -back <= key_id - query_id <= ahead
  int64_t ahead;
};

inline uint64_t pack_entry(int64_t level, int64_t difference, uint8_t token) {
  const auto biased = static_cast<uint32_t>(static_cast<int32_t>(difference)) ^ 0x80000000u;
  return (static_cast<uint64_t>(level) << 40) | (static_cast<uint64_t>(biased) << 8) | token;
}
inline int32_t entry_difference(uint64_t word) {
  return static_cast<int32_t>(static_cast<uint32_t>(word >> 8) ^ 0x80000000u);
}
inline uint8_t entry_level(uint64_t word) { return static_cast<uint8_t>(word >> 40); }

// Throws std::invalid_argument unless there are 1..16 windows, each inside int32 and not empty.
void check_windows(const std::vector<Window>& windows);

// A batch in caller-owned memory, C order. A row stride of 0 means that all instances share the ids.
struct BatchView {
  const uint8_t* tokens;
  const int32_t* query_ids;
  const int32_t* key_ids;
  int64_t rows, levels, columns;
  int64_t query_stride, key_stride;
};

// The keys of one instance on one level, sorted by (id, column).
class KeyIndex {
 public:
  // ids [columns]; columns before `first` (the sinks) and columns without an id are left out.
  void build(const int32_t* ids, int64_t columns, int64_t first);

  // Calls visit(id, first, last) with the key columns of every id in [low, high], ids ascending.
  template <class Visit>
  void visit(int64_t low, int64_t high, Visit&& visit_bucket) const {
    low = low < lowest_ ? lowest_ : low;
    high = high > highest_ ? highest_ : high;
    if (low > high) return;
    const int32_t* order = order_.data();
    if (dense_) {
      const int32_t* starts = starts_.data() + (low - lowest_);
      for (int64_t id = low; id <= high; ++id, ++starts) {
        if (starts[0] != starts[1]) visit_bucket(id, order + starts[0], order + starts[1]);
      }
      return;
    }
    for (size_t k = lower_bound(low); k < ids_.size() && ids_[k] <= high; ++k) {
      visit_bucket(int64_t{ids_[k]}, order + starts_[k], order + starts_[k + 1]);
    }
  }

 private:
  void build_dense(const int32_t* ids, int64_t columns, int64_t first);
  void build_sparse(const int32_t* ids, int64_t columns, int64_t first, int64_t keys);
  size_t lower_bound(int64_t id) const;

  std::vector<int32_t> order_;   // key columns
  std::vector<int32_t> starts_;  // bucket k is order_[starts_[k], starts_[k + 1])
  std::vector<int32_t> ids_;     // sparse only: id of bucket k; dense: bucket k has id lowest_ + k
  int64_t lowest_ = 0;
  int64_t highest_ = -1;
  bool dense_ = true;
};

// Writes the context of the query at `column` to `out`. `query_ids` is the instance's [levels, columns].
void read_context(const uint8_t* tokens, const int32_t* query_ids, int64_t columns,
                  const KeyIndex* levels, const std::vector<Window>& windows, int64_t column,
                  Words& out);

uint64_t hash_words(std::span<const uint64_t> words);

// A set of word sequences numbered in order of insertion. Equality is decided on all words, the hash
// only says where to look.
class ContextPool {
 public:
  ContextPool();
  int64_t size() const { return static_cast<int64_t>(offsets_.size()) - 1; }
  std::span<const uint64_t> words(int64_t index) const {
    const auto i = static_cast<size_t>(index);
    return {words_.data() + offsets_[i], static_cast<size_t>(offsets_[i + 1] - offsets_[i])};
  }
  int64_t find(std::span<const uint64_t> words) const;    // index, or -1
  int64_t insert(std::span<const uint64_t> words);        // index; new iff it equals the old size()

 private:
  struct Slot {
    uint64_t hash;
    int64_t index;  // -1: free
  };
  size_t locate(std::span<const uint64_t> words, uint64_t hash) const;
  void grow();

  Words words_;
  std::vector<int64_t> offsets_;
  std::vector<Slot> slots_;
};

// Contexts as parallel arrays; entries of context i are [offsets[i], offsets[i + 1]).
struct ContextArrays {
  std::vector<uint8_t> query_token;
  std::vector<int64_t> offsets;
  std::vector<uint8_t> level;
  std::vector<int32_t> difference;
  std::vector<uint8_t> token;
};
ContextArrays unpack(const ContextPool& pool);

struct Conflict {
  int64_t instance, column;
  int32_t target;
  int64_t other_instance, other_column;
  int32_t other_target;
};

// What is known of a unique context beyond its words.
struct Occurrence {
  int64_t instance, column, count;  // first occurrence, number of occurrences
  uint8_t target;                   // of the first occurrence
  bool conflicting;
};

// Streams batches and keeps the unique contexts, with where each occurred first and how often.
class ContextCollector {
 public:
  ContextCollector(int64_t levels, std::vector<Window> windows, int64_t sinks);

  // targets [rows, columns]; columns with target kIgnore are no queries. Linear in tokens and entries.
  void add(const BatchView& batch, const uint8_t* targets, int64_t first_instance);

  int64_t levels() const { return static_cast<int64_t>(windows_.size()); }
  const ContextPool& pool() const { return pool_; }
  const std::vector<Occurrence>& occurrences() const { return occurrences_; }
  // One per context that has two targets: its first occurrence and the first that contradicts it.
  const std::vector<Conflict>& conflicts() const { return conflicts_; }
  int64_t queries() const { return queries_; }
  // Contexts of `other` that this collector has not seen.
  int64_t missing(const ContextCollector& other) const;

 private:
  void add_row(const BatchView& batch, int64_t row, const uint8_t* targets, int64_t instance);
  void check_sinks(const uint8_t* tokens, int64_t column, int64_t instance);

  std::vector<Window> windows_;
  int64_t sinks_;
  std::mutex mutex_;  // add() runs without Python's lock
  ContextPool pool_;
  std::vector<Occurrence> occurrences_;
  std::vector<Conflict> conflicts_;
  std::vector<uint8_t> sink_tokens_;
  int64_t queries_ = 0;
  std::vector<KeyIndex> indices_;  // scratch, reused from row to row
  Words scratch_;
};

}  // namespace arithtf::contexts
