// Column tasks: tables in, batches out.
#include "tasks/columns.h"

#include "bindings/batches.h"
#include "bindings/bind.h"

namespace {

using namespace arithtf;
using namespace arithtf::bindings;

template <typename T>
std::vector<T> values(const py::array_t<T, py::array::c_style>& array) {
  return {array.data(), array.data() + array.size()};
}

columns::Pass make_pass(const Longs& start, const Longs& next, const Bytes& emitted, const Bytes& flush,
                        const Bytes& end, bool end_apart) {
  if (next.ndim() != 2) throw std::invalid_argument("a pass needs transitions [states, symbols]");
  columns::Pass pass;
  pass.states = next.shape(0);
  for (const int64_t state : values(start)) pass.start.push_back(static_cast<std::int32_t>(state));
  for (const int64_t state : values(next)) pass.next.push_back(static_cast<std::int32_t>(state));
  pass.emitted = values(emitted);
  pass.flush = values(flush);
  pass.end = values(end);
  pass.end_apart = end_apart;
  return pass;
}

columns::Task make_task(int64_t base, int64_t control, int64_t arity, bool strings, bool last_digit, bool related, bool from_left,
                        bool padded, int64_t limit, const Bytes& separators,
                        std::vector<columns::Pass> passes) {
  check_base(base);
  columns::Task task;
  task.shape = {static_cast<int>(base), arity, strings, last_digit, related};
  task.control = static_cast<int>(control);
  task.from_left = from_left;
  task.padded = padded;
  task.limit = limit;
  task.separators = values(separators);
  task.passes = std::move(passes);
  task.check();
  return task;
}

using Chain = std::optional<std::pair<int64_t, int64_t>>;

py::tuple batch(const columns::Task& task, const Coupling& coupling, std::uint64_t seed,
                const std::string& split, std::uint64_t step, std::pair<int64_t, int64_t> lengths,
                int64_t size, const std::string& kind, Chain chain, int64_t threads) {
  const auto draw = make_draw(task.shape, seed, split, step, lengths, kind, chain);
  const Grid grid = columns::grid_for(task, size, draw.high);
  Arrays arrays(grid, coupling, task.segment_count());
  const auto buffers = arrays.buffers();
  {
    py::gil_scoped_release release;
    columns::fill_batch(task, coupling, draw, grid, threads, buffers);
  }
  return arrays.tuple();
}

py::tuple operands(const columns::Task& task, std::uint64_t seed, const std::string& split,
                   std::uint64_t step, std::pair<int64_t, int64_t> lengths, int64_t size,
                   const std::string& kind, Chain chain, int64_t threads) {
  return drawn_operands(make_draw(task.shape, seed, split, step, lengths, kind, chain), size, threads);
}

py::tuple layout(const columns::Task& task, const Coupling& coupling, const Bytes& digits,
                 const Longs& offsets, std::optional<int64_t> width, bool solved, int64_t threads) {
  const auto given = make_operands(digits, offsets, task.shape);
  const int64_t longest = given.longest(task.shape.numbers());
  const Grid grid = columns::grid_for(task, given.instances, checked_width(width, longest));
  Arrays arrays(grid, coupling, task.segment_count());
  const auto buffers = arrays.buffers();
  {
    py::gil_scoped_release release;
    columns::fill_layout(task, coupling, given, grid, solved, threads, buffers);
  }
  return arrays.tuple();
}

std::vector<Bytes> answers(const columns::Task& task, const Bytes& digits, const Longs& offsets) {
  const auto given = make_operands(digits, offsets, task.shape);
  const int64_t longest = given.longest(task.shape.numbers());
  std::vector<Bytes> written;
  std::vector<std::uint8_t> tokens(static_cast<std::size_t>(task.room(longest)));
  for (int64_t i = 0; i < given.instances; ++i) {
    const int64_t length = columns::write_answer(task, given, i, tokens.data());
    written.emplace_back(length - 1, tokens.data());  // without EOS
  }
  return written;
}

}  // namespace

void bind_columns(py::module_& m) {
  py::class_<columns::Pass>(m, "ColumnPass", "Tables of one row of a column task's answer.")
      .def(py::init(&make_pass), py::kw_only(), py::arg("start"), py::arg("next"), py::arg("emitted"),
           py::arg("flush"), py::arg("end"), py::arg("end_apart"));
  py::class_<columns::Task>(m, "ColumnTask", "Tables of a column task, ready for the core.")
      .def(py::init(&make_task), py::kw_only(), py::arg("base"), py::arg("control"), py::arg("arity"),
           py::arg("strings"), py::arg("last_digit"), py::arg("related"), py::arg("from_left"), py::arg("padded"),
           py::arg("limit"), py::arg("separators"), py::arg("passes"))
      .def("batch", &batch, py::arg("coupling"), py::kw_only(), py::arg("seed"), py::arg("split"),
           py::arg("step"), py::arg("lengths"), py::arg("size"), py::arg("kind"), py::arg("chain"),
           py::arg("threads"), "Draws and lays out a batch.")
      .def("operands", &operands, py::kw_only(), py::arg("seed"), py::arg("split"), py::arg("step"),
           py::arg("lengths"), py::arg("size"), py::arg("kind"), py::arg("chain"), py::arg("threads"),
           "The operands of a batch.")
      .def("layout", &layout, py::arg("coupling"), py::arg("digits"), py::arg("offsets"), py::kw_only(),
           py::arg("width"), py::arg("solved"), py::arg("threads"), "Lays out given operands.")
      .def("answers", &answers, py::arg("digits"), py::arg("offsets"),
           "Answers as written, without EOS.")
      .def(
          "test_split",
          [](const columns::Task& task, const Bytes& digits, const Longs& offsets) {
            return test_split(make_operands(digits, offsets, task.shape));
          },
          py::arg("digits"), py::arg("offsets"), "Whether each problem belongs to the test split.");
}
