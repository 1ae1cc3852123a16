// What the bindings of all tasks share: draws, operands and the arrays of a batch.
#pragma once

#include <pybind11/numpy.h>
#include <pybind11/stl.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "coupling.h"
#include "layout.h"
#include "pool.h"
#include "tasks/draw.h"

namespace arithtf::bindings {

namespace py = pybind11;

using std::int64_t;
using Bytes = py::array_t<std::uint8_t, py::array::c_style>;
using Longs = py::array_t<int64_t, py::array::c_style>;

inline Draw make_draw(const Shape& shape, std::uint64_t seed, const std::string& split, std::uint64_t step,
                         std::pair<int64_t, int64_t> lengths, const std::string& kind,
                         std::optional<std::pair<int64_t, int64_t>> chain) {
  Draw draw;
  draw.seed = seed;
  draw.step = step;
  draw.split = split_named(split);
  draw.kind = kind_named(kind);
  draw.low = lengths.first;
  draw.high = lengths.second;
  if (chain) std::tie(draw.chain_length, draw.chain_place) = *chain;
  draw.shape = shape;
  draw.check();
  return draw;
}

inline Operands make_operands(const Bytes& digits, const Longs& offsets, const Shape& shape) {
  const int64_t* at = offsets.data();
  const int64_t count = offsets.ndim() == 1 ? offsets.shape(0) : 0;
  if (digits.ndim() != 1 || count < 2 || (count - 1) % shape.arity != 0 || at[0] < 0 ||
      !std::is_sorted(at, at + count) || at[count - 1] > digits.shape(0)) {
    throw std::invalid_argument(
        "operands must be digits [N] and ascending offsets [arity * B + 1] within it, B >= 1");
  }
  const Operands operands{digits.data(), at, (count - 1) / shape.arity, shape.arity};
  py::gil_scoped_release release;
  operands.check(shape);
  return operands;
}

// An array that is not cleared and whose memory goes back to the pool with it.
template <typename T>
py::array_t<T> pooled(std::vector<int64_t> shape) {
  std::size_t size = sizeof(T);
  for (const int64_t extent : shape) {
    if (__builtin_mul_overflow(size, static_cast<std::size_t>(extent), &size)) throw std::bad_alloc();
  }
  auto block = std::make_unique<Pool::Block>(Pool::instance().take(size));
  const py::capsule owner(block.get(), [](void* given) {
    const std::unique_ptr<Pool::Block> back(static_cast<Pool::Block*>(given));
    Pool::instance().give(*back);
  });
  return py::array_t<T>(std::move(shape), static_cast<const T*>(block.release()->memory), owner);
}

struct Arrays {
  Bytes tokens, targets;
  py::array_t<std::int32_t> query, key;
  int64_t start;

  Arrays(const Grid& grid, const Coupling& coupling, int64_t segments)
      : tokens(pooled<std::uint8_t>({grid.instances, grid.columns})),
        targets(pooled<std::uint8_t>({grid.instances, grid.columns})),
        query(pooled<std::int32_t>(id_shape(grid, coupling))),
        key(pooled<std::int32_t>(id_shape(grid, coupling))),
        start(grid.start) {
    if (coupling.segments != segments) {
      throw std::invalid_argument("the task has " + std::to_string(segments) +
                                  " segments, the coupling tables are for " +
                                  std::to_string(coupling.segments));
    }
  }

  static std::vector<int64_t> id_shape(const Grid& grid, const Coupling& coupling) {
    return {grid.instances, static_cast<int64_t>(coupling.levels.size()), grid.columns};
  }

  Buffers buffers() {
    return {tokens.mutable_data(), query.mutable_data(), key.mutable_data(), targets.mutable_data()};
  }

  py::tuple tuple() const { return py::make_tuple(tokens, query, key, targets, start); }
};

inline py::tuple drawn_operands(const Draw& draw, int64_t size, int64_t threads) {
  std::vector<Ragged> parts;
  {
    py::gil_scoped_release release;
    parts = draw_operands(draw, size, threads);
  }
  int64_t total = 0;
  for (const auto& part : parts) total += static_cast<int64_t>(part.digits.size());
  Bytes digits(total);
  Longs offsets(draw.shape.arity * size + 1);
  std::uint8_t* digit = digits.mutable_data();
  int64_t* offset = offsets.mutable_data();
  *offset = 0;
  for (const auto& part : parts) {
    digit = std::copy(part.digits.begin(), part.digits.end(), digit);
    for (const int64_t length : part.lengths) offset[1] = offset[0] + length, ++offset;
  }
  return py::make_tuple(digits, offsets);
}

inline py::array_t<bool> test_split(const Operands& operands) {
  py::array_t<bool> in_test(operands.instances);
  bool* out = in_test.mutable_data();
  std::vector<Number> numbers(static_cast<std::size_t>(operands.arity));
  for (int64_t i = 0; i < operands.instances; ++i) {
    for (int64_t k = 0; k < operands.arity; ++k) {
      numbers[static_cast<std::size_t>(k)] = operands.operand(i, k);
    }
    out[i] = in_test_split(numbers.data(), operands.arity);
  }
  return in_test;
}

// Throws std::invalid_argument for a width below the longest operand.
inline int64_t checked_width(std::optional<int64_t> width, int64_t longest) {
  if (width && *width < longest) {
    throw std::invalid_argument("width must be at least the longest operand, " +
                                std::to_string(longest) + " digits, got " + std::to_string(*width));
  }
  return width.value_or(longest);
}

}  // namespace arithtf::bindings
