// Multiplication: operands in, batches and answers out.
#include "tasks/multiplication.h"

#include <pybind11/numpy.h>
#include <pybind11/stl.h>

#include <algorithm>
#include <optional>
#include <stdexcept>

#include "bindings/bind.h"

namespace py = pybind11;

namespace {

using namespace arithtf;
using std::int64_t;
using Bytes = py::array_t<std::uint8_t, py::array::c_style>;
using Longs = py::array_t<int64_t, py::array::c_style>;
using Ids = py::array_t<std::int32_t, py::array::c_style>;

multiplication::Operands make_operands(const Bytes& digits, const Longs& offsets, int64_t base) {
  check_base(base);
  const int64_t* at = offsets.data();
  const int64_t count = offsets.ndim() == 1 ? offsets.shape(0) : 0;
  if (digits.ndim() != 1 || count < 3 || count % 2 == 0 || at[0] < 0 ||
      !std::is_sorted(at, at + count) || at[count - 1] > digits.shape(0)) {
    throw std::invalid_argument(
        "operands must be digits [N] and ascending offsets [2 B + 1] within it, B >= 1");
  }
  const multiplication::Operands operands{digits.data(), at, (count - 1) / 2};
  py::gil_scoped_release release;
  operands.check(static_cast<int>(base));
  return operands;
}

py::tuple layout(int64_t base, const Coupling& coupling, const Bytes& digits, const Longs& offsets,
                 std::uint64_t seed, std::uint64_t stream, std::uint64_t step, bool random_start,
                 int64_t width, bool solved, int64_t threads) {
  const auto operands = make_operands(digits, offsets, base);
  if (coupling.segments != multiplication::segment_count) {
    throw std::invalid_argument("multiplication has 13 segments, the coupling tables are for " +
                                std::to_string(coupling.segments));
  }
  const Grid grid = multiplication::grid_for(operands, width);
  const auto levels = static_cast<int64_t>(coupling.levels.size());
  Bytes tokens({grid.instances, grid.columns}), targets({grid.instances, grid.columns});
  Ids query({grid.instances, levels, grid.columns}), key({grid.instances, levels, grid.columns});
  const multiplication::Buffers buffers{tokens.mutable_data(), query.mutable_data(),
                                        key.mutable_data(), targets.mutable_data()};
  {
    py::gil_scoped_release release;
    const IdDraws draws{seed, stream, step, random_start};
    multiplication::fill(static_cast<int>(base), coupling, draws, operands, grid, solved, threads,
                         buffers);
  }
  return py::make_tuple(tokens, query, key, targets, grid.start);
}

std::vector<Bytes> answers(int64_t base, const Bytes& digits, const Longs& offsets) {
  const auto operands = make_operands(digits, offsets, base);
  std::vector<Bytes> written;
  for (int64_t i = 0; i < operands.instances; ++i) {
    const Number a = operands.operand(i, 0), b = operands.operand(i, 1);
    Bytes answer(multiplication::answer_length(a.length, b.length));
    multiplication::write_answer(static_cast<int>(base), a, b, answer.mutable_data());
    written.push_back(std::move(answer));
  }
  return written;
}

}  // namespace

void bind_multiplication(py::module_& m) {
  m.def("multiplication_layout", &layout, py::arg("base"), py::arg("coupling"), py::arg("digits"),
        py::arg("offsets"), py::kw_only(), py::arg("seed"), py::arg("stream"), py::arg("step"),
        py::arg("random_start"), py::arg("width"), py::arg("solved"), py::arg("threads"),
        "Lays out given operands with the work of their product.");
  m.def("multiplication_answers", &answers, py::arg("base"), py::arg("digits"), py::arg("offsets"),
        "The work and the product, least significant digit first.");
}
