// Deterministic parallel loops: a fixed partition into contiguous ranges, one thread each. Threads live
// only as long as the call, so a forked worker process never inherits a pool without its threads.
#pragma once

#include <algorithm>
#include <cstdint>
#include <exception>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

namespace arithtf {

inline constexpr std::int64_t most_threads = 1024;

inline void check_threads(std::int64_t asked) {
  if (asked < 0 || asked > most_threads) {
    throw std::invalid_argument("threads must be in 0.." + std::to_string(most_threads) +
                                " (0 chooses by size), got " + std::to_string(asked));
  }
}

// How many threads to use: `asked`, or for 0 one per core and at most one per `work_per_thread` of work.
inline std::int64_t thread_count(std::int64_t asked, std::int64_t work,
                                 std::int64_t work_per_thread = 1 << 18) {
  check_threads(asked);
  if (asked > 0) return asked;
  const auto cores = std::max<std::int64_t>(1, std::thread::hardware_concurrency());
  return std::clamp<std::int64_t>(work / work_per_thread, 1, cores);
}

// Calls body(part, begin, end) for `parts` contiguous ranges of [0, n). An exception in any part is
// rethrown here after all parts ended; of several, that of the lowest part.
template <typename Body>
void parallel_parts(std::int64_t n, std::int64_t parts, const Body& body) {
  parts = std::clamp<std::int64_t>(parts, 1, std::max<std::int64_t>(n, 1));
  const auto bound = [n, parts](std::int64_t part) {
    return n / parts * part + std::min(part, n % parts);
  };
  if (parts == 1) {
    body(std::int64_t{0}, std::int64_t{0}, n);
    return;
  }
  std::vector<std::exception_ptr> errors(static_cast<std::size_t>(parts));
  const auto guarded = [&](std::int64_t part) noexcept {
    try {
      body(part, bound(part), bound(part + 1));
    } catch (...) {
      errors[static_cast<std::size_t>(part)] = std::current_exception();
    }
  };
  std::vector<std::thread> workers;
  workers.reserve(static_cast<std::size_t>(parts - 1));
  std::int64_t launched = 1;
  try {
    for (; launched < parts; ++launched) workers.emplace_back(guarded, launched);
  } catch (const std::system_error&) {
    // The system has no thread left: the parts not started run below, on the calling thread.
  }
  guarded(0);
  for (std::int64_t part = launched; part < parts; ++part) guarded(part);
  for (auto& worker : workers) worker.join();
  for (const auto& error : errors) {
    if (error) std::rethrow_exception(error);
  }
}

// Calls body(begin, end) for contiguous ranges of [0, n) on `threads` threads.
template <typename Body>
void parallel_for(std::int64_t n, std::int64_t threads, const Body& body) {
  parallel_parts(n, threads, [&](std::int64_t, std::int64_t begin, std::int64_t end) {
    body(begin, end);
  });
}

}  // namespace arithtf
