// Philox4x64-10 (Salmon et al., SC 2011): random words by address, so any sample can be drawn alone.
// Bit-exact with numpy.random.Philox, which increments its counter before the first block.
#pragma once

#include <array>
#include <cstdint>

namespace arithtf {

using Words = std::array<std::uint64_t, 4>;
using Wide = unsigned __int128;

inline std::uint64_t high_product(std::uint64_t a, std::uint64_t b) {
  return static_cast<std::uint64_t>((static_cast<Wide>(a) * b) >> 64);
}

inline Words philox4x64(Words counter, std::uint64_t key0, std::uint64_t key1) {
  constexpr std::uint64_t multiplier0 = 0xD2E7470EE14C6C93u, multiplier1 = 0xCA5A826395121157u;
  constexpr std::uint64_t step0 = 0x9E3779B97F4A7C15u, step1 = 0xBB67AE8584CAA73Bu;
  for (int round = 0; round < 10; ++round) {
    const Wide product0 = static_cast<Wide>(multiplier0) * counter[0];
    const Wide product1 = static_cast<Wide>(multiplier1) * counter[2];
    counter = {static_cast<std::uint64_t>(product1 >> 64) ^ counter[1] ^ key0,
               static_cast<std::uint64_t>(product1),
               static_cast<std::uint64_t>(product0 >> 64) ^ counter[3] ^ key1,
               static_cast<std::uint64_t>(product0)};
    key0 += step0;
    key1 += step1;
  }
  return counter;
}

// The word stream of one address: the words numpy.random.Philox(key=[seed, stream],
// counter=[0, sample, step, channel]).random_raw() gives.
class WordStream {
 public:
  WordStream(std::uint64_t seed, std::uint64_t stream, std::uint64_t step, std::uint64_t sample,
             std::uint64_t channel = 0)
      : seed_(seed), stream_(stream), step_(step), sample_(sample), channel_(channel) {}

  std::uint64_t next() {
    if (used_ == 4) {
      words_ = philox4x64({++block_, sample_, step_, channel_}, seed_, stream_);
      used_ = 0;
    }
    return words_[used_++];
  }

  // Uniform in [0, n) by multiply-shift; the relative bias is at most n / 2^64.
  std::uint64_t below(std::uint64_t n) { return high_product(next(), n); }

 private:
  std::uint64_t seed_, stream_, step_, sample_, channel_;
  std::uint64_t block_ = 0;
  Words words_{};
  unsigned used_ = 4;
};

}  // namespace arithtf
