// Local contexts, covers, decoding by table: NumPy arrays in and out of csrc/{contexts,cover,memo}.h.
#include <pybind11/numpy.h>
#include <pybind11/stl.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>

#include "bindings/bind.h"
#include "bindings/checks.h"
#include "contexts.h"
#include "cover.h"
#include "memo.h"

namespace {

using namespace arithtf::bindings;
using namespace arithtf::contexts;
using arithtf::cover::ColumnAutomaton;

template <class T>
Array<T> to_array(const std::vector<T>& values) {
  return Array<T>(static_cast<py::ssize_t>(values.size()), values.data());
}

std::vector<Window> to_windows(const py::sequence& pairs) {
  std::vector<Window> windows;
  for (const auto& [back, ahead] : list_of<std::pair<int64_t, int64_t>>(pairs, "windows (back, ahead)")) {
    windows.push_back({back, ahead});
  }
  return windows;
}

constexpr int64_t most_instances = int64_t{1} << 62;

void check_ids(const Array<int32_t>& ids, const char* name, int64_t rows, int64_t levels,
               int64_t columns) {
  const bool good = ids.ndim() == 3 && (ids.shape(0) == rows || ids.shape(0) == 1) &&
                    ids.shape(1) == levels && ids.shape(2) == columns;
  if (good) return;
  throw std::invalid_argument(std::string(name) + ": expected shape [" + std::to_string(rows) +
                              " or 1, " + std::to_string(levels) + ", " + std::to_string(columns) +
                              "], got " + shape_text(ids));
}

BatchView to_view(const Array<uint8_t>& tokens, const Array<int32_t>& query_ids,
                  const Array<int32_t>& key_ids, int64_t levels) {
  if (tokens.ndim() != 2) {
    throw std::invalid_argument("tokens: expected shape [batch, columns], got " + shape_text(tokens));
  }
  const int64_t rows = tokens.shape(0), columns = tokens.shape(1);
  check_ids(query_ids, "query_ids", rows, levels, columns);
  check_ids(key_ids, "key_ids", rows, levels, columns);
  const auto stride = [&](const Array<int32_t>& ids) {
    return ids.shape(0) == 1 ? int64_t{0} : levels * columns;
  };
  return {tokens.data(), query_ids.data(), key_ids.data(),    rows,
          levels,        columns,          stride(query_ids), stride(key_ids)};
}

py::dict context_dict(const ContextPool& pool, const std::vector<Occurrence>& occurrences) {
  const ContextArrays arrays = unpack(pool);
  std::vector<uint8_t> target;
  std::vector<int64_t> instance, column, count;
  for (const auto& seen : occurrences) {
    target.push_back(seen.target);
    instance.push_back(seen.instance);
    column.push_back(seen.column);
    count.push_back(seen.count);
  }
  py::dict result;
  result["query_token"] = to_array(arrays.query_token);
  result["target"] = to_array(target);
  result["offsets"] = to_array(arrays.offsets);
  result["level"] = to_array(arrays.level);
  result["difference"] = to_array(arrays.difference);
  result["token"] = to_array(arrays.token);
  result["instance"] = to_array(instance);
  result["column"] = to_array(column);
  result["count"] = to_array(count);
  return result;
}

void bind_collector(py::module_& m) {
  py::class_<ContextCollector>(m, "ContextCollector")
      .def(py::init([](int64_t levels, const py::sequence& windows, int64_t sinks) {
             return std::make_unique<ContextCollector>(levels, to_windows(windows), sinks);
           }),
           py::arg("levels"), py::arg("windows"), py::arg("sinks") = 0)
      .def(
          "add",
          [](ContextCollector& self, const Array<uint8_t>& tokens, const Array<int32_t>& query_ids,
             const Array<int32_t>& key_ids, const Array<uint8_t>& targets, int64_t first_instance) {
            const BatchView view = to_view(tokens, query_ids, key_ids, self.levels());
            if (targets.ndim() != 2 || targets.shape(0) != view.rows ||
                targets.shape(1) != view.columns) {
              throw std::invalid_argument("targets: expected the shape of tokens " +
                                          shape_text(tokens) + ", got " + shape_text(targets));
            }
            within(first_instance, 0, most_instances - view.rows, "first_instance");
            const uint8_t* data = targets.data();
            const py::gil_scoped_release release;
            self.add(view, data, first_instance);
          },
          py::arg("tokens"), py::arg("query_ids"), py::arg("key_ids"), py::arg("targets"),
          py::arg("first_instance") = 0)
      .def("contexts",
           [](const ContextCollector& self) {
             return context_dict(self.pool(), self.occurrences());
           })
      .def("conflicts",
           [](const ContextCollector& self) {
             py::list list;
             for (const auto& c : self.conflicts()) {
               list.append(py::make_tuple(c.instance, c.column, c.target, c.other_instance,
                                          c.other_column, c.other_target));
             }
             return list;
           })
      .def("missing", &ContextCollector::missing, py::arg("other"))
      .def_property_readonly("queries", &ContextCollector::queries)
      .def("__len__", [](const ContextCollector& self) { return self.pool().size(); });
}

void insert_contexts(ContextTable& table, const Array<uint8_t>& query_token,
                     const Array<int64_t>& offsets, const Array<uint8_t>& level,
                     const Array<int32_t>& difference, const Array<uint8_t>& token,
                     const Array<uint8_t>& next_token) {
  const int64_t count = query_token.size(), entries = level.size();
  const int64_t* at = offsets.data();
  for (const py::array& list : std::initializer_list<py::array>{query_token, offsets, level, difference, token, next_token}) {
    check_list(list, -1, "every array of a ContextSet");
  }
  if (offsets.size() != count + 1 || next_token.size() != count || difference.size() != entries ||
      token.size() != entries || at[0] != 0 || at[count] != entries ||
      !std::is_sorted(at, at + count + 1)) {
    throw std::invalid_argument(
        "expected the arrays of a ContextSet and next_token [N], got " + std::to_string(count) +
        " contexts, " + std::to_string(offsets.size()) + " offsets, " + std::to_string(entries) +
        " entries, " + std::to_string(next_token.size()) + " next tokens");
  }
  const uint8_t *query = query_token.data(), *levels = level.data(), *tokens = token.data(),
                *next = next_token.data();
  const int32_t* differences = difference.data();
  const py::gil_scoped_release release;
  Words words;
  for (int64_t i = 0; i < count; ++i) {
    words.assign(1, query[i]);
    for (int64_t k = at[i]; k < at[i + 1]; ++k) {
      words.push_back(pack_entry(levels[k], differences[k], tokens[k]));
    }
    std::sort(words.begin() + 1, words.end());
    table.insert(words, next[i]);
  }
}

// A decoder and the arrays whose memory it uses.
struct BoundDecoder {
  BoundDecoder(ContextTable& table, Array<uint8_t> tokens_, Array<int32_t> query_ids_,
               Array<int32_t> key_ids_, int64_t start, uint8_t eos, int64_t threads)
      : tokens(std::move(tokens_)), query_ids(std::move(query_ids_)), key_ids(std::move(key_ids_)) {
    const auto levels = static_cast<int64_t>(table.windows().size());
    const BatchView view = to_view(tokens, query_ids, key_ids, levels);
    if (!tokens.writeable()) refuse("tokens that can be written", "a read-only array");
    check_apart(tokens, query_ids, "tokens", "query_ids");
    check_apart(tokens, key_ids, "tokens", "key_ids");
    arithtf::check_threads(threads);
    uint8_t* data = tokens.mutable_data();
    const py::gil_scoped_release release;
    decoder.emplace(table, view, data, start, eos, threads);
  }

  py::tuple run(int64_t threads) {
    arithtf::check_threads(threads);
    std::optional<Missing> missing;
    {
      const py::gil_scoped_release release;
      missing = decoder->run(threads);
    }
    const auto& flags = decoder->finished();
    Array<bool> finished(static_cast<py::ssize_t>(flags.size()));
    std::copy(flags.begin(), flags.end(), finished.mutable_data());
    return py::make_tuple(finished, context_dict(missing->pool, missing->occurrences));
  }

  Array<uint8_t> tokens;
  Array<int32_t> query_ids, key_ids;
  std::optional<MemoDecoder> decoder;
};

void bind_memo(py::module_& m) {
  py::class_<ContextTable>(m, "ContextTable")
      .def(py::init([](const py::sequence& windows, int64_t sinks) {
             return std::make_unique<ContextTable>(to_windows(windows), sinks);
           }),
           py::arg("windows"), py::arg("sinks") = 0)
      .def("insert", &insert_contexts, py::arg("query_token"), py::arg("offsets"), py::arg("level"),
           py::arg("difference"), py::arg("token"), py::arg("next_token"))
      .def("__len__", &ContextTable::size);
  py::class_<BoundDecoder>(m, "MemoDecoder")
      .def(py::init<ContextTable&, Array<uint8_t>, Array<int32_t>, Array<int32_t>, int64_t, uint8_t,
                    int64_t>(),
           py::arg("table"), py::arg("tokens").noconvert(), py::arg("query_ids"), py::arg("key_ids"),
           py::arg("start"), py::arg("eos"), py::arg("threads") = 0, py::keep_alive<1, 2>())
      .def("run", &BoundDecoder::run, py::arg("threads") = 0)
      .def_property_readonly("columns", [](const BoundDecoder& self) {
        return to_array(self.decoder->columns());
      });
}

py::tuple cover_walks(const Array<int32_t>& transitions, const py::sequence& labels, int32_t start,
                      const py::sequence& accepting, int64_t past, int64_t future, int64_t max_edges) {
  if (transitions.ndim() != 2) {
    throw std::invalid_argument("transitions: expected shape [states, symbols], got " +
                                shape_text(transitions));
  }
  within(transitions.shape(0), 1, INT32_MAX, "states");
  within(transitions.shape(1), 1, INT32_MAX - 1, "symbols");
  within(past, 0, INT32_MAX, "past");
  within(future, 0, INT32_MAX, "future");
  within(max_edges, 1, INT32_MAX, "max_edges");
  const auto ends = list_of<bool>(accepting, "accepting");
  ColumnAutomaton automaton{static_cast<int32_t>(transitions.shape(0)),
                            static_cast<int32_t>(transitions.shape(1)),
                            {transitions.data(), transitions.data() + transitions.size()},
                            list_of<int32_t>(labels, "labels"),
                            start,
                            {ends.begin(), ends.end()}};
  std::optional<arithtf::cover::Walks> walks;
  {
    const py::gil_scoped_release release;
    walks = arithtf::cover::cover(automaton, past, future, max_edges);
  }
  return py::make_tuple(to_array(walks->columns), to_array(walks->offsets), walks->edges,
                        walks->ends);
}

}  // namespace

void bind_contexts(py::module_& m) {
  bind_collector(m);
  bind_memo(m);
  m.def("cover", &cover_walks, py::arg("transitions"), py::arg("labels"), py::arg("start"),
        py::arg("accepting"), py::arg("past"), py::arg("future"),
        py::arg("max_edges") = int64_t{20'000'000});
}
