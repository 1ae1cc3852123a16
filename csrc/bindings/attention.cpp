#include "bindings/bind.h"

void bind_attention(pybind11::module_&) {}
