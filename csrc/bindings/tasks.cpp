// Tasks on operands: tables in; operands, tokens, targets and runs out. The GIL is released in between.
#include <bit>
#include <cstring>
#include <optional>
#include <tuple>

#include "bindings/arrays.h"
#include "bindings/bind.h"
#include "tasks/columns.h"
#include "tasks/program.h"
#include "tasks/scratchpad.h"

namespace {

using namespace arithtf;
using namespace arithtf::bindings;

// Where problems are drawn: arity, seed, split, step, lengths, distribution, chain, pool.
using Where = std::tuple<int64_t, std::uint64_t, std::string, std::uint64_t, std::pair<int64_t, int64_t>, std::string,
                         std::optional<std::pair<int64_t, int64_t>>, std::uint64_t>;

Shape shape_of(const Task& task, int64_t arity) {
  const bool fits = task.prompt.repeated ? arity >= 2 : arity == task.shape.arity;
  if (!fits) {
    throw std::invalid_argument("expected " + std::to_string(task.shape.arity) +
                                (task.prompt.repeated ? " or another number of operands, at least 2" : " operands") +
                                ", got " + std::to_string(arity));
  }
  Shape shape = task.shape;
  shape.arity = arity;
  return shape;
}

Draw make_draw(const Task& task, const Where& where) {
  const auto& [arity, seed, split, step, lengths, distribution, chain, pool] = where;
  Draw draw;
  draw.seed = seed;
  draw.step = step;
  draw.split = split_named(split);
  draw.distribution = distribution_named(distribution);
  std::tie(draw.low, draw.high) = lengths;
  if (chain) std::tie(draw.chain_length, draw.chain_place) = *chain;
  draw.pool = pool;
  draw.shape = shape_of(task, arity);
  draw.check();
  return draw;
}

Operands make_operands(const Task& task, int64_t arity, const Bytes& digits, const Longs& offsets) {
  const Shape shape = shape_of(task, arity);
  const int64_t* at = offsets.data();
  const int64_t count = offsets.ndim() == 1 ? offsets.shape(0) : 0;
  if (digits.ndim() != 1 || count < 2 || (count - 1) % arity != 0 || at[0] < 0 ||
      !std::is_sorted(at, at + count) || at[count - 1] > digits.shape(0)) {
    throw std::invalid_argument(
        "operands must be digits [N] and ascending offsets [arity * B + 1] within it, B >= 1");
  }
  const Operands operands{digits.data(), at, (count - 1) / arity, arity};
  py::gil_scoped_release release;
  operands.check(shape);
  return operands;
}

// Tokens and targets of a grid, filled by `write`, with the runs that it returns.
template <typename Write>
py::tuple filled(const Grid& grid, const Write& write) {
  auto [tokens, targets] = pooled_pair<std::uint8_t>({grid.instances, grid.columns});
  const Buffers buffers{tokens.mutable_data(), targets.mutable_data()};
  Runs runs;
  {
    py::gil_scoped_release release;
    runs = write(buffers);
  }
  return py::make_tuple(tokens, targets, std::move(runs), grid.start);
}

py::tuple sample(const Task& task, const Where& where, int64_t size, int64_t threads) {
  const Draw draw = make_draw(task, where);
  const Grid grid = grid_for(task, size, draw.high, draw.shape.arity);
  return filled(grid, [&](Buffers out) { return write_drawn(task, draw, grid, threads, out); });
}

py::tuple instances(const Task& task, int64_t arity, const Bytes& digits, const Longs& offsets,
                    std::optional<int64_t> max_length, bool solved, int64_t threads) {
  const auto given = make_operands(task, arity, digits, offsets);
  const Grid grid = grid_for(task, given, max_length.value_or(0));
  return filled(grid, [&](Buffers out) { return write_given(task, given, grid, solved, threads, out); });
}

py::tuple operands(const Task& task, const Where& where, int64_t size, int64_t threads) {
  const Draw draw = make_draw(task, where);
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

std::vector<Bytes> answers(const Task& task, int64_t arity, const Bytes& digits, const Longs& offsets) {
  const auto given = make_operands(task, arity, digits, offsets);
  std::vector<Bytes> written;
  std::vector<Number> numbers;
  std::vector<int64_t> lengths;
  for (int64_t i = 0; i < given.instances; ++i) {
    given.read(i, numbers);
    lengths.clear();
    for (const Number& number : numbers) lengths.push_back(number.length);
    Bytes answer(task.program->answer_tokens(lengths));
    const int64_t length = task.program->write(numbers, answer.mutable_data(), nullptr);
    answer.resize({length - 1});  // without EOS
    written.push_back(std::move(answer));
  }
  return written;
}

py::array_t<bool> test_split(const Task& task, int64_t arity, const Bytes& digits, const Longs& offsets) {
  const auto given = make_operands(task, arity, digits, offsets);
  py::array_t<bool> in_test(given.instances);
  bool* out = in_test.mutable_data();
  std::vector<Number> numbers;
  for (int64_t i = 0; i < given.instances; ++i) {
    given.read(i, numbers);
    out[i] = in_test_split(numbers.data(), arity);
  }
  return in_test;
}

// Tokens of prompts and the most of answers, for operand lengths [B, arity].
py::tuple sizes(const Task& task, const Longs& lengths) {
  if (lengths.ndim() != 2) throw std::invalid_argument("expected operand lengths [B, arity]");
  const int64_t arity = lengths.shape(1), count = lengths.shape(0);
  shape_of(task, arity);
  Longs prompt(count), answer(count);
  for (int64_t i = 0; i < count; ++i) {
    const Lengths row{lengths.data() + i * arity, static_cast<std::size_t>(arity)};
    if (std::any_of(row.begin(), row.end(), [](int64_t length) { return length < 1 || length > (int64_t{1} << 40); })) {
      throw std::invalid_argument("expected operand lengths of at least 1 digit");
    }
    prompt.mutable_data()[i] = task.prompt_tokens(row);
    answer.mutable_data()[i] = task.program->answer_tokens(row);
  }
  return py::make_tuple(prompt, answer);
}

Pass make_pass(const Longs& start, const Longs& next, const Bytes& emitted, const Bytes& flush,
               const Bytes& end, bool end_apart) {
  if (next.ndim() != 2) throw std::invalid_argument("a pass needs transitions [states, symbols]");
  Pass pass;
  pass.states = next.shape(0);
  for (const int64_t state : values(start)) pass.start.push_back(static_cast<std::int32_t>(state));
  for (const int64_t state : values(next)) pass.next.push_back(static_cast<std::int32_t>(state));
  pass.emitted = values(emitted);
  pass.flush = values(flush);
  pass.end = values(end);
  pass.end_apart = end_apart;
  return pass;
}

std::unique_ptr<Task> column_task(int64_t base, int64_t control, int64_t arity, bool strings, bool last_digit,
                                  bool related, bool from_left, bool padded, bool reversed, int64_t limit,
                                  const Bytes& separators, std::vector<Pass> passes) {
  check_base(base);
  auto task = std::make_unique<Task>();
  task->shape = {static_cast<int>(base), arity, strings, last_digit, related};
  task->prompt = {static_cast<int>(control), padded, reversed, false, values(separators)};
  if (control < base || separators.size() != arity - 1) {
    throw std::invalid_argument("expected control tokens after the digits and a separator between operands");
  }
  task->program = std::make_unique<ColumnProgram>(task->shape, padded, from_left, limit, std::move(passes));
  return task;
}

using Indices = std::vector<std::size_t>;

scratchpads::Pass scratchpad_pass(bool single, Indices reads, std::optional<std::pair<int64_t, std::size_t>> changes,
                                  Indices last, const Longs& start, const Longs& next, const Bytes& tokens) {
  using scratchpads::Pass;
  if (next.ndim() != 2 || next.shape(1) < 1 || tokens.ndim() != 3 || tokens.shape(0) != next.shape(0) ||
      tokens.shape(1) != next.shape(1) || tokens.shape(2) > static_cast<int64_t>(Pass::most_tokens)) {
    throw std::invalid_argument("a pass needs next [states, symbols] and tokens [states, symbols, up to 4]");
  }
  Pass pass;
  pass.single = single;
  pass.reads = std::move(reads);
  if (changes) std::tie(pass.changes, pass.changed_by) = *changes;
  pass.last = std::move(last);
  pass.tokens = static_cast<std::size_t>(tokens.shape(2));
  const auto symbols = static_cast<std::size_t>(next.shape(1));
  pass.shift = static_cast<int>(std::bit_width(symbols - 1));
  const auto begin = [&pass](int64_t state) { return static_cast<std::int32_t>(state << pass.shift); };
  for (py::ssize_t i = 0; i < start.size(); ++i) pass.start.push_back(begin(start.data()[i]));
  pass.table.resize(static_cast<std::size_t>(next.shape(0)) << pass.shift);
  for (std::size_t i = 0; i < static_cast<std::size_t>(next.size()); ++i) {
    Pass::Entry& entry = pass.table[((i / symbols) << pass.shift) + i % symbols];
    entry.next = begin(next.data()[i]);
    std::memcpy(entry.tokens.data(), tokens.data() + i * pass.tokens, pass.tokens);
  }
  return pass;
}

using Maybe = std::optional<int64_t>;  // the number of an operand or a track, if any
using TrackFields = std::tuple<Maybe, bool, int64_t, bool>;
using PartFields = std::tuple<int64_t, Maybe, Indices, std::uint8_t, int>;

std::unique_ptr<Task> scratchpad_task(int64_t base, int64_t segments, const std::vector<TrackFields>& tracks,
                                      std::vector<scratchpads::Pass> passes, const std::vector<Longs>& runs,
                                      const std::vector<PartFields>& tail, Maybe turns, Maybe columns, int64_t repeat,
                                      bool divides, std::uint8_t separator) {
  scratchpads::Tables tables;
  tables.base = static_cast<int>(base);
  tables.segments = segments;
  for (const auto& [operand, each, moves, single] : tracks) {
    tables.tracks.push_back({operand.value_or(scratchpads::none), each, moves, single});
  }
  tables.passes = std::move(passes);
  if (runs.size() != tables.runs.size()) throw std::invalid_argument("a scratchpad needs runs of 8 kinds of rows");
  for (std::size_t kind = 0; kind < runs.size(); ++kind) {
    const int64_t* at = runs[kind].data();
    for (py::ssize_t left = runs[kind].size(); left >= 10; left -= 10, at += 10) {  // [runs, 5, 2]
      tables.runs[kind].push_back({at[0], at[2], {at[4], at[5]}, {at[6], at[7]}, {at[8], at[9]}});
    }
  }
  for (const auto& [segment, track, lengths, end, row] : tail) {
    const auto number = static_cast<scratchpads::Part::Row>(row);
    tables.tail.push_back({segment, track.value_or(scratchpads::none), lengths, end, number});
  }
  tables.turns = turns.value_or(scratchpads::none);
  tables.columns = columns.value_or(scratchpads::none);
  tables.repeat = repeat;
  auto task = std::make_unique<Task>();
  task->shape.base = tables.base;
  task->shape.divisor = divides;
  task->shape.skewed = true;
  task->prompt.control = tables.base;
  task->prompt.repeated = !turns;
  task->prompt.separators = {separator};
  task->program = std::make_unique<scratchpads::Scratchpad>(std::move(tables));
  return task;
}

}  // namespace

void bind_tasks(py::module_& m) {
  py::class_<Pass>(m, "ColumnPass", "Tables of one row of a column task's answer.")
      .def(py::init(&make_pass), py::kw_only(), py::arg("start"), py::arg("next"), py::arg("emitted"),
           py::arg("flush"), py::arg("end"), py::arg("end_apart"));
  m.def("column_task", &column_task, py::kw_only(), py::arg("base"), py::arg("control"), py::arg("arity"),
        py::arg("strings"), py::arg("last_digit"), py::arg("related"), py::arg("from_left"), py::arg("padded"),
        py::arg("reversed"), py::arg("limit"), py::arg("separators"), py::arg("passes"));
  py::class_<scratchpads::Pass>(m, "ScratchpadPass", "Tables of one pass of a scratchpad's rows.")
      .def(py::init(&scratchpad_pass), py::kw_only(), py::arg("single"), py::arg("reads"), py::arg("changes"),
           py::arg("last"), py::arg("start"), py::arg("next"), py::arg("tokens"));
  m.def("scratchpad_task", &scratchpad_task, py::kw_only(), py::arg("base"), py::arg("segments"), py::arg("tracks"),
        py::arg("passes"), py::arg("runs"), py::arg("tail"), py::arg("turns"), py::arg("columns"), py::arg("repeat"),
        py::arg("divides"), py::arg("separator"));
  py::class_<Task>(m, "Task", "A task on operands, ready for the core.")
      .def("sample", &sample, py::arg("where"), py::arg("size"), py::arg("threads"),
           "Problems of an address with their answers: tokens, targets, runs, start.")
      .def("operands", &operands, py::arg("where"), py::arg("size"), py::arg("threads"),
           "The operands of these problems: digits, offsets.")
      .def("instances", &instances, py::arg("arity"), py::arg("digits"), py::arg("offsets"), py::kw_only(),
           py::arg("max_length"), py::arg("solved"), py::arg("threads"), "Given problems, as `sample` gives them.")
      .def("answers", &answers, py::arg("arity"), py::arg("digits"), py::arg("offsets"),
           "Answers as written, without EOS.")
      .def("test_split", &test_split, py::arg("arity"), py::arg("digits"), py::arg("offsets"),
           "Whether each problem belongs to the test split.")
      .def("sizes", &sizes, py::arg("lengths"),
           "Tokens of the prompt, and the most of an answer, EOS included, of operand lengths [B, arity].");
}
