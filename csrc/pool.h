// Memory for batches, used again. A training loop frees a batch and asks for the next of the same size;
// fresh pages from the system would cost as much time as filling them.
#pragma once

#include <cstddef>
#include <mutex>
#include <new>
#include <vector>

namespace arithtf {

class Pool {
 public:
  static constexpr std::size_t line = 64;  // bytes of a cache line

  // Never destroyed, because arrays may outlive every other static object.
  static Pool& instance() {
    static Pool* pool = new Pool;
    return *pool;
  }

  struct Block {
    void* memory;
    std::size_t size;
  };

  // A block of at least `size` bytes and at most twice that, aligned to cache lines, not cleared.
  Block take(std::size_t size) {
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      for (auto block = free_.begin(); block != free_.end(); ++block) {
        if (block->size >= size && block->size / 2 <= size) {
          const Block taken = *block;
          free_.erase(block);
          kept_ -= taken.size;
          return taken;
        }
      }
    }
    return {::operator new(size, alignment), size};
  }

  void give(Block block) noexcept {
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      if (kept_ + block.size <= most_kept && free_.size() < most_blocks) {
        free_.push_back(block);
        kept_ += block.size;
        return;
      }
    }
    ::operator delete(block.memory, alignment);
  }

 private:
  static constexpr std::align_val_t alignment{line};
  static constexpr std::size_t most_kept = std::size_t{64} << 20;
  static constexpr std::size_t most_blocks = 64;

  Pool() { free_.reserve(most_blocks); }

  std::mutex mutex_;
  std::vector<Block> free_;
  std::size_t kept_ = 0;
};

}  // namespace arithtf
