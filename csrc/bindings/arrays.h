// Arrays between Python and the core.
#pragma once

#include <pybind11/numpy.h>
#include <pybind11/stl.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "bindings/checks.h"
#include "pool.h"

namespace arithtf::bindings {

// Two arrays of one shape that are not cleared and whose memory goes back to the pool with them.
template <typename T>
std::pair<py::array_t<T>, py::array_t<T>> pooled_pair(const std::vector<int64_t>& shape) {
  const std::size_t size = bytes_of(shape, sizeof(T), 2);
  const std::size_t second = (size + Pool::line - 1) / Pool::line * Pool::line;
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
std::vector<T> values(const Array<T>& array) {
  return {array.data(), array.data() + array.size()};
}

}  // namespace arithtf::bindings
