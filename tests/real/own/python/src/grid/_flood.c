/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include "flood.h"

/* reached(cells: bytes, width: int, start: int) -> int: how many cells can be walked to. */
static Py_ssize_t fill(char *cells, Py_ssize_t len, Py_ssize_t width, Py_ssize_t at) {
    if (at < 0 || at >= len || cells[at] == FLOOD_WALL || cells[at] == 1) return 0;
    cells[at] = 1;
    Py_ssize_t sum = 1 + fill(cells, len, width, at - width) + fill(cells, len, width, at + width);
    if (at % width) sum += fill(cells, len, width, at - 1);
    if ((at + 1) % width) sum += fill(cells, len, width, at + 1);
    return sum;
}

static PyObject *reached(PyObject *self, PyObject *args) {
    (void)self;
    const char *cells;
    Py_ssize_t len, width, start;
    if (!PyArg_ParseTuple(args, "y#nn", &cells, &len, &width, &start)) return NULL;
    if (width <= 0) return PyErr_Format(PyExc_ValueError, "width %zd", width);
    PyObject *copy = PyBytes_FromStringAndSize(cells, len);
    if (!copy) return NULL;
    Py_ssize_t sum = fill(PyBytes_AS_STRING(copy), len, width, start);
    Py_DECREF(copy);
    return PyLong_FromSsize_t(sum);
}

static PyMethodDef methods[] = {{"reached", reached, METH_VARARGS, "Cells that can be walked to."}, {0}};
static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "grid._flood", NULL, -1, methods, 0, 0, 0, 0};
PyMODINIT_FUNC PyInit__flood(void) { return PyModule_Create(&module); }
