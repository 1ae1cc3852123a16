// What callers hand over, checked before the core sees it. Every error says what was expected and what came.
#pragma once

#include <pybind11/numpy.h>
#include <pybind11/stl.h>

#if __has_include(<unistd.h>)
#include <unistd.h>
#endif

#include <algorithm>
#include <cstdint>
#include <limits>
#include <stdexcept>
#include <string>
#include <vector>

#include "parallel.h"

namespace arithtf::bindings {

namespace py = pybind11;

using std::int64_t;

// Arrays as the core reads them: C order, and every number at an address of its own size. Of others NumPy makes a copy.
template <typename T>
using Array = py::array_t<T, int{py::array::c_style} | int{py::detail::npy_api::NPY_ARRAY_ALIGNED_}>;
using Bytes = Array<std::uint8_t>;
using Ints = Array<std::int32_t>;
using Longs = Array<int64_t>;

inline constexpr int64_t most_cells = int64_t{1} << 32;         // of an array that the core makes
inline constexpr std::size_t most_items = std::size_t{1} << 24;  // of a list

[[noreturn]] inline void refuse(const std::string& expected, const std::string& got) {
  throw std::invalid_argument("expected " + expected + ", got " + got);
}

inline int64_t within(int64_t value, int64_t low, int64_t high, const char* name) {
  if (value < low || value > high) {
    refuse(std::string(name) + " in " + std::to_string(low) + ".." + std::to_string(high), std::to_string(value));
  }
  return value;
}

inline std::string shape_text(const int64_t* shape, std::size_t axes) {
  std::string text = "[";
  for (std::size_t i = 0; i < axes; ++i) text += (i ? ", " : "") + std::to_string(shape[i]);
  return text + "]";
}
inline std::string shape_text(const py::array& array) {
  const std::vector<int64_t> shape(array.shape(), array.shape() + array.ndim());
  return shape_text(shape.data(), shape.size());
}

// The items of a list. Their number is believed before they are read: range(2**40) is a list too.
template <typename T>
std::vector<T> list_of(const py::sequence& given, const char* name) {
  if (given.size() > most_items) {
    refuse("at most " + std::to_string(most_items) + " " + name, std::to_string(given.size()));
  }
  try {
    return given.cast<std::vector<T>>();
  } catch (const py::cast_error&) {
    const std::string text = std::string("expected a list of ") + name + ", got one with something else in it";
    throw py::type_error(text);
  }
}

// One axis and so many numbers; -1: any.
inline int64_t check_list(const py::array& array, int64_t size, const char* name) {
  if (array.ndim() != 1 || (size >= 0 && array.shape(0) != size)) {
    refuse(std::string(name) + (size < 0 ? " with one axis" : " of shape [" + std::to_string(size) + "]"),
           "shape " + shape_text(array));
  }
  return array.shape(0);
}

// Bytes of memory, at most those of this machine where the system tells.
inline std::size_t memory() {
#ifdef _SC_PHYS_PAGES
  const long pages = sysconf(_SC_PHYS_PAGES), page = sysconf(_SC_PAGE_SIZE);
  if (pages > 0 && page > 0) return static_cast<std::size_t>(pages) * static_cast<std::size_t>(page);
#endif
  return std::size_t{1} << 40;
}

// How many bytes so many arrays of a shape take. Sizes that no machine has memory for are a mistake of the caller, and
// the system would grant them until they are used.
inline std::size_t bytes_of(const std::vector<int64_t>& shape, std::size_t item, std::size_t arrays = 1) {
  static const std::size_t most = memory();
  int64_t cells = 1;
  bool fits = true;
  for (const int64_t extent : shape) fits = fits && extent >= 0 && !__builtin_mul_overflow(cells, extent, &cells);
  const std::size_t bytes = fits && cells <= most_cells ? static_cast<std::size_t>(cells) * item : most + 1;
  if (bytes > most / arrays) {
    const std::string text = "expected a size that this machine has memory for, " + std::to_string(most) +
                             " bytes, and at most " + std::to_string(most_cells) + " numbers, got an array of shape " +
                             shape_text(shape.data(), shape.size()) + "; ask for less at a time";
    py::set_error(PyExc_MemoryError, text.c_str());
    throw py::error_already_set();
  }
  return bytes;
}

// An array that is not cleared.
template <typename T>
Array<T> fresh(const std::vector<int64_t>& shape) {
  bytes_of(shape, sizeof(T));
  return Array<T>(shape);
}

struct Extent {
  std::uintptr_t begin, end;
};

// The addresses between an array's first byte and its last.
inline Extent extent(const py::array& array) {
  auto begin = reinterpret_cast<std::uintptr_t>(array.data());
  if (array.size() == 0) return {begin, begin};
  std::uintptr_t end = begin + static_cast<std::uintptr_t>(array.itemsize());
  for (py::ssize_t axis = 0; axis < array.ndim(); ++axis) {
    const auto reach = static_cast<std::uintptr_t>(array.strides(axis) * (array.shape(axis) - 1));
    (array.strides(axis) < 0 ? begin : end) += reach;
  }
  return {begin, end};
}

// What is written must not be what is read.
inline void check_apart(const py::array& written, const py::array& read, const char* name, const char* other) {
  const Extent a = extent(written), b = extent(read);
  if (a.begin < b.end && b.begin < a.end) {
    refuse(std::string(name) + " with memory of its own", std::string("memory that ") + other + " has too");
  }
}

}  // namespace arithtf::bindings
