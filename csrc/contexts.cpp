#include "contexts.h"

#include <algorithm>
#include <array>
#include <stdexcept>
#include <string>

namespace arithtf::contexts {

void check_windows(const std::vector<Window>& windows) {
  if (windows.empty() || windows.size() > static_cast<size_t>(kMaxLevels)) {
    throw std::invalid_argument("expected 1 to 16 windows (one per level), got " +
                                std::to_string(windows.size()));
  }
  for (size_t l = 0; l < windows.size(); ++l) {
    const auto [back, ahead] = windows[l];
    const bool fits = back <= INT32_MAX && back >= -int64_t{INT32_MAX} && ahead <= INT32_MAX &&
                      ahead >= -int64_t{INT32_MAX};
    if (!fits || -back > ahead) {
      throw std::invalid_argument("level " + std::to_string(l) + ": window (" +
                                  std::to_string(back) + ", " + std::to_string(ahead) +
                                  ") is empty or outside int32; give (back, ahead) with -back <= ahead");
    }
  }
}

void KeyIndex::build(const int32_t* ids, int64_t columns, int64_t first) {
  if (columns > INT32_MAX - 1) throw std::invalid_argument("expected fewer than 2^31 - 1 columns");
  int64_t keys = 0;
  lowest_ = INT64_MAX;
  highest_ = INT64_MIN;
  for (int64_t c = first; c < columns; ++c) {
    if (ids[c] == kNoId) continue;
    ++keys;
    lowest_ = std::min<int64_t>(lowest_, ids[c]);
    highest_ = std::max<int64_t>(highest_, ids[c]);
  }
  order_.resize(static_cast<size_t>(keys));
  ids_.clear();
  if (keys == 0) {
    lowest_ = 0;
    highest_ = -1;
    return;
  }
  // A table over the range of ids costs no more than the keys themselves; otherwise sort.
  dense_ = highest_ - lowest_ < 4 * keys + 64;
  if (dense_) {
    build_dense(ids, columns, first);
  } else {
    build_sparse(ids, columns, first, keys);
  }
}

void KeyIndex::build_dense(const int32_t* ids, int64_t columns, int64_t first) {
  const auto range = static_cast<size_t>(highest_ - lowest_ + 1);
  // starts_[k + 2] counts bucket k first, so that after the scatter starts_[k] is its beginning.
  starts_.assign(range + 2, 0);
  for (int64_t c = first; c < columns; ++c) {
    if (ids[c] != kNoId) ++starts_[static_cast<size_t>(ids[c] - lowest_) + 2];
  }
  for (size_t k = 2; k < range + 2; ++k) starts_[k] += starts_[k - 1];
  for (int64_t c = first; c < columns; ++c) {
    if (ids[c] == kNoId) continue;
    order_[static_cast<size_t>(starts_[static_cast<size_t>(ids[c] - lowest_) + 1]++)] =
        static_cast<int32_t>(c);
  }
}

void KeyIndex::build_sparse(const int32_t* ids, int64_t columns, int64_t first, int64_t keys) {
  std::vector<uint64_t> items;
  items.reserve(static_cast<size_t>(keys));
  for (int64_t c = first; c < columns; ++c) {
    if (ids[c] == kNoId) continue;
    const uint64_t biased = static_cast<uint32_t>(ids[c]) ^ 0x80000000u;
    items.push_back((biased << 32) | static_cast<uint64_t>(c));
  }
  std::vector<uint64_t> other(items.size());
  for (int shift = 32; shift < 64; shift += 8) {  // stable radix sort by id: columns stay ascending
    std::array<size_t, 257> count{};
    for (const uint64_t item : items) ++count[((item >> shift) & 255) + 1];
    for (size_t k = 1; k < count.size(); ++k) count[k] += count[k - 1];
    for (const uint64_t item : items) other[count[(item >> shift) & 255]++] = item;
    items.swap(other);
  }
  starts_.clear();
  for (size_t k = 0; k < items.size(); ++k) {
    order_[k] = static_cast<int32_t>(items[k] & 0xffffffffu);
    const auto id = static_cast<int32_t>(static_cast<uint32_t>(items[k] >> 32) ^ 0x80000000u);
    if (ids_.empty() || ids_.back() != id) {
      ids_.push_back(id);
      starts_.push_back(static_cast<int32_t>(k));
    }
  }
  starts_.push_back(static_cast<int32_t>(items.size()));
}

size_t KeyIndex::lower_bound(int64_t id) const {
  return static_cast<size_t>(std::lower_bound(ids_.begin(), ids_.end(), id) - ids_.begin());
}

void read_context(const uint8_t* tokens, const int32_t* query_ids, int64_t columns,
                  const KeyIndex* levels, const std::vector<Window>& windows, int64_t column,
                  Words& out) {
  out.clear();
  out.push_back(tokens[column]);
  for (size_t l = 0; l < windows.size(); ++l) {
    const int64_t query = query_ids[static_cast<int64_t>(l) * columns + column];
    if (query == kNoId) continue;
    levels[l].visit(query - windows[l].back, query + windows[l].ahead,
                    [&](int64_t id, const int32_t* first, const int32_t* last) {
                      const size_t begin = out.size();
                      const uint64_t base = pack_entry(static_cast<int64_t>(l), id - query, 0);
                      for (; first != last && *first <= column; ++first) {
                        out.push_back(base | tokens[*first]);
                      }
                      const size_t found = out.size() - begin;
                      if (found == 2) {
                        if (out[begin] > out[begin + 1]) std::swap(out[begin], out[begin + 1]);
                      } else if (found > 2) {
                        std::sort(out.begin() + static_cast<std::ptrdiff_t>(begin), out.end());
                      }
                    });
  }
}

uint64_t hash_words(std::span<const uint64_t> words) {
  uint64_t h = 0x243F6A8885A308D3ull + words.size();
  for (const uint64_t word : words) {
    h = (h ^ word) * 0x9E3779B97F4A7C15ull;
    h ^= h >> 29;
  }
  h *= 0xBF58476D1CE4E5B9ull;
  return h ^ (h >> 32);
}

ContextPool::ContextPool() : offsets_{0}, slots_(64, Slot{0, -1}) {}

size_t ContextPool::locate(std::span<const uint64_t> words, uint64_t hash) const {
  const size_t mask = slots_.size() - 1;
  size_t at = static_cast<size_t>(hash) & mask;
  for (; slots_[at].index >= 0; at = (at + 1) & mask) {
    if (slots_[at].hash != hash) continue;
    const auto stored = this->words(slots_[at].index);
    if (std::equal(stored.begin(), stored.end(), words.begin(), words.end())) break;
  }
  return at;
}

int64_t ContextPool::find(std::span<const uint64_t> words) const {
  return slots_[locate(words, hash_words(words))].index;
}

int64_t ContextPool::insert(std::span<const uint64_t> words) {
  const uint64_t hash = hash_words(words);
  size_t at = locate(words, hash);
  if (slots_[at].index >= 0) return slots_[at].index;
  if (2 * offsets_.size() > slots_.size()) {
    grow();
    at = locate(words, hash);
  }
  const int64_t index = size();
  words_.insert(words_.end(), words.begin(), words.end());
  offsets_.push_back(static_cast<int64_t>(words_.size()));
  slots_[at] = Slot{hash, index};
  return index;
}

void ContextPool::grow() {
  std::vector<Slot> old(slots_.size() * 2, Slot{0, -1});
  old.swap(slots_);
  const size_t mask = slots_.size() - 1;
  for (const Slot& slot : old) {
    if (slot.index < 0) continue;
    size_t at = static_cast<size_t>(slot.hash) & mask;
    while (slots_[at].index >= 0) at = (at + 1) & mask;
    slots_[at] = slot;
  }
}

ContextArrays unpack(const ContextPool& pool) {
  ContextArrays arrays;
  arrays.offsets.push_back(0);
  for (int64_t i = 0; i < pool.size(); ++i) {
    const auto words = pool.words(i);
    arrays.query_token.push_back(static_cast<uint8_t>(words[0]));
    for (const uint64_t word : words.subspan(1)) {
      arrays.level.push_back(entry_level(word));
      arrays.difference.push_back(entry_difference(word));
      arrays.token.push_back(static_cast<uint8_t>(word & 255));
    }
    arrays.offsets.push_back(static_cast<int64_t>(arrays.level.size()));
  }
  return arrays;
}

ContextCollector::ContextCollector(int64_t levels, std::vector<Window> windows, int64_t sinks)
    : windows_(std::move(windows)), sinks_(sinks) {
  check_windows(windows_);
  if (static_cast<int64_t>(windows_.size()) != levels) {
    throw std::invalid_argument("expected one window per level (" + std::to_string(levels) +
                                "), got " + std::to_string(windows_.size()));
  }
  if (sinks < 0) throw std::invalid_argument("expected sinks >= 0, got " + std::to_string(sinks));
  indices_.resize(windows_.size());
}

void ContextCollector::check_sinks(const uint8_t* tokens, int64_t column, int64_t instance) {
  // A sink is seen by every query but is no part of its context: that is sound only if the sinks
  // look the same to every query there is.
  if (column < sinks_ - 1) {
    throw std::invalid_argument("instance " + std::to_string(instance) + ": the query at column " +
                                std::to_string(column) + " does not see all " +
                                std::to_string(sinks_) + " sinks; use fewer sinks");
  }
  if (queries_ == 0) sink_tokens_.assign(tokens, tokens + sinks_);
  if (!std::equal(sink_tokens_.begin(), sink_tokens_.end(), tokens)) {
    throw std::invalid_argument("instance " + std::to_string(instance) +
                                ": the tokens of the sinks differ from those of earlier instances, "
                                "so a context would not decide a prediction; use fewer sinks");
  }
}

void ContextCollector::add_row(const BatchView& batch, int64_t row, const uint8_t* targets,
                               int64_t instance) {
  const uint8_t* tokens = batch.tokens + row * batch.columns;
  const int32_t* query_ids = batch.query_ids + row * batch.query_stride;
  if (row == 0 || batch.key_stride != 0) {
    for (size_t l = 0; l < windows_.size(); ++l) {
      const auto shift = row * batch.key_stride + static_cast<int64_t>(l) * batch.columns;
      indices_[l].build(batch.key_ids + shift, batch.columns, sinks_);
    }
  }
  bool first = true;
  for (int64_t column = 0; column < batch.columns; ++column) {
    const uint8_t target = targets[column];
    if (target == kIgnore) continue;
    if (first) check_sinks(tokens, column, instance);
    first = false;
    ++queries_;
    read_context(tokens, query_ids, batch.columns, indices_.data(), windows_, column, scratch_);
    const int64_t index = pool_.insert(scratch_);
    if (index == static_cast<int64_t>(occurrences_.size())) {
      occurrences_.push_back({instance, column, 1, target, false});
      continue;
    }
    Occurrence& seen = occurrences_[static_cast<size_t>(index)];
    ++seen.count;
    if (seen.target != target && !seen.conflicting) {
      seen.conflicting = true;
      conflicts_.push_back({seen.instance, seen.column, seen.target, instance, column, target});
    }
  }
}

void ContextCollector::add(const BatchView& batch, const uint8_t* targets, int64_t first_instance) {
  if (batch.columns == 0) return;
  const std::lock_guard<std::mutex> lock(mutex_);
  for (int64_t row = 0; row < batch.rows; ++row) {
    add_row(batch, row, targets + row * batch.columns, first_instance + row);
  }
}

int64_t ContextCollector::missing(const ContextCollector& other) const {
  int64_t count = 0;
  for (int64_t i = 0; i < other.pool_.size(); ++i) count += pool_.find(other.pool_.words(i)) < 0;
  return count;
}

}  // namespace arithtf::contexts
