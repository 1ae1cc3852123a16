// The Python module arithtf._core: translation only, no logic.
#include "bindings/bind.h"

PYBIND11_MODULE(_core, m) {
  m.doc() = "C++ core of arithtf: data, local contexts, windowed attention on the CPU.";
  bind_data(m);
  bind_tasks(m);
  bind_contexts(m);
  bind_attention(m);
  bind_search(m);
}
