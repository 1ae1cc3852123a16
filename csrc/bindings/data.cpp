// Data: couplings, batches of addition, operands, splits. Arrays in and out, the GIL released in between.
#include "bindings/batches.h"
#include "bindings/bind.h"
#include "parallel.h"
#include "philox.h"
#include "tasks/addition.h"

namespace {

using namespace arithtf;
using namespace arithtf::bindings;

Coupling make_coupling(const Longs& key, const Longs& query, const Longs& settings) {
  if (key.ndim() != 3 || key.shape(2) != 8 || query.ndim() != 3 || settings.ndim() != 2 ||
      settings.shape(1) != 5 || settings.shape(0) != key.shape(0) ||
      !std::equal(key.shape(), key.shape() + 3, query.shape())) {
    throw std::invalid_argument("coupling tables must be key [L, S, 8], query [L, S, 8], settings [L, 5]");
  }
  return Coupling(key.data(), query.data(), settings.data(), key.shape(0), key.shape(1));
}

Shape shape_of(int64_t base) {
  check_base(base);
  return {static_cast<int>(base)};
}

addition::Format make_format(int64_t base, bool padded, bool reverse_operands) {
  check_base(base);
  return {static_cast<int>(base), padded, reverse_operands};
}

py::tuple addition_batch(int64_t base, bool padded, bool reverse_operands, const Coupling& coupling,
                         std::uint64_t seed, const std::string& split, std::uint64_t step,
                         std::pair<int64_t, int64_t> lengths, int64_t size, const std::string& kind,
                         std::optional<std::pair<int64_t, int64_t>> chain, int64_t threads) {
  const auto format = make_format(base, padded, reverse_operands);
  const auto draw = make_draw(shape_of(base), seed, split, step, lengths, kind, chain);
  const Grid grid = addition::grid_for(size, draw.high);
  Arrays arrays(grid, coupling, addition::segment_count);
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
  return drawn_operands(make_draw(shape_of(base), seed, split, step, lengths, kind, chain), size,
                        threads);
}

py::tuple addition_layout(int64_t base, bool padded, bool reverse_operands, const Coupling& coupling,
                          const Bytes& digits, const Longs& offsets, std::optional<int64_t> width,
                          bool solved, int64_t threads) {
  const auto format = make_format(base, padded, reverse_operands);
  const auto operands = make_operands(digits, offsets, shape_of(base));
  const int64_t longest = operands.longest(2);
  const Grid grid = addition::grid_for(operands.instances, checked_width(width, longest));
  Arrays arrays(grid, coupling, addition::segment_count);
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
  const auto operands = make_operands(digits, offsets, shape_of(base));
  std::vector<Bytes> answers;
  std::vector<std::uint8_t> answer(static_cast<std::size_t>(operands.longest(2)) + 1);
  for (int64_t i = 0; i < operands.instances; ++i) {
    const int64_t length = addition::write_answer(
        format, {operands.operand(i, 0), operands.operand(i, 1)}, answer.data());
    answers.emplace_back(length, answer.data());
  }
  return answers;
}

py::array_t<bool> addition_test_split(int64_t base, const Bytes& digits, const Longs& offsets) {
  return test_split(make_operands(digits, offsets, shape_of(base)));
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
