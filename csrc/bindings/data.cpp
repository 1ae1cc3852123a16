// Couplings, runs and ids: tables and arrays in, ids out.
#include <optional>
#include <tuple>

#include "bindings/arrays.h"
#include "bindings/bind.h"
#include "coupling.h"
#include "layout.h"
#include "philox.h"
#include "tasks/draw.h"

namespace {

using namespace arithtf;
using namespace arithtf::bindings;

Coupling make_coupling(const Longs& key, const Longs& query, const Longs& settings) {
  if (key.ndim() != 3 || key.shape(2) != 8 || query.ndim() != 3 || settings.ndim() != 2 ||
      settings.shape(1) != 5 || settings.shape(0) != key.shape(0) ||
      !std::equal(key.shape(), key.shape() + 3, query.shape())) {
    refuse("a coupling's tables key [L, S, 8], query [L, S, 8], settings [L, 5]",
           shape_text(key) + ", " + shape_text(query) + ", " + shape_text(settings));
  }
  return Coupling(key.data(), query.data(), settings.data(), key.shape(0), key.shape(1));
}

using Draws = std::tuple<std::uint64_t, std::uint64_t, std::uint64_t, bool>;

// Runs [R, 6] (segment, row, length, first, stride, token) and facts [B, 4] (gap, capacity, row stride,
// address of random parts); those of instance i are runs [offsets[i], offsets[i + 1]).
Runs make_runs(const Longs& runs, const Longs& offsets, const Longs& facts, const std::optional<Draws>& draws) {
  const int64_t count = offsets.ndim() == 1 ? offsets.shape(0) - 1 : -1;
  const int64_t* at = offsets.data();
  if (runs.ndim() != 2 || runs.shape(1) != 6 || count < 0 || facts.ndim() != 2 || facts.shape(0) != count ||
      facts.shape(1) != 4 || at[0] != 0 || !std::is_sorted(at, at + count + 1) || at[count] != runs.shape(0)) {
    refuse("runs [R, 6], ascending offsets [B + 1] from 0 to R, facts [B, 4]",
           shape_text(runs) + ", " + shape_text(offsets) + ", " + shape_text(facts));
  }
  // Sums and products of such numbers and a coupling's factors stay within 64 bits.
  const auto fits = [](int64_t value) { return value >= 0 && value <= std::numeric_limits<std::int32_t>::max(); };
  Runs made;
  if (draws) std::tie(made.draws.seed, made.draws.stream, made.draws.step, made.draws.random_start) = *draws;
  made.parts.resize(1);
  const int64_t* cell = runs.data();
  for (int64_t r = 0; r < runs.shape(0); ++r, cell += 6) {
    if (!std::all_of(cell, cell + 6, fits) || cell[4] < 1) {
      throw std::invalid_argument("run " + std::to_string(r) +
                                  ": expected numbers of 31 bits, not negative, and a stride of at least 1");
    }
    const auto narrow = [cell](int k) { return static_cast<std::int32_t>(cell[k]); };
    made.parts[0].push_back({narrow(0), narrow(1), narrow(2), narrow(3), narrow(4), narrow(5)});
    made.segments = std::max(made.segments, cell[0] + 1);
  }
  const int64_t* fact = facts.data();
  for (int64_t i = 0; i < count; ++i, fact += 4) {
    if (!std::all_of(fact, fact + 3, fits) || fact[1] > most_columns) {
      throw std::invalid_argument("instance " + std::to_string(i) + ": expected a gap, a capacity and a row stride "
                                  "of 31 bits, not negative, the capacity at most " + std::to_string(most_columns));
    }
    made.instances.push_back({0, at[i], at[i + 1] - at[i], fact[0], fact[1], fact[2], static_cast<std::uint64_t>(fact[3])});
    for (const Run& run : made.of(made.instances.back())) {
      if (run.row * fact[2] > most_row_cells) {
        refuse("a row times the distance of two rows of at most " + std::to_string(most_row_cells),
               std::to_string(run.row) + " times " + std::to_string(fact[2]));
      }
      if (run.length == 0) continue;
      const int64_t last = run.token + (run.length - int64_t{1}) * run.stride;
      made.columns = std::max(made.columns, 1 + last + (last > 0 ? fact[0] : 0));
      if (run.token == 0 && run.length > 1 && fact[0] > 0) {
        throw std::invalid_argument("expected a first run of one token where a gap follows it");
      }
    }
  }
  return made;
}

py::tuple runs_arrays(const Runs& runs) {
  const auto count = static_cast<int64_t>(runs.instances.size());
  int64_t total = 0;
  for (const auto& instance : runs.instances) total += instance.count;
  Longs cells({total, int64_t{6}}), offsets(count + 1), facts({count, int64_t{4}});
  int64_t *cell = cells.mutable_data(), *offset = offsets.mutable_data(), *fact = facts.mutable_data();
  *offset = 0;
  for (const auto& instance : runs.instances) {
    for (const Run& run : runs.of(instance)) {
      for (const std::int32_t value : {run.segment, run.row, run.length, run.first, run.stride, run.token}) *cell++ = value;
    }
    offset[1] = *offset + instance.count;
    ++offset;
    for (const int64_t value : {instance.gap, instance.capacity, instance.row_stride,
                                static_cast<int64_t>(instance.sample)}) *fact++ = value;
  }
  const auto& [seed, stream, step, random_start] = runs.draws;
  return py::make_tuple(cells, offsets, facts, Draws{seed, stream, step, random_start});
}

py::tuple make_ids(const Coupling& coupling, const Runs& runs, int64_t columns, int64_t ahead, int64_t threads) {
  if (ahead != 0 && ahead != 1) refuse("ahead 0 or 1", std::to_string(ahead));
  within(columns, 1, most_columns, "columns");
  check_threads(threads);
  if (runs.segments > coupling.segments || runs.columns > columns) {
    throw std::invalid_argument("expected runs of at most the coupling's " + std::to_string(coupling.segments) +
                                " segments within " + std::to_string(columns) + " columns, got " +
                                std::to_string(runs.segments) + " segments and " + std::to_string(runs.columns) +
                                " columns");
  }
  const std::vector<int64_t> shape{static_cast<int64_t>(runs.instances.size()),
                                   static_cast<int64_t>(coupling.levels.size()), columns};
  auto [query, key] = pooled_pair<std::int32_t>(shape);
  const IdRows out{query.mutable_data(), key.mutable_data()};
  {
    py::gil_scoped_release release;
    write_ids(coupling, runs, columns, ahead, threads, out);
  }
  return py::make_tuple(query, key);
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
      .def(py::init(&make_coupling), py::arg("key"), py::arg("query"), py::arg("settings"))
      .def("ids", &make_ids, py::arg("runs"), py::arg("columns"), py::arg("ahead"), py::arg("threads"),
           "Query and key ids int32 [B, L, T] of a batch's runs.");
  py::class_<Runs>(m, "Runs", "The segments of a batch's tokens.")
      .def(py::init(&make_runs), py::arg("runs"), py::arg("offsets"), py::arg("facts"), py::arg("draws") = py::none())
      .def("__len__", [](const Runs& runs) { return runs.instances.size(); })
      .def("arrays", &runs_arrays, "The arrays that the constructor takes.");
}
