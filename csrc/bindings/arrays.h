// Arrays between Python and the core.
#pragma once

#include <pybind11/numpy.h>
#include <pybind11/stl.h>

#include <algorithm>
#include <limits>
#include <memory>
#include <new>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "pool.h"

namespace arithtf::bindings {

namespace py = pybind11;

using std::int64_t;
using Bytes = py::array_t<std::uint8_t, py::array::c_style>;
using Longs = py::array_t<int64_t, py::array::c_style>;

// Two arrays of one shape that are not cleared and whose memory goes back to the pool with them.
template <typename T>
std::pair<py::array_t<T>, py::array_t<T>> pooled_pair(const std::vector<int64_t>& shape) {
  std::size_t size = sizeof(T);
  for (const int64_t extent : shape) {
    if (extent < 0 || __builtin_mul_overflow(size, static_cast<std::size_t>(extent), &size)) throw std::bad_alloc();
  }
  const std::size_t second = (size + Pool::line - 1) / Pool::line * Pool::line;
  if (second < size || second > std::numeric_limits<std::size_t>::max() / 2) throw std::bad_alloc();
  auto block = std::make_unique<Pool::Block>(Pool::instance().take(second + size));
  const py::capsule owner(block.get(), [](void* given) {
    const std::unique_ptr<Pool::Block> back(static_cast<Pool::Block*>(given));
    Pool::instance().give(*back);
  });
  const auto* memory = static_cast<const std::uint8_t*>(block.release()->memory);
  return {py::array_t<T>(shape, reinterpret_cast<const T*>(memory), owner),
          py::array_t<T>(shape, reinterpret_cast<const T*>(memory + second), owner)};
}

template <typename T>
std::vector<T> values(const py::array_t<T, py::array::c_style>& array) {
  return {array.data(), array.data() + array.size()};
}

}  // namespace arithtf::bindings
