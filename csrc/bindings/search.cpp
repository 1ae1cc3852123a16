// The search for couplings: NumPy arrays in and out of csrc/search.h.
#include "search.h"

#include <pybind11/numpy.h>

#include <algorithm>
#include <stdexcept>
#include <string>
#include <vector>

#include "bindings/bind.h"

namespace py = pybind11;

namespace {

using namespace arithtf::search;
using std::int64_t;

template <class T>
using Array = py::array_t<T, py::array::c_style>;

Examples to_examples(const Array<uint8_t>& tokens, const Array<int32_t>& query_places,
                     const Array<int32_t>& key_places, const Array<uint8_t>& targets) {
  if (tokens.ndim() != 2 || targets.ndim() != 2 || query_places.ndim() != 3 ||
      key_places.ndim() != 3) {
    throw std::invalid_argument("expected tokens and targets [B, T], places [B, 1 + P, T]");
  }
  const int64_t rows = tokens.shape(0), columns = tokens.shape(1), levels = key_places.shape(1);
  for (const auto* places : {&query_places, &key_places}) {
    if (places->shape(0) != rows || places->shape(1) != levels || places->shape(2) != columns) {
      throw std::invalid_argument("expected places [B, 1 + P, T] with the B and T of the tokens");
    }
  }
  if (targets.shape(0) != rows || targets.shape(1) != columns || levels < 1) {
    throw std::invalid_argument("expected targets of the tokens' shape and at least one level");
  }
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
  if (relations.ndim() != 2 || relations.shape(1) != static_cast<py::ssize_t>(fields) ||
      low > high) {
    throw std::invalid_argument("expected relations [N, 2 + 2 P] and low <= high");
  }
  std::vector<Relation> list;
  for (py::ssize_t n = 0; n < relations.shape(0); ++n) {
    const int64_t* row = relations.data(n);
    list.push_back({row[0], row[1], {row + 2, places}, {row + 2 + places, places}});
  }
  Array<uint64_t> sums({static_cast<int64_t>(list.size()), high - low + 1, examples.queries()});
  Array<int32_t> most({static_cast<int64_t>(list.size()), high - low + 1});
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
      rows.size() != factors) {
    throw std::invalid_argument("expected ascending offsets [N + 1] within rows and factors [M]");
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
    throw std::invalid_argument("expected lookups [A, Q], start [Q] and targets [Q]");
  }
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
