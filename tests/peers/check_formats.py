#!/usr/bin/env python3
"""Compares limn's readers and writers with the packages safetensors and NumPy, both ways.

    check_formats.py [LIBLIMN [ROUNDS]]

LIBLIMN is the shared library (default: build/release/liblimn.so). Random tensors of every number
format and many shapes are written by one side and read by the other; every byte must be the same.
Damaged files are given to both: what the package refuses limn must refuse too, and the reverse,
except where docs/formats.md says so. Needs the packages safetensors and numpy.
"""
import ctypes
import os
import random
import struct
import sys
import tempfile

import numpy
import safetensors
import safetensors.numpy

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
MAX_RANK = 8
# limn_dtype by its order in limn/tensor.h; BF16 has no NumPy type and is checked by its bytes.
DTYPES = ["F32", "F64", "F16", "BF16", "I8", "I16", "I32", "I64", "U8", "U16", "U32", "U64", "BOOL"]
NUMPY = dict(zip(DTYPES, "f4 f8 f2 u2 i1 i2 i4 i8 u1 u2 u4 u8 ?".split()))


class Error(ctypes.Structure):
    _fields_ = [("status", ctypes.c_int), ("offset", ctypes.c_uint64), ("text", ctypes.c_char * 512)]


class Stored(ctypes.Structure):
    _fields_ = [
        ("data", ctypes.c_void_p),
        ("dtype", ctypes.c_int),
        ("rank", ctypes.c_int),
        ("shape", ctypes.c_int64 * MAX_RANK),
    ]


class Tensor(ctypes.Structure):
    _fields_ = [
        ("data", ctypes.c_void_p),
        ("rank", ctypes.c_int),
        ("shape", ctypes.c_int64 * MAX_RANK),
        ("stride", ctypes.c_int64 * MAX_RANK),
    ]


class Limn:
    def __init__(self, path):
        self.lib = ctypes.CDLL(path)
        self.lib.limn_safetensors_name_at.restype = ctypes.c_char_p
        self.lib.limn_safetensors_count.restype = ctypes.c_size_t
        self.lib.limn_npy_view.restype = Stored

    def call(self, name, *arguments):
        error = Error()
        if getattr(self.lib, name)(*arguments, ctypes.byref(error)) != 0:
            raise ValueError(error.text.decode())

    def write_safetensors(self, path, tensors, metadata, limit):
        writer = ctypes.c_void_p()
        self.call("limn_safetensors_writer_open", path.encode(), ctypes.c_size_t(limit), ctypes.byref(writer))
        for key, value in metadata.items():
            self.call("limn_safetensors_writer_metadata", writer, key.encode(), value.encode())
        for name, (dtype, array) in tensors.items():
            shape = (ctypes.c_int64 * MAX_RANK)(*array.shape)
            stored = Stored(array.ctypes.data, DTYPES.index(dtype), array.ndim, shape)
            self.call("limn_safetensors_writer_add", writer, name.encode(), ctypes.byref(stored))
        self.call("limn_safetensors_writer_commit", writer)

    def read_safetensors(self, path):
        """{name: (dtype, shape, bytes)}"""
        file, out = ctypes.c_void_p(), {}
        self.call("limn_safetensors_open", path.encode(), ctypes.byref(file))
        for i in range(self.lib.limn_safetensors_count(file)):
            stored = Stored()
            name = self.lib.limn_safetensors_name_at(file, ctypes.c_size_t(i)).decode()
            self.call("limn_safetensors_view_at", file, ctypes.c_size_t(i), ctypes.byref(stored))
            out[name] = self.content(stored)
        self.lib.limn_safetensors_close(file)
        return out

    @staticmethod
    def content(stored):
        dtype, shape = DTYPES[stored.dtype], tuple(stored.shape[: stored.rank])
        size = int(numpy.prod(shape, dtype=numpy.int64)) * numpy.dtype(NUMPY[dtype]).itemsize
        return dtype, shape, ctypes.string_at(stored.data, size) if size else b""

    def write_npy(self, path, array):
        strides = [stride // 4 for stride in array.strides]
        vector = ctypes.c_int64 * MAX_RANK
        tensor = Tensor(array.ctypes.data, array.ndim, vector(*array.shape), vector(*strides))
        self.call("limn_npy_write", path.encode(), ctypes.byref(tensor))

    def read_npy(self, path):
        file = ctypes.c_void_p()
        self.call("limn_npy_open", path.encode(), ctypes.byref(file))
        content = self.content(self.lib.limn_npy_view(file))
        self.lib.limn_npy_close(file)
        return content


def random_array(rng, dtype):
    shape = [rng.choice([0, 1, 1, 2, 3, 5, 8, 17]) for _ in range(rng.randrange(5))]
    count = int(numpy.prod(shape, dtype=numpy.int64))
    raw = bytes(rng.randrange(2) if dtype == "BOOL" else rng.randrange(256)
                for _ in range(count * numpy.dtype(NUMPY[dtype]).itemsize))
    return numpy.frombuffer(raw, NUMPY[dtype]).reshape(shape)


def random_tensors(rng):
    tensors = {}
    for i in range(rng.randrange(6)):
        dtype = rng.choice(DTYPES)
        name = rng.choice(["a", "é", "日本", 'q"\\', "x.y"]) + str(i)
        tensors[name] = (dtype, random_array(rng, dtype))
    return tensors


def check_safetensors(limn, rng, path):
    tensors, metadata = random_tensors(rng), {"k": "v\n\u20ac"} if rng.random() < 0.5 else {}
    limn.write_safetensors(path, tensors, metadata, rng.choice([0, 1, 64]))
    with open(path, "rb") as file:
        entries = dict(safetensors.deserialize(file.read()))
    assert entries.keys() == tensors.keys(), (entries.keys(), tensors.keys())
    for name, (dtype, array) in tensors.items():
        entry = entries[name]
        assert entry["dtype"] == dtype and tuple(entry["shape"]) == array.shape, name
        assert bytes(entry["data"]) == array.tobytes(), name
    with safetensors.safe_open(path, "np") as file:
        assert (file.metadata() or {}) == metadata
    theirs = {name: array for name, (dtype, array) in tensors.items() if dtype != "BF16"}
    safetensors.numpy.save_file(theirs, path)
    found = limn.read_safetensors(path)
    expected = {n: (tensors[n][0], a.shape, a.tobytes()) for n, a in theirs.items()}
    assert found == expected


def check_npy(limn, rng, path):
    array = random_array(rng, "F32")
    if array.ndim > 1 and rng.random() < 0.5:
        array = array.swapaxes(0, 1)
    limn.write_npy(path, array)
    found = numpy.load(path)
    assert found.dtype == numpy.dtype("<f4") and found.shape == array.shape
    assert found.tobytes() == array.tobytes()
    dtype = rng.choice([name for name in DTYPES if name != "BF16"])
    array = random_array(rng, dtype)
    with open(path, "wb") as file:
        numpy.save(file, array)
    found = limn.read_npy(path)
    assert found == (dtype, array.shape, array.tobytes())


def reads(function, *arguments):
    try:
        function(*arguments)
        return True
    except Exception:  # whatever the package throws
        return False


def damaged(rng, content):
    """The file with a byte of its header changed, or cut, or longer."""
    (n,) = struct.unpack("<Q", content[:8])
    kind = rng.randrange(4)
    if kind == 0:
        return content[: rng.randrange(len(content))]
    if kind == 1:
        return content + bytes(rng.randrange(1, 9))
    at = rng.randrange(8 + n)
    new = rng.choice(b'0123456789{}[],:" \x00\xff-.eE') if kind == 2 else rng.randrange(256)
    return content[:at] + bytes([new]) + content[at + 1 :]


def check_damage(limn, rng, path, counts):
    limn.write_safetensors(path, random_tensors(rng), {}, 0)
    with open(path, "rb") as file:
        content = damaged(rng, file.read())
    with open(path, "wb") as file:
        file.write(content)
    try:
        limn.read_safetensors(path)
        ours, why = True, ""
    except ValueError as refusal:
        ours, why = False, str(refusal)
    theirs = reads(safetensors.deserialize, content)
    counts[ours, theirs] = counts.get((ours, theirs), 0) + 1
    if ours != theirs and not ("which limn does not read" in why or "duplicate object key" in why):
        sys.exit(f"limn {'reads' if ours else 'refuses'} ({why}) what safetensors "
                 f"{'reads' if theirs else 'refuses'}: {content!r}")


def main():
    library = sys.argv[1] if len(sys.argv) > 1 else os.path.join(ROOT, "build/release/liblimn.so")
    rounds = int(sys.argv[2]) if len(sys.argv) > 2 else 2000
    limn, rng, counts = Limn(library), random.Random(0), {}
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "file")
        for _ in range(rounds):
            check_safetensors(limn, rng, path)
            check_npy(limn, rng, path)
            check_damage(limn, rng, path, counts)
    print(f"{rounds} rounds with safetensors {safetensors.__version__} and numpy "
          f"{numpy.__version__}: every byte the same; of the damaged files both read "
          f"{counts.get((True, True), 0)} and both refused {counts.get((False, False), 0)}, "
          f"only the package read {counts.get((False, True), 0)}")


if __name__ == "__main__":
    main()
