#include "memo.h"

#include <algorithm>
#include <stdexcept>
#include <string>

#include "parallel.h"

namespace arithtf::contexts {

ContextTable::ContextTable(std::vector<Window> windows, int64_t sinks)
    : windows_(std::move(windows)), sinks_(sinks) {
  check_windows(windows_);
  if (sinks < 0) throw std::invalid_argument("expected sinks >= 0, got " + std::to_string(sinks));
}

void ContextTable::insert(std::span<const uint64_t> words, uint8_t next) {
  const std::unique_lock<std::shared_mutex> lock(mutex_);
  const auto index = static_cast<size_t>(pool_.insert(words));
  if (index == next_.size()) {
    next_.push_back(next);
  } else if (next_[index] != next) {
    throw std::invalid_argument("a context that is in the table with next token " +
                                std::to_string(next_[index]) + " was given again with " +
                                std::to_string(next) + "; use one table per model");
  }
}

int64_t ContextTable::size() const {
  const std::shared_lock<std::shared_mutex> lock(mutex_);
  return pool_.size();
}

MemoDecoder::MemoDecoder(ContextTable& table, const BatchView& view, uint8_t* tokens, int64_t start,
                         uint8_t eos, int64_t threads)
    : table_(table), view_(view), tokens_(tokens), eos_(eos) {
  if (start < 0 || start >= view.columns) {
    throw std::invalid_argument("expected start in 0.." + std::to_string(view.columns - 1) +
                                ", got " + std::to_string(start));
  }
  check_sinks(start);
  const auto rows = static_cast<size_t>(view.rows);
  column_.assign(rows, start);
  finished_.assign(rows, start == view.columns - 1);
  const int64_t built = view.key_stride == 0 ? std::min<int64_t>(view.rows, 1) : view.rows;
  indices_.resize(static_cast<size_t>(built));
  const int64_t work = built * view.levels * view.columns;
  parallel_for(built, thread_count(threads, work), [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      auto& levels = indices_[static_cast<size_t>(row)];
      levels.resize(static_cast<size_t>(view.levels));
      for (int64_t l = 0; l < view.levels; ++l) {
        levels[static_cast<size_t>(l)].build(
            view.key_ids + row * view.key_stride + l * view.columns, view.columns, table.sinks());
      }
    }
  });
}

void MemoDecoder::check_sinks(int64_t start) {
  const int64_t sinks = table_.sinks_;
  if (start < sinks - 1) {
    throw std::invalid_argument("the first query, column " + std::to_string(start) +
                                ", does not see all " + std::to_string(sinks) + " sinks");
  }
  const std::unique_lock<std::shared_mutex> lock(table_.mutex_);
  for (int64_t row = 0; row < view_.rows; ++row) {
    const uint8_t* tokens = tokens_ + row * view_.columns;
    auto& expected = table_.sink_tokens_;
    if (expected.empty()) expected.assign(tokens, tokens + sinks);
    if (!std::equal(expected.begin(), expected.end(), tokens)) {
      throw std::invalid_argument("instance " + std::to_string(row) +
                                  ": the tokens of the sinks differ from those of earlier instances, "
                                  "so a context would not decide a prediction; use fewer sinks");
    }
  }
}

void MemoDecoder::decode_row(int64_t row, Words& words, Missing& missing) {
  const auto r = static_cast<size_t>(row);
  uint8_t* tokens = tokens_ + row * view_.columns;
  const int32_t* query_ids = view_.query_ids + row * view_.query_stride;
  const KeyIndex* levels = indices_[view_.key_stride == 0 ? 0 : r].data();
  int64_t column = column_[r];
  while (!finished_[r]) {
    read_context(tokens, query_ids, view_.columns, levels, table_.windows_, column, words);
    const int32_t next = table_.next(words);
    if (next < 0) {
      const auto index = static_cast<size_t>(missing.pool.insert(words));
      if (index == missing.occurrences.size()) {
        missing.occurrences.push_back({row, column, 0, kIgnore, false});
      }
      ++missing.occurrences[index].count;
      break;
    }
    tokens[++column] = static_cast<uint8_t>(next);
    finished_[r] = next == eos_ || column == view_.columns - 1;
  }
  column_[r] = column;
}

Missing MemoDecoder::run(int64_t threads) {
  const std::lock_guard<std::mutex> alone(mutex_);
  const std::shared_lock<std::shared_mutex> reading(table_.mutex_);
  int64_t work = 0;
  for (size_t r = 0; r < finished_.size(); ++r) {
    if (!finished_[r]) work += view_.columns - column_[r];
  }
  const int64_t parts =
      std::clamp<int64_t>(thread_count(threads, work), 1, std::max<int64_t>(view_.rows, 1));
  std::vector<Missing> found(static_cast<size_t>(parts));
  parallel_parts(view_.rows, parts, [&](int64_t part, int64_t begin, int64_t end) {
    Words words;
    for (int64_t row = begin; row < end; ++row) {
      decode_row(row, words, found[static_cast<size_t>(part)]);
    }
  });
  Missing all = std::move(found[0]);
  for (size_t part = 1; part < found.size(); ++part) {
    for (int64_t i = 0; i < found[part].pool.size(); ++i) {
      const Occurrence& seen = found[part].occurrences[static_cast<size_t>(i)];
      const auto index = static_cast<size_t>(all.pool.insert(found[part].pool.words(i)));
      if (index == all.occurrences.size()) {
        all.occurrences.push_back(seen);
      } else {
        all.occurrences[index].count += seen.count;
      }
    }
  }
  return all;
}

}  // namespace arithtf::contexts
