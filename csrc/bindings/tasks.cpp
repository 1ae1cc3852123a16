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

constexpr int64_t most_operands = int64_t{1} << 20;  // of a problem
constexpr int64_t most_states = int64_t{1} << 24;    // of a pass, and entries of its table
constexpr int64_t most_length = int64_t{1} << 40;    // of an operand whose answer is only measured

Shape shape_of(const Task& task, int64_t arity) {
  const bool fits = task.prompt.repeated ? arity >= 2 && arity <= most_operands : arity == task.shape.arity;
  if (!fits) {
    refuse(std::to_string(task.shape.arity) +
               (task.prompt.repeated ? " or another number of operands, 2 to " + std::to_string(most_operands)
                                     : std::string(" operands")),
           std::to_string(arity));
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
        "operands must be digits [N] and ascending offsets [arity * B + 1] within it, B >= 1; got digits " +
        shape_text(digits) + ", offsets " + shape_text(offsets) + " and arity " + std::to_string(arity));
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
  check_threads(threads);
  const Draw draw = make_draw(task, where);
  const Grid grid = grid_for(task, size, draw.high, draw.shape.arity);
  return filled(grid, [&](Buffers out) { return write_drawn(task, draw, grid, threads, out); });
}

py::tuple instances(const Task& task, int64_t arity, const Bytes& digits, const Longs& offsets,
                    std::optional<int64_t> max_length, bool solved, int64_t threads) {
  check_threads(threads);
  if (max_length) within(*max_length, 1, std::numeric_limits<int64_t>::max(), "max_length");
  const auto given = make_operands(task, arity, digits, offsets);
  const Grid grid = grid_for(task, given, max_length.value_or(0));
  return filled(grid, [&](Buffers out) { return write_given(task, given, grid, solved, threads, out); });
}

py::tuple operands(const Task& task, const Where& where, int64_t size, int64_t threads) {
  check_threads(threads);
  const Draw draw = make_draw(task, where);
  check_size(size);
  bytes_of({size, draw.shape.arity, draw.high + int64_t{sizeof(int64_t)}}, 1);  // digits, and offsets
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
    const int64_t most = task.program->answer_tokens(lengths);
    check_columns(most, most);
    Bytes answer(most);
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
  if (lengths.ndim() != 2) refuse("operand lengths [B, arity]", "shape " + shape_text(lengths));
  const int64_t arity = lengths.shape(1), count = lengths.shape(0);
  shape_of(task, arity);
  Longs prompt(count), answer(count);
  for (int64_t i = 0; i < count; ++i) {
    const Lengths row{lengths.data() + i * arity, static_cast<std::size_t>(arity)};
    for (const int64_t length : row) within(length, 1, most_length, "digits of an operand");
    prompt.mutable_data()[i] = task.prompt_tokens(row);
    answer.mutable_data()[i] = task.program->answer_tokens(row);
  }
  return py::make_tuple(prompt, answer);
}

// Numbers of states, each below `states`.
std::vector<std::int32_t> state_numbers(const Longs& table, int64_t states) {
  std::vector<std::int32_t> numbers;
  for (const int64_t state : values(table)) {
    numbers.push_back(static_cast<std::int32_t>(within(state, 0, states - 1, "states")));
  }
  return numbers;
}

Pass make_pass(const Longs& start, const Longs& next, const Bytes& emitted, const Bytes& flush,
               const Bytes& end, bool end_apart) {
  if (next.ndim() != 2 || next.shape(1) < 1 || emitted.ndim() != 2 ||
      !std::equal(next.shape(), next.shape() + 2, emitted.shape())) {
    refuse("a pass with next and emitted [states, symbols]", shape_text(next) + " and " + shape_text(emitted));
  }
  Pass pass;
  pass.states = within(next.shape(0), 1, most_states, "states of a pass");
  for (const Bytes& list : {flush, end}) check_list(list, pass.states, "flush and end of a pass");
  check_list(start, -1, "start of a pass");
  pass.start = state_numbers(start, pass.states);
  pass.next = state_numbers(next, pass.states);
  pass.emitted = values(emitted);
  pass.flush = values(flush);
  pass.end = values(end);
  pass.end_apart = end_apart;
  return pass;
}

constexpr int64_t most_control = ignore_target - first_symbol;

std::unique_ptr<Task> column_task(int64_t base, int64_t control, int64_t arity, bool strings, bool last_digit,
                                  bool related, bool from_left, bool padded, bool reversed, int64_t limit,
                                  const Bytes& separators, const py::sequence& passes) {
  check_base(base);
  within(arity, 1, 2, "arity");
  within(control, base, most_control, "control, the number of the first token that is no digit,");
  check_list(separators, arity - 1, "separators");
  auto task = std::make_unique<Task>();
  task->shape = {static_cast<int>(base), arity, strings, last_digit, related};
  task->prompt = {static_cast<int>(control), padded, reversed, false, values(separators)};
  task->program = std::make_unique<ColumnProgram>(task->shape, padded, from_left, limit,
                                                  list_of<Pass>(passes, "passes"));
  return task;
}

scratchpads::Pass scratchpad_pass(bool single, const py::sequence& reads,
                                  std::optional<std::pair<int64_t, std::size_t>> changes, const py::sequence& last,
                                  const Longs& start, const Longs& next, const Bytes& tokens) {
  using scratchpads::Pass;
  if (next.ndim() != 2 || next.shape(1) < 1 || tokens.ndim() != 3 || tokens.shape(0) != next.shape(0) ||
      tokens.shape(1) != next.shape(1) || tokens.shape(2) > static_cast<int64_t>(Pass::most_tokens)) {
    refuse("a pass with next [states, symbols] and tokens [states, symbols, up to 4]",
           shape_text(next) + " and " + shape_text(tokens));
  }
  within(next.shape(0), 1, most_states, "states of a pass");
  within(next.shape(1), 1, most_states, "symbols of a pass");
  check_list(start, -1, "start of a pass");
  Pass pass;
  pass.single = single;
  pass.reads = list_of<std::size_t>(reads, "reads");
  if (changes) std::tie(pass.changes, pass.changed_by) = *changes;
  pass.last = list_of<std::size_t>(last, "last");
  pass.tokens = static_cast<std::size_t>(tokens.shape(2));
  const auto symbols = static_cast<std::size_t>(next.shape(1));
  pass.shift = static_cast<int>(std::bit_width(symbols - 1));
  within(next.shape(0) << pass.shift, 1, most_states, "entries of a pass, [states, symbols as a power of 2],");
  const auto begin = [&](int64_t state) {
    return static_cast<std::int32_t>(within(state, 0, next.shape(0) - 1, "states") << pass.shift);
  };
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
using PartFields = std::tuple<int64_t, Maybe, py::sequence, std::uint8_t, int>;

std::unique_ptr<Task> scratchpad_task(int64_t base, int64_t segments, const py::sequence& tracks,
                                      const py::sequence& passes, const py::sequence& kinds,
                                      const py::sequence& tail, Maybe turns, Maybe columns, int64_t repeat,
                                      bool divides, std::uint8_t separator) {
  check_base(base);
  scratchpads::Tables tables;
  tables.base = static_cast<int>(base);
  tables.segments = segments;
  for (const auto& [operand, each, moves, single] : list_of<TrackFields>(tracks, "tracks")) {
    tables.tracks.push_back({operand.value_or(scratchpads::none), each, moves, single});
  }
  tables.passes = list_of<scratchpads::Pass>(passes, "passes");
  const auto runs = list_of<Longs>(kinds, "runs [runs, 5, 2]");
  if (runs.size() != tables.runs.size()) refuse("runs of 8 kinds of rows", std::to_string(runs.size()));
  for (std::size_t kind = 0; kind < runs.size(); ++kind) {
    if (runs[kind].size() % 10 != 0) refuse("runs of rows [runs, 5, 2]", "shape " + shape_text(runs[kind]));
    const int64_t* at = runs[kind].data();
    for (py::ssize_t left = runs[kind].size(); left >= 10; left -= 10, at += 10) {  // [runs, 5, 2]
      tables.runs[kind].push_back({at[0], at[2], {at[4], at[5]}, {at[6], at[7]}, {at[8], at[9]}});
    }
  }
  for (const auto& [segment, track, lengths, end, row] : list_of<PartFields>(tail, "parts of the end")) {
    const auto number = static_cast<scratchpads::Part::Row>(within(row, 0, 2, "row of a part of the end"));
    tables.tail.push_back({segment, track.value_or(scratchpads::none), list_of<std::size_t>(lengths, "lengths"), end,
                           number});
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
