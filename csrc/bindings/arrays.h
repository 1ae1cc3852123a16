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

// An array that is not cleared and whose memory goes back to the pool with it.
template <typename T>
py::array_t<T> pooled(std::vector<int64_t> shape) {
  std::size_t size = sizeof(T);
  for (const int64_t extent : shape) {
    if (extent < 0 || __builtin_mul_overflow(size, static_cast<std::size_t>(extent), &size)) throw std::bad_alloc();
  }
  auto block = std::make_unique<Pool::Block>(Pool::instance().take(size));
  const py::capsule owner(block.get(), [](void* given) {
    const std::unique_ptr<Pool::Block> back(static_cast<Pool::Block*>(given));
    Pool::instance().give(*back);
  });
  return py::array_t<T>(std::move(shape), static_cast<const T*>(block.release()->memory), owner);
}

template <typename T>
std::vector<T> values(const py::array_t<T, py::array::c_style>& array) {
  return {array.data(), array.data() + array.size()};
}

}  // namespace arithtf::bindings
