// Windowed attention: NumPy views in, one output buffer filled, the GIL released in between.
#include "attention.h"

#include <pybind11/numpy.h>
#include <pybind11/stl.h>

#include <optional>
#include <stdexcept>
#include <string>

#include "bindings/bind.h"

namespace py = pybind11;

namespace {

using namespace arithtf::attention;
using std::int64_t;
using Floats = py::array_t<float>;
using Ints = py::array_t<std::int32_t>;

void require(bool good, const std::string& what) {
  if (!good) throw std::invalid_argument("windowed_attention: expected " + what);
}

template <typename T>
int64_t stride(const py::array_t<T>& a, int axis) {
  return static_cast<int64_t>(a.strides(axis)) / static_cast<int64_t>(sizeof(T));
}

template <typename T>
void require_rows(const py::array_t<T>& a, int ndim, const char* name) {
  require(a.ndim() == ndim, std::string(name) + " with " + std::to_string(ndim) + " axes");
  require(a.shape(ndim - 1) <= 1 || stride(a, ndim - 1) == 1,
          std::string(name) + " contiguous along its last axis");
}

Rows<const float> rows(const Floats& a, const char* name) {
  require_rows(a, 4, name);
  return {a.data(), stride(a, 0), stride(a, 1), stride(a, 2)};
}

Ids ids(const Ints& a, int64_t batch, int64_t levels, int64_t columns, const char* name) {
  require_rows(a, 3, name);
  require((a.shape(0) == 1 || a.shape(0) == batch) && a.shape(1) == levels && a.shape(2) == columns,
          std::string(name) + " [B or 1, levels, columns]");
  return {a.data(), a.shape(0) == 1 ? 0 : stride(a, 0), stride(a, 1)};
}

void windowed_attention(const Floats& query, const Floats& key, const Floats& value, Floats& out,
                        const Ints& query_ids, const Ints& key_ids, std::vector<int64_t> head_levels,
                        std::vector<std::pair<int64_t, int64_t>> windows,
                        const std::optional<Floats>& bias, const Floats& scale, bool log_scale,
                        int64_t sinks, bool causal, int64_t query_start,
                        const std::optional<Ints>& prefix, const std::optional<Ints>& documents,
                        int64_t threads) {
  Problem p{};
  p.query = rows(query, "query");
  p.key = rows(key, "key");
  p.value = rows(value, "value");
  require_rows(out, 4, "out");
  p.out = {out.mutable_data(), stride(out, 0), stride(out, 1), stride(out, 2)};
  p.batch = query.shape(0);
  p.heads = query.shape(1);
  p.queries = query.shape(2);
  p.dim = query.shape(3);
  p.keys = key.shape(2);
  for (const Floats* a : {&key, &value}) {
    require(a->shape(0) == p.batch && a->shape(1) == p.heads && a->shape(2) == p.keys &&
                a->shape(3) == p.dim,
            "key and value [B, H, Tk, D]");
  }
  require(std::equal(query.shape(), query.shape() + 4, out.shape()), "out of the query's shape");
  const auto levels = static_cast<int64_t>(windows.size());
  p.query_ids = ids(query_ids, p.batch, levels, p.queries, "query_ids");
  p.key_ids = ids(key_ids, p.batch, levels, p.keys, "key_ids");
  p.head_levels = std::move(head_levels);
  p.windows = std::move(windows);
  if (bias) {
    require_rows(*bias, 2, "bias");
    require(bias->shape(0) == p.heads && bias->shape(1) % 2 == 1 &&
                (p.heads == 1 || stride(*bias, 0) == bias->shape(1)),
            "bias [H, 2R+1], contiguous");
    p.bias = bias->data();
    p.reach = bias->shape(1) / 2;
  }
  require_rows(scale, 1, "scale");
  require(scale.shape(0) == p.heads, "scale [H]");
  p.scale = scale.data();
  p.log_scale = log_scale;
  p.sinks = sinks;
  p.causal = causal;
  p.query_start = query_start;
  if (prefix) {
    require_rows(*prefix, 1, "prefix");
    require(prefix->shape(0) == p.batch, "prefix [B]");
    p.prefix = prefix->data();
  }
  if (documents) {
    require_rows(*documents, 2, "documents");
    require((documents->shape(0) == 1 || documents->shape(0) == p.batch) &&
                documents->shape(1) == p.keys,
            "documents [B or 1, Tk]");
    p.documents = {documents->data(), documents->shape(0) == 1 ? 0 : stride(*documents, 0), 0};
  }
  const py::gil_scoped_release release;
  windowed(p, threads);
}

Floats exponentials(const Floats& values) {
  require_rows(values, 1, "values");
  Floats out(values.shape(0));
  std::copy(values.data(), values.data() + values.shape(0), out.mutable_data());
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
  m.def("use_attention_build", &use_build, py::arg("name"), "Choose a build of the kernel.");
}
