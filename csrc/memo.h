// Greedy decoding by looking predictions up.
//
// A windowed layer's prediction is a function of the local context, so a table of contexts and next
// tokens decodes exactly like the model it was asked of, without running it: token for token the
// sequential greedy result. A context that is not in the table stops its instance, which goes on
// from there once the context has been inserted.
#pragma once

#include <cstdint>
#include <mutex>
#include <shared_mutex>
#include <span>
#include <vector>

#include "contexts.h"

namespace arithtf::contexts {

// Next tokens of contexts. Readers and writers may be on different threads.
class ContextTable {
 public:
  ContextTable(std::vector<Window> windows, int64_t sinks);

  // Throws std::invalid_argument if the context is there with another next token.
  void insert(std::span<const uint64_t> words, uint8_t next);
  int64_t size() const;
  const std::vector<Window>& windows() const { return windows_; }
  int64_t sinks() const { return sinks_; }

 private:
  friend class MemoDecoder;
  // The token after a context, or -1. The caller holds the mutex.
  int32_t next(std::span<const uint64_t> words) const {
    const int64_t index = pool_.find(words);
    return index < 0 ? -1 : next_[static_cast<size_t>(index)];
  }

  std::vector<Window> windows_;
  int64_t sinks_;
  mutable std::shared_mutex mutex_;
  ContextPool pool_;
  std::vector<uint8_t> next_;
  std::vector<uint8_t> sink_tokens_;  // of the first batch decoded: part of no context, so fixed
};

// Contexts that stopped a run: unique, with the first instance that waits and how many wait.
struct Missing {
  ContextPool pool;
  std::vector<Occurrence> occurrences;  // target is kIgnore
};

// Decodes one batch. The keys of every instance are sorted once; a run continues where the last one
// stopped, so all runs together are linear in tokens.
class MemoDecoder {
 public:
  // `tokens` is view.tokens, to be written from column start + 1 on; key ids are given for the answer's
  // columns too, and a key is visible from the moment it is written. All memory stays the caller's.
  MemoDecoder(ContextTable& table, const BatchView& view, uint8_t* tokens, int64_t start, uint8_t eos,
              int64_t threads);

  Missing run(int64_t threads);
  // Per instance: EOS was written or the last column was.
  const std::vector<uint8_t>& finished() const { return finished_; }
  const std::vector<int64_t>& columns() const { return column_; }  // last column that is written
  int64_t rows() const { return view_.rows; }

 private:
  void check_sinks(int64_t start);
  void decode_row(int64_t row, Words& words, Missing& missing);

  ContextTable& table_;
  BatchView view_;
  uint8_t* tokens_;
  uint8_t eos_;
  std::mutex mutex_;
  std::vector<std::vector<KeyIndex>> indices_;  // [rows or 1][levels]
  std::vector<int64_t> column_;
  std::vector<uint8_t> finished_;
};

}  // namespace arithtf::contexts
