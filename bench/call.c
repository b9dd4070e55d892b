/*
 * call.c - limn's encoder as a Python function, for short prompts: a call through ctypes takes
 * twice as long as encoding 128 bytes.
 *
 *     cc -O2 -shared -fPIC -I PYTHON_HEADERS bench/call.c -o FOLDER/call.so
 *
 * encode(address of limn_encoder_encode, encoder, text, address of ids, capacity) -> how many ids.
 */
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <limn/tokenizer.h>

static PyObject *encode(PyObject *self, PyObject *const *args, Py_ssize_t n) {
  __typeof__(&limn_encoder_encode) function;
  char *text;
  Py_ssize_t size;
  size_t n_ids = 0;
  (void)self;
  if (n != 5 || PyBytes_AsStringAndSize(args[2], &text, &size) != 0) return NULL;
  *(void **)&function = PyLong_AsVoidPtr(args[0]);
  limn_encoder *encoder = PyLong_AsVoidPtr(args[1]);
  int32_t *ids = PyLong_AsVoidPtr(args[3]);
  size_t capacity = PyLong_AsSize_t(args[4]);
  if (PyErr_Occurred()) return NULL;
  limn_status status = function(encoder, text, (size_t)size, LIMN_SPECIAL_AS_TEXT, ids, capacity,
                                &n_ids, NULL, NULL);
  if (status != LIMN_OK) return PyErr_Format(PyExc_RuntimeError, "limn: status %d", (int)status);
  return PyLong_FromSize_t(n_ids);
}

static PyMethodDef methods[] = {
    {"encode", (PyCFunction)(void (*)(void))encode, METH_FASTCALL, "Encodes bytes."},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef module = {
    .m_base = PyModuleDef_HEAD_INIT, .m_name = "call", .m_size = -1, .m_methods = methods};

PyMODINIT_FUNC PyInit_call(void) {
  return PyModule_Create(&module);
}
