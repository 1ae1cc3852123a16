// Windowed attention: NumPy views in, one output buffer filled, the GIL released in between.
#include "attention.h"

#include <pybind11/numpy.h>
#include <pybind11/stl.h>

#include <optional>
#include <stdexcept>
#include <string>

#include "bindings/bind.h"
#include "bindings/checks.h"

namespace {

using namespace arithtf::attention;
using namespace arithtf::bindings;

// Rows anywhere in memory, each number at an address of its own size. Of others NumPy makes a copy, which must not
// happen to what is written.
constexpr int aligned = py::detail::npy_api::NPY_ARRAY_ALIGNED_;
using Floats = py::array_t<float, aligned>;
using Ints = py::array_t<std::int32_t, aligned>;
using Written = py::array_t<float>;

void require(bool good, const std::string& what, const std::string& got) {
  if (!good) refuse(what, got);
}

int64_t stride(const py::array& a, int axis) { return int64_t{a.strides(axis)} / int64_t{a.itemsize()}; }

void require_rows(const py::array& a, int ndim, const char* name) {
  require(a.ndim() == ndim, std::string(name) + " with " + std::to_string(ndim) + " axes", "shape " + shape_text(a));
  require(a.size() == 0 || a.shape(ndim - 1) == 1 || a.strides(ndim - 1) == a.itemsize(),
          std::string(name) + " contiguous along its last axis", "steps of " + std::to_string(a.strides(ndim - 1)) +
          " bytes");
}

Rows<const float> rows(const Floats& a, const char* name) {
  require_rows(a, 4, name);
  return {a.data(), stride(a, 0), stride(a, 1), stride(a, 2)};
}

Ids ids(const Ints& a, int64_t batch, int64_t levels, int64_t columns, const char* name) {
  require_rows(a, 3, name);
  require((a.shape(0) == 1 || a.shape(0) == batch) && a.shape(1) == levels && a.shape(2) == columns,
          std::string(name) + " [" + std::to_string(batch) + " or 1, " + std::to_string(levels) + ", " +
              std::to_string(columns) + "]",
          "shape " + shape_text(a));
  return {a.data(), a.shape(0) == 1 ? 0 : stride(a, 0), stride(a, 1)};
}

// What is written: rows that do not overlap, of nothing that is read.
Rows<float> written(Written& out, const Floats& query) {
  require_rows(out, 4, "out");
  require(std::equal(query.shape(), query.shape() + 4, out.shape()), "out of the query's shape " + shape_text(query),
          shape_text(out));
  require(out.writeable(), "out that can be written", "a read-only array");
  require(out.flags() & aligned, "out aligned to its numbers", "an array that is not");
  std::vector<std::pair<int64_t, int64_t>> axes;  // steps and extents, the smallest step first
  for (int axis = 0; axis < 4; ++axis) {
    if (out.shape(axis) > 1) axes.emplace_back(std::abs(stride(out, axis)), out.shape(axis));
  }
  std::sort(axes.begin(), axes.end());
  int64_t reach = 1;
  for (const auto& [step, extent] : axes) {
    require(step >= reach || out.size() == 0, "out whose rows do not overlap", "rows that do");
    reach = step * extent;
  }
  return {out.mutable_data(), stride(out, 0), stride(out, 1), stride(out, 2)};
}

void windowed_attention(const Floats& query, const Floats& key, const Floats& value, Written& out,
                        const Ints& query_ids, const Ints& key_ids, const py::sequence& head_levels,
                        const py::sequence& windows,
                        const std::optional<Floats>& bias, const Floats& scale, bool log_scale,
                        int64_t sinks, bool causal, int64_t query_start,
                        const std::optional<Ints>& prefix, const std::optional<Ints>& documents,
                        int64_t threads) {
  Problem p{};
  p.query = rows(query, "query");
  p.key = rows(key, "key");
  p.value = rows(value, "value");
  p.out = written(out, query);
  for (const auto& [read, name] : {std::pair{&query, "query"}, {&key, "key"}, {&value, "value"}, {&scale, "scale"}}) {
    check_apart(out, *read, "out", name);
  }
  p.batch = query.shape(0);
  p.heads = query.shape(1);
  p.queries = query.shape(2);
  p.dim = query.shape(3);
  p.keys = key.shape(2);
  for (const Floats* a : {&key, &value}) {
    require(a->shape(0) == p.batch && a->shape(1) == p.heads && a->shape(2) == p.keys &&
                a->shape(3) == p.dim,
            "key and value [B, H, Tk, D] of the query's B, H and D " + shape_text(query), "shape " + shape_text(*a));
  }
  p.windows = list_of<std::pair<int64_t, int64_t>>(windows, "windows (back, ahead)");
  p.head_levels = list_of<int64_t>(head_levels, "head_levels");
  const auto levels = static_cast<int64_t>(p.windows.size());
  p.query_ids = ids(query_ids, p.batch, levels, p.queries, "query_ids");
  p.key_ids = ids(key_ids, p.batch, levels, p.keys, "key_ids");
  if (bias) {
    require_rows(*bias, 2, "bias");
    require(bias->shape(0) == p.heads && bias->shape(1) % 2 == 1 &&
                (p.heads == 1 || stride(*bias, 0) == bias->shape(1)),
            "bias [" + std::to_string(p.heads) + ", 2 R + 1], contiguous", "shape " + shape_text(*bias));
    p.bias = bias->data();
    p.reach = bias->shape(1) / 2;
  }
  require_rows(scale, 1, "scale");
  check_list(scale, p.heads, "scale");
  p.scale = scale.data();
  p.log_scale = log_scale;
  p.sinks = std::min(within(sinks, 0, std::numeric_limits<int64_t>::max(), "sinks"), p.keys);
  p.causal = causal;
  p.query_start = query_start;
  if (prefix) {
    require_rows(*prefix, 1, "prefix");
    check_list(*prefix, p.batch, "prefix");
    p.prefix = prefix->data();
  }
  if (documents) {
    require_rows(*documents, 2, "documents");
    require((documents->shape(0) == 1 || documents->shape(0) == p.batch) &&
                documents->shape(1) == p.keys,
            "documents [" + std::to_string(p.batch) + " or 1, " + std::to_string(p.keys) + "]",
            "shape " + shape_text(*documents));
    p.documents = {documents->data(), documents->shape(0) == 1 ? 0 : stride(*documents, 0), 0};
  }
  arithtf::check_threads(threads);
  const py::gil_scoped_release release;
  windowed(p, threads);
}

Array<float> exponentials(const Array<float>& values) {
  const int64_t count = check_list(values, -1, "values");
  const float* end = values.data() + count;
  if (const float* wrong = std::find_if(values.data(), end, [](float x) { return x > 0; }); wrong != end) {
    refuse("values of at most 0", std::to_string(*wrong));
  }
  Array<float> out(count);
  std::copy(values.data(), end, out.mutable_data());
  exp_nonpositive(out.mutable_data(), out.shape(0));
  return out;
}

}  // namespace

void bind_attention(py::module_& m) {
  m.def("windowed_attention", &windowed_attention, py::kw_only(), py::arg("query").noconvert(),
        py::arg("key").noconvert(), py::arg("value").noconvert(), py::arg("out").noconvert(),
        py::arg("query_ids").noconvert(), py::arg("key_ids").noconvert(), py::arg("head_levels"),
        py::arg("windows"), py::arg("bias").noconvert(), py::arg("scale").noconvert(),
        py::arg("log_scale"), py::arg("sinks"), py::arg("causal"), py::arg("query_start"),
        py::arg("prefix").noconvert(), py::arg("documents").noconvert(), py::arg("threads"),
        "Windowed softmax attention; fills `out` [B, H, Tq, D].");
  m.def("exp_nonpositive", &exponentials, py::arg("values"), "exp of float32 values <= 0 [N].");
  m.def("attention_builds", &builds, "Builds of the kernel this processor can run, default first.");
  m.def("use_attention_build", [](const std::string& name) { use_build(name); }, py::arg("name"), "Choose a build of the kernel.");
}
