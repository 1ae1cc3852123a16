// Data: couplings, batches of addition, operands, splits. Arrays in and out, the GIL released in between.
#include <pybind11/numpy.h>
#include <pybind11/stl.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <stdexcept>

#include "bindings/bind.h"
#include "coupling.h"
#include "layout.h"
#include "parallel.h"
#include "philox.h"
#include "pool.h"
#include "tasks/addition.h"

namespace py = pybind11;

namespace {

using namespace arithtf;
using std::int64_t;
using Bytes = py::array_t<std::uint8_t, py::array::c_style>;
using Longs = py::array_t<int64_t, py::array::c_style>;

Coupling make_coupling(const Longs& key, const Longs& query, const Longs& settings) {
  if (key.ndim() != 3 || key.shape(2) != 6 || query.ndim() != 3 || settings.ndim() != 2 ||
      settings.shape(1) != 5 || settings.shape(0) != key.shape(0) ||
      !std::equal(key.shape(), key.shape() + 3, query.shape())) {
    throw std::invalid_argument("coupling tables must be key [L, S, 6], query [L, S, 6], settings [L, 5]");
  }
  return Coupling(key.data(), query.data(), settings.data(), key.shape(0), key.shape(1));
}

addition::Format make_format(int64_t base, bool padded, bool reverse_operands) {
  check_base(base);
  return {static_cast<int>(base), padded, reverse_operands};
}

addition::Draw make_draw(int64_t base, std::uint64_t seed, const std::string& split, std::uint64_t step,
                         std::pair<int64_t, int64_t> lengths, const std::string& kind,
                         std::optional<std::pair<int64_t, int64_t>> chain) {
  check_base(base);
  addition::Draw draw;
  draw.seed = seed;
  draw.step = step;
  draw.split = addition::split_named(split);
  draw.kind = addition::kind_named(kind);
  draw.low = lengths.first;
  draw.high = lengths.second;
  if (chain) std::tie(draw.chain_length, draw.chain_place) = *chain;
  draw.base = static_cast<int>(base);
  draw.check();
  return draw;
}

addition::Operands make_operands(const Bytes& digits, const Longs& offsets, int base) {
  const int64_t* at = offsets.data();
  const int64_t count = offsets.ndim() == 1 ? offsets.shape(0) : 0;
  if (digits.ndim() != 1 || count < 3 || count % 2 == 0 || at[0] < 0 ||
      !std::is_sorted(at, at + count) || at[count - 1] > digits.shape(0)) {
    throw std::invalid_argument(
        "operands must be digits [N] and ascending offsets [2 B + 1] within it, B >= 1");
  }
  const addition::Operands operands{digits.data(), at, (count - 1) / 2};
  py::gil_scoped_release release;
  operands.check(base);
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

  Arrays(const Grid& grid, const Coupling& coupling)
      : tokens(pooled<std::uint8_t>({grid.instances, grid.columns})),
        targets(pooled<std::uint8_t>({grid.instances, grid.columns})),
        query(pooled<std::int32_t>(id_shape(grid, coupling))),
        key(pooled<std::int32_t>(id_shape(grid, coupling))),
        start(grid.start) {
    if (coupling.segments != addition::segment_count) {
      throw std::invalid_argument("addition has 6 segments, the coupling tables are for " +
                                  std::to_string(coupling.segments));
    }
  }

  static std::vector<int64_t> id_shape(const Grid& grid, const Coupling& coupling) {
    return {grid.instances, static_cast<int64_t>(coupling.levels.size()), grid.columns};
  }

  addition::Buffers buffers() {
    return {tokens.mutable_data(), query.mutable_data(), key.mutable_data(), targets.mutable_data()};
  }

  py::tuple tuple() const { return py::make_tuple(tokens, query, key, targets, start); }
};

py::tuple addition_batch(int64_t base, bool padded, bool reverse_operands, const Coupling& coupling,
                         std::uint64_t seed, const std::string& split, std::uint64_t step,
                         std::pair<int64_t, int64_t> lengths, int64_t size, const std::string& kind,
                         std::optional<std::pair<int64_t, int64_t>> chain, int64_t threads) {
  const auto format = make_format(base, padded, reverse_operands);
  const auto draw = make_draw(base, seed, split, step, lengths, kind, chain);
  const Grid grid = addition::grid_for(size, draw.high);
  Arrays arrays(grid, coupling);
  const auto buffers = arrays.buffers();
  {
    py::gil_scoped_release release;
    addition::fill_batch(format, coupling, draw, grid, threads, buffers);
  }
  return arrays.tuple();
}

py::tuple addition_operands(int64_t base, std::uint64_t seed, const std::string& split,
                            std::uint64_t step, std::pair<int64_t, int64_t> lengths, int64_t size,
                            const std::string& kind, std::optional<std::pair<int64_t, int64_t>> chain,
                            int64_t threads) {
  const auto draw = make_draw(base, seed, split, step, lengths, kind, chain);
  std::vector<addition::Ragged> parts;
  {
    py::gil_scoped_release release;
    parts = addition::draw_operands(draw, size, threads);
  }
  int64_t total = 0;
  for (const auto& part : parts) total += static_cast<int64_t>(part.digits.size());
  Bytes digits(total);
  Longs offsets(2 * size + 1);
  std::uint8_t* digit = digits.mutable_data();
  int64_t* offset = offsets.mutable_data();
  *offset = 0;
  for (const auto& part : parts) {
    digit = std::copy(part.digits.begin(), part.digits.end(), digit);
    for (const int64_t length : part.lengths) offset[1] = offset[0] + length, ++offset;
  }
  return py::make_tuple(digits, offsets);
}

py::tuple addition_layout(int64_t base, bool padded, bool reverse_operands, const Coupling& coupling,
                          const Bytes& digits, const Longs& offsets, std::optional<int64_t> width,
                          bool solved, int64_t threads) {
  const auto format = make_format(base, padded, reverse_operands);
  const auto operands = make_operands(digits, offsets, format.base);
  const int64_t longest = operands.longest();
  if (width && *width < longest) {
    throw std::invalid_argument("width must be at least the longest operand, " +
                                std::to_string(longest) + " digits, got " + std::to_string(*width));
  }
  const Grid grid = addition::grid_for(operands.instances, width.value_or(longest));
  Arrays arrays(grid, coupling);
  const auto buffers = arrays.buffers();
  {
    py::gil_scoped_release release;
    addition::fill_layout(format, coupling, operands, grid, solved, threads, buffers);
  }
  return arrays.tuple();
}

std::vector<Bytes> addition_answers(int64_t base, bool padded, const Bytes& digits,
                                    const Longs& offsets) {
  const auto format = make_format(base, padded, false);
  const auto operands = make_operands(digits, offsets, format.base);
  std::vector<Bytes> answers;
  std::vector<std::uint8_t> answer(static_cast<std::size_t>(operands.longest()) + 1);
  for (int64_t i = 0; i < operands.instances; ++i) {
    const int64_t length = addition::write_answer(format, operands.problem(i), answer.data());
    answers.emplace_back(length, answer.data());
  }
  return answers;
}

py::array_t<bool> addition_test_split(int64_t base, const Bytes& digits, const Longs& offsets) {
  check_base(base);
  const auto operands = make_operands(digits, offsets, static_cast<int>(base));
  py::array_t<bool> in_test(operands.instances);
  bool* out = in_test.mutable_data();
  for (int64_t i = 0; i < operands.instances; ++i) {
    const addition::Problem problem = operands.problem(i);
    const Number pair[2] = {problem.a, problem.b};
    out[i] = in_test_split(pair, 2);
  }
  return in_test;
}

}  // namespace

void bind_data(py::module_& m) {
  m.attr("NO_ID") = no_id;
  m.attr("IGNORE") = static_cast<int>(ignore_target);
  m.attr("MAX_BASE") = max_base;
  m.def(
      "philox",
      [](Words counter, std::uint64_t key0, std::uint64_t key1) {
        return philox4x64(counter, key0, key1);
      },
      py::arg("counter"), py::arg("key0"), py::arg("key1"), "One block of Philox4x64-10.");
  py::class_<Coupling>(m, "Coupling", "Tables of a coupling, ready for the core.")
      .def(py::init(&make_coupling), py::arg("key"), py::arg("query"), py::arg("settings"));
  m.def("addition_batch", &addition_batch, py::arg("base"), py::arg("padded"),
        py::arg("reverse_operands"), py::arg("coupling"), py::kw_only(), py::arg("seed"),
        py::arg("split"), py::arg("step"), py::arg("lengths"), py::arg("size"), py::arg("kind"),
        py::arg("chain"), py::arg("threads"), "Draws and lays out a batch.");
  m.def("addition_operands", &addition_operands, py::arg("base"), py::kw_only(), py::arg("seed"),
        py::arg("split"), py::arg("step"), py::arg("lengths"), py::arg("size"), py::arg("kind"),
        py::arg("chain"), py::arg("threads"), "The operands of a batch.");
  m.def("addition_layout", &addition_layout, py::arg("base"), py::arg("padded"),
        py::arg("reverse_operands"), py::arg("coupling"), py::arg("digits"), py::arg("offsets"),
        py::kw_only(), py::arg("width"), py::arg("solved"), py::arg("threads"),
        "Lays out given operands.");
  m.def("addition_answers", &addition_answers, py::arg("base"), py::arg("padded"), py::arg("digits"),
        py::arg("offsets"), "Answers, least significant digit first.");
  m.def("addition_test_split", &addition_test_split, py::arg("base"), py::arg("digits"),
        py::arg("offsets"), "Whether each problem belongs to the test split.");
}
