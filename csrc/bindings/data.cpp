#include "bindings/bind.h"

void bind_data(pybind11::module_&) {}
