// Worksheets: operands in, batches and answers out.
#include "tasks/worksheet.h"

#include "bindings/batches.h"
#include "bindings/bind.h"

namespace {

using namespace arithtf;
using namespace arithtf::bindings;
using worksheets::Sheet;

Shape shape_of(const Sheet& sheet, int64_t arity) {
  if (arity < 2) {
    throw std::invalid_argument("expected at least two operands, got " + std::to_string(arity));
  }
  Shape shape;
  shape.base = sheet.base();
  shape.arity = arity;
  shape.divisor = sheet.divides();
  return shape;
}

py::tuple operands(const Sheet& sheet, int64_t arity, std::uint64_t seed, const std::string& split,
                   std::uint64_t step, std::pair<int64_t, int64_t> lengths, int64_t size,
                   const std::string& kind, int64_t threads) {
  Shape shape = shape_of(sheet, arity);
  // Large digits are for learning from: a test's problems are uniform, as its kind says.
  shape.skewed = split_named(split) == Split::train;
  const auto draw = make_draw(shape, seed, split, step, lengths, kind, {});
  return drawn_operands(draw, size, threads);
}

py::tuple layout(const Sheet& sheet, int64_t arity, const Coupling& coupling, const Bytes& digits,
                 const Longs& offsets, std::uint64_t seed, std::uint64_t stream, std::uint64_t step,
                 bool random_start, int64_t width, bool solved, int64_t threads) {
  const auto given = make_operands(digits, offsets, shape_of(sheet, arity));
  const Grid grid = worksheets::grid_for(sheet, given, width);
  Arrays arrays(grid, coupling, sheet.segments());
  const auto buffers = arrays.buffers();
  {
    py::gil_scoped_release release;
    const IdDraws draws{seed, stream, step, random_start};
    worksheets::fill(sheet, coupling, draws, given, grid, solved, threads, buffers);
  }
  return arrays.tuple();
}

std::vector<Bytes> answers(const Sheet& sheet, int64_t arity, const Bytes& digits, const Longs& offsets) {
  const auto given = make_operands(digits, offsets, shape_of(sheet, arity));
  std::vector<Bytes> written;
  for (int64_t i = 0; i < given.instances; ++i) {
    std::vector<Number> numbers;
    std::vector<int64_t> lengths;
    for (int64_t k = 0; k < arity; ++k) {
      numbers.push_back(given.operand(i, k));
      lengths.push_back(numbers.back().length);
    }
    Bytes answer(sheet.answer_length(lengths));
    sheet.write_answer(numbers, answer.mutable_data());
    written.push_back(std::move(answer));
  }
  return written;
}

}  // namespace

void bind_worksheet(py::module_& m) {
  py::class_<Sheet>(m, "Worksheet", "A kind of worksheet.")
      .def(py::init(&worksheets::make_sheet), py::arg("name"), py::arg("base"))
      .def("operands", &operands, py::kw_only(), py::arg("arity"), py::arg("seed"), py::arg("split"),
           py::arg("step"), py::arg("lengths"), py::arg("size"), py::arg("kind"), py::arg("threads"),
           "The operands of a batch.")
      .def("layout", &layout, py::kw_only(), py::arg("arity"), py::arg("coupling"), py::arg("digits"),
           py::arg("offsets"), py::arg("seed"), py::arg("stream"), py::arg("step"),
           py::arg("random_start"), py::arg("width"), py::arg("solved"), py::arg("threads"),
           "Lays out given operands with their work.")
      .def("answers", &answers, py::kw_only(), py::arg("arity"), py::arg("digits"), py::arg("offsets"),
           "The work and the answer as written, without EOS.")
      .def(
          "room",
          [](const Sheet& sheet, const std::vector<int64_t>& lengths) { return sheet.answer_length(lengths) + 1; },
          py::arg("lengths"), "Tokens after the prompt of operands of these lengths, EOS included.")
      .def(
          "test_split",
          [](const Sheet& sheet, int64_t arity, const Bytes& digits, const Longs& offsets) {
            return test_split(make_operands(digits, offsets, shape_of(sheet, arity)));
          },
          py::kw_only(), py::arg("arity"), py::arg("digits"), py::arg("offsets"),
          "Whether each problem belongs to the test split.");
}
