// The search for couplings: NumPy arrays in and out of csrc/search.h.
#include "search.h"

#include <pybind11/numpy.h>

#include <algorithm>
#include <cmath>
#include <stdexcept>
#include <string>
#include <vector>

#include "bindings/bind.h"
#include "bindings/checks.h"

namespace {

using namespace arithtf::bindings;
using namespace arithtf::search;

// A place is of 32 bits: sums of products with such factors are far from 64.
constexpr int64_t largest_factor = int64_t{1} << 20, most_places = 64;
constexpr int64_t most_values = int64_t{1} << 24;

Examples to_examples(const Array<uint8_t>& tokens, const Array<int32_t>& query_places,
                     const Array<int32_t>& key_places, const Array<uint8_t>& targets) {
  if (tokens.ndim() != 2 || targets.ndim() != 2 || query_places.ndim() != 3 ||
      key_places.ndim() != 3) {
    refuse("tokens and targets [B, T], places [B, 1 + P, T]",
           shape_text(tokens) + ", " + shape_text(targets) + ", " + shape_text(query_places) + ", " +
               shape_text(key_places));
  }
  const int64_t rows = tokens.shape(0), columns = tokens.shape(1), levels = key_places.shape(1);
  for (const auto* places : {&query_places, &key_places}) {
    if (places->shape(0) != rows || places->shape(1) != levels || places->shape(2) != columns) {
      refuse("places [B, 1 + P, T] with the B and T of the tokens " + shape_text(tokens), shape_text(*places));
    }
  }
  if (targets.shape(0) != rows || targets.shape(1) != columns || levels < 1) {
    refuse("targets of the tokens' shape " + shape_text(tokens) + " and at least one level",
           shape_text(targets) + " and " + std::to_string(levels) + " levels");
  }
  within(levels, 1, 1 + most_places, "levels");
  const int64_t stride = levels * columns;
  return {{tokens.data(), query_places.data(), key_places.data(), rows, levels, columns, stride,
           stride},
          targets.data()};
}

py::tuple lookups(const Array<uint8_t>& tokens, const Array<int32_t>& query_places,
                 const Array<int32_t>& key_places, const Array<uint8_t>& targets,
                 const Array<int64_t>& relations, int64_t low, int64_t high, int64_t threads) {
  const Examples examples = to_examples(tokens, query_places, key_places, targets);
  const auto places = static_cast<std::size_t>(examples.batch.levels - 1);
  const auto fields = 2 + 2 * places;
  if (relations.ndim() != 2 || relations.shape(1) != static_cast<py::ssize_t>(fields)) {
    refuse("relations [N, " + std::to_string(fields) + "], 2 + 2 P fields of P places", shape_text(relations));
  }
  within(low, -INT32_MAX, INT32_MAX, "low");
  within(high, low, std::min<int64_t>(INT32_MAX, low + most_values - 1), "high");
  arithtf::check_threads(threads);
  std::vector<Relation> list;
  for (py::ssize_t n = 0; n < relations.shape(0); ++n) {
    const int64_t* row = relations.data(n);
    for (std::size_t k = 2; k < fields; ++k) within(row[k], -largest_factor, largest_factor, "factors of places");
    list.push_back({row[0], row[1], {row + 2, places}, {row + 2 + places, places}});
  }
  auto sums = fresh<uint64_t>({static_cast<int64_t>(list.size()), high - low + 1, examples.queries()});
  auto most = fresh<int32_t>({static_cast<int64_t>(list.size()), high - low + 1});
  uint64_t* sums_data = sums.mutable_data();
  int32_t* most_data = most.mutable_data();
  {
    py::gil_scoped_release release;
    write_lookups(examples, list, low, high, threads, sums_data, most_data);
  }
  return py::make_tuple(sums, most);
}

void check_terms(const Array<int64_t>& offsets, const Array<int64_t>& rows, int64_t factors,
                 int64_t lookups_given) {
  const int64_t* at = offsets.data();
  const int64_t count = offsets.ndim() == 1 ? offsets.size() : 0;
  if (count < 1 || at[0] < 0 || !std::is_sorted(at, at + count) || at[count - 1] > rows.size() ||
      rows.ndim() != 1 || rows.size() != factors) {
    refuse("ascending offsets [N + 1] within rows and factors [M]",
           shape_text(offsets) + ", " + shape_text(rows) + " and " + std::to_string(factors) + " factors");
  }
  const auto outside = [&](int64_t row) { return row < 0 || row >= lookups_given; };
  if (std::any_of(rows.data(), rows.data() + rows.size(), outside)) {
    throw std::invalid_argument("expected rows below " + std::to_string(lookups_given));
  }
}

py::tuple score_candidates(const Array<uint64_t>& sums, const Array<uint64_t>& start,
                           const Array<uint8_t>& targets, int64_t symbols,
                           const Array<int64_t>& offsets, const Array<int64_t>& rows,
                           const Array<uint64_t>& factors, double alpha, double most_bits,
                           int64_t most_conflicts, int64_t threads) {
  if (sums.ndim() != 2 || start.ndim() != 1 || sums.shape(1) != start.size() ||
      targets.size() != start.size()) {
    refuse("lookups [A, Q], start [Q] and targets [Q]",
           shape_text(sums) + ", " + shape_text(start) + ", " + shape_text(targets));
  }
  within(symbols, 1, 256, "symbols");
  within(start.size(), 0, INT32_MAX, "queries");
  bytes_of({start.size(), symbols}, sizeof(uint32_t));
  if (!(alpha > 0) || std::isinf(alpha)) refuse("a finite alpha > 0", std::to_string(alpha));
  if (std::isnan(most_bits)) refuse("a number of most_bits", "nan");
  arithtf::check_threads(threads);
  check_terms(offsets, rows, factors.size(), sums.shape(0));
  const auto size = [](py::ssize_t n) { return static_cast<std::size_t>(n); };
  const Queries queries{
      {start.data(), size(start.size())}, {targets.data(), size(targets.size())}, symbols};
  const Candidates candidates{{offsets.data(), size(offsets.size())},
                              {rows.data(), size(rows.size())},
                              {factors.data(), size(factors.size())}};
  std::vector<Score> scores(size(offsets.size()) - 1);
  {
    py::gil_scoped_release release;
    score(sums.data(), queries, candidates, alpha, most_bits, most_conflicts, threads,
          scores.data());
  }
  const auto count = static_cast<py::ssize_t>(scores.size());
  Array<int64_t> contexts(count), conflicts(count);
  Array<double> bits(count);
  Array<bool> complete(count);
  for (py::ssize_t c = 0; c < count; ++c) {
    const Score& one = scores[size(c)];
    contexts.mutable_at(c) = one.contexts;
    conflicts.mutable_at(c) = one.conflicts;
    bits.mutable_at(c) = one.bits;
    complete.mutable_at(c) = one.complete;
  }
  return py::make_tuple(contexts, conflicts, bits, complete);
}

}  // namespace

void bind_search(py::module_& m) {
  m.def("lookups", &lookups, py::arg("tokens"), py::arg("query_places"), py::arg("key_places"),
        py::arg("targets"), py::arg("relations"), py::arg("low"), py::arg("high"),
        py::arg("threads"),
        "What queries see by relations of places: sums [N, E, Q] and most tokens seen [N, E].");
  m.def("score_candidates", &score_candidates, py::arg("lookups"), py::arg("start"),
        py::arg("targets"), py::arg("symbols"), py::arg("offsets"), py::arg("rows"),
        py::arg("factors"), py::kw_only(), py::arg("alpha"), py::arg("most_bits"),
        py::arg("most_conflicts"), py::arg("threads"),
        "Contexts, conflicts, code length of candidates, and whether they were read to the end.");
  m.def("token_code", &token_code, py::arg("token"), "The number that stands for a token.");
}
