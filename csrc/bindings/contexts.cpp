#include "bindings/bind.h"

void bind_contexts(pybind11::module_&) {}
