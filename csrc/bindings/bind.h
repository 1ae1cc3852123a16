#pragma once
#include <pybind11/pybind11.h>

void bind_data(pybind11::module_& m);
void bind_tasks(pybind11::module_& m);
void bind_contexts(pybind11::module_& m);
void bind_attention(pybind11::module_& m);
void bind_search(pybind11::module_& m);
