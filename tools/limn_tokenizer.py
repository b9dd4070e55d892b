"""limn's tokenizer in Python, for the tools beside it: the shared library through ctypes."""

import ctypes
import ctypes.util
import os
import pathlib

ROOT = pathlib.Path(__file__).resolve().parent.parent


class _Tokens(ctypes.Structure):  # limn_tokens of limn/tokenizer.h
    _fields_ = [
        ("ids", ctypes.POINTER(ctypes.c_int32)),
        ("offsets", ctypes.POINTER(ctypes.c_size_t)),
        ("n", ctypes.c_size_t),
        ("capacity", ctypes.c_size_t),
    ]


class _Error(ctypes.Structure):  # limn_error of limn/base.h
    _fields_ = [
        ("status", ctypes.c_int),
        ("offset", ctypes.c_uint64),
        ("text", ctypes.c_char * 512),
    ]


def library_path():
    """$LIMN_LIB, else the build of this tree, else the installed library."""
    places = [os.environ.get("LIMN_LIB"), ROOT / "build/release/liblimn.so"]
    if os.environ.get("LIMN"):
        places.insert(1, pathlib.Path(os.environ["LIMN"]).parent / "liblimn.so")
    for place in places:
        if place and os.path.exists(place):
            return str(place)
    found = ctypes.util.find_library("limn")
    if not found:
        raise OSError("liblimn.so is not there: build limn first, or set LIMN_LIB")
    return found


class Tokenizer:
    """The tokenizer in a folder with vocab.json and merges.txt, or tokenizer.json."""

    def __init__(self, folder):
        self._library = ctypes.CDLL(library_path())
        self._library.limn_tokenizer_close.argtypes = [ctypes.c_void_p]
        self._library.limn_tokens_deinit.argtypes = [ctypes.POINTER(_Tokens)]
        self._handle = ctypes.c_void_p()
        self._call("limn_tokenizer_open", os.fsencode(folder), ctypes.byref(self._handle))

    def _call(self, name, *arguments):
        error = _Error()
        if getattr(self._library, name)(*arguments, ctypes.byref(error)) != 0:
            raise ValueError(error.text.decode("utf-8", "replace"))

    def encode(self, text):
        """The ids of a text; special tokens in it are ordinary characters."""
        data, tokens = text.encode("utf-8", "surrogateescape"), _Tokens()
        try:
            self._call(
                "limn_tokenizer_encode",
                self._handle,
                data,
                ctypes.c_size_t(len(data)),
                0,
                ctypes.byref(tokens),
            )
            return tokens.ids[: tokens.n]
        finally:
            self._library.limn_tokens_deinit(ctypes.byref(tokens))

    def close(self):
        self._library.limn_tokenizer_close(self._handle)
        self._handle = ctypes.c_void_p()
