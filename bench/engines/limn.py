"""limn through its shared library.

A variant is how weights are stored and, behind a colon, how products are computed; without a colon
it is the file's own storage and float32. The first of a class is the one that peers are held
against.
"""

import ctypes
import json
import os
import pathlib

import numpy as np

NAME = "limn"
INSTALL = "scripts/build release"
VARIANTS = {
    "f32": "float32",
    "bf16:bf16": "16-bit",
    "bf16:f32": "16-bit",
    "f16:f32": "16-bit",
    "q8:int8": "8-bit",
    "q8:f32": "8-bit",
    "q4:int8": "4-bit",
    "q4:f32": "4-bit",
}
WEIGHTS = ("file", "f32", "f16", "bf16", "q8", "q4")  # limn_weights, by number
COMPUTE = ("f32", "bf16", "int8")  # limn_compute
ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
OPTIONS_SIZE = 256  # room for the options that are not set here; all zero is the default


def path():
    return os.environ.get("LIMN_LIB", str(ROOT / "build/release/liblimn.so"))


class Error(ctypes.Structure):
    _fields_ = [
        ("status", ctypes.c_int),
        ("offset", ctypes.c_uint64),
        ("text", ctypes.c_char * 512),
    ]


class ModelOptions(ctypes.Structure):
    _fields_ = [
        ("weights", ctypes.c_int),
        ("compute", ctypes.c_int),
        ("rest", ctypes.c_char * OPTIONS_SIZE),
    ]


class SessionOptions(ctypes.Structure):
    _fields_ = [
        ("pool", ctypes.c_void_p),
        ("n_ctx", ctypes.c_int),
        ("all_logits", ctypes.c_bool),
        ("rest", ctypes.c_char * OPTIONS_SIZE),
    ]


class Library:
    def __init__(self):
        self.lib = ctypes.CDLL(path())
        self.lib.limn_version.restype = ctypes.c_char_p
        self.lib.limn_session_logits.restype = ctypes.POINTER(ctypes.c_float)
        self.lib.limn_model_config.restype = ctypes.c_void_p

    def call(self, name, *arguments):
        error = Error()
        if getattr(self.lib, name)(*arguments, ctypes.byref(error)) != 0:
            raise RuntimeError(error.text.decode())


def missing():
    return None if os.path.exists(path()) else path()


def load():
    return Library()


def version():
    return Library().lib.limn_version().decode()


def prepare(variant, model, work):
    pass


class Engine:
    can_decode = True

    def __init__(self, variant, model, work, threads, n_ctx, all_logits=False):
        self.api = load()
        self.lib = self.api.lib
        self.pool, self.model = ctypes.c_void_p(), ctypes.c_void_p()
        self.api.call("limn_pool_new", ctypes.c_int(threads), ctypes.byref(self.pool))
        self.open(str(model).encode(), variant)
        self.session = self.new_session(n_ctx, all_logits)
        config = json.loads((pathlib.Path(model) / "config.json").read_text(encoding="utf-8"))
        self.vocab_size = config["vocab_size"]

    def open(self, model, variant):
        weights, _, compute = variant.partition(":")
        options = ModelOptions(
            weights=WEIGHTS.index(weights) if compute else 0,
            compute=COMPUTE.index(compute or "f32"),
        )
        where = ctypes.byref(self.model)
        self.api.call("limn_model_open_with", model, ctypes.byref(options), self.pool, where)

    def new_session(self, n_ctx, all_logits):
        session = ctypes.c_void_p()
        options = SessionOptions(pool=self.pool.value, n_ctx=n_ctx, all_logits=all_logits)
        self.api.call("limn_session_new", self.model, ctypes.byref(options), ctypes.byref(session))
        return session

    def evaluate(self, ids, n):
        self.api.call("limn_session_evaluate", self.session, ids, ctypes.c_size_t(n))
        rows = ctypes.c_size_t()
        at = self.lib.limn_session_logits(self.session, ctypes.byref(rows))
        return np.ctypeslib.as_array(at, (rows.value, self.vocab_size))

    def prefill(self, ids):
        return self.every(ids)[-1]

    def every(self, ids):
        """The logits of all positions, where the session was made for that."""
        self.lib.limn_session_reset(self.session)
        return self.evaluate((ctypes.c_int32 * len(ids))(*ids), len(ids))

    def decode(self, ids, each=None):
        self.lib.limn_session_reset(self.session)
        for i in ids:
            logits = self.evaluate(ctypes.byref(ctypes.c_int32(i)), 1)[0]
            if each:
                each(logits)
        return logits
