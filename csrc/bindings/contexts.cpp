// Local contexts and covers: translation between NumPy arrays and csrc/contexts.h, csrc/cover.h.
#include <pybind11/numpy.h>
#include <pybind11/stl.h>

#include <optional>
#include <stdexcept>
#include <string>
#include <utility>

#include "bindings/bind.h"
#include "contexts.h"
#include "cover.h"

namespace py = pybind11;

namespace {

using arithtf::contexts::BatchView;
using arithtf::contexts::ContextArrays;
using arithtf::contexts::ContextCollector;
using arithtf::contexts::Window;
using arithtf::cover::ColumnAutomaton;

template <class T>
using Array = py::array_t<T, py::array::c_style>;

template <class T>
Array<T> to_array(const std::vector<T>& values) {
  return Array<T>(static_cast<py::ssize_t>(values.size()), values.data());
}

std::string shape_text(const py::array& array) {
  std::string text = "[";
  for (py::ssize_t i = 0; i < array.ndim(); ++i) {
    text += (i ? ", " : "") + std::to_string(array.shape(i));
  }
  return text + "]";
}

std::vector<Window> to_windows(const std::vector<std::pair<int64_t, int64_t>>& pairs) {
  std::vector<Window> windows;
  for (const auto& [back, ahead] : pairs) windows.push_back({back, ahead});
  return windows;
}

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

py::dict collected(const ContextCollector& collector) {
  const ContextArrays arrays = unpack(collector.pool());
  std::vector<uint8_t> target;
  std::vector<int64_t> instance, column, count;
  for (const auto& seen : collector.occurrences()) {
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
      .def(py::init([](int64_t levels, const std::vector<std::pair<int64_t, int64_t>>& windows,
                       int64_t sinks) {
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
            const uint8_t* data = targets.data();
            const py::gil_scoped_release release;
            self.add(view, data, first_instance);
          },
          py::arg("tokens"), py::arg("query_ids"), py::arg("key_ids"), py::arg("targets"),
          py::arg("first_instance") = 0)
      .def("contexts", &collected)
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

py::tuple cover_walks(const Array<int32_t>& transitions, std::vector<int32_t> labels, int32_t start,
                      const std::vector<bool>& accepting, int64_t past, int64_t future,
                      int64_t max_edges) {
  if (transitions.ndim() != 2) {
    throw std::invalid_argument("transitions: expected shape [states, symbols], got " +
                                shape_text(transitions));
  }
  ColumnAutomaton automaton{static_cast<int32_t>(transitions.shape(0)),
                            static_cast<int32_t>(transitions.shape(1)),
                            {transitions.data(), transitions.data() + transitions.size()},
                            std::move(labels),
                            start,
                            {accepting.begin(), accepting.end()}};
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
  m.def("cover", &cover_walks, py::arg("transitions"), py::arg("labels"), py::arg("start"),
        py::arg("accepting"), py::arg("past"), py::arg("future"),
        py::arg("max_edges") = int64_t{20'000'000});
}
