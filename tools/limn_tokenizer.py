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


class _Text(ctypes.Structure):  # limn_text
    _fields_ = [("bytes", ctypes.c_void_p), ("n", ctypes.c_size_t)]


class _Batch(ctypes.Structure):  # limn_batch
    _fields_ = [
        ("ids", ctypes.POINTER(ctypes.c_int32)),
        ("starts", ctypes.POINTER(ctypes.c_size_t)),
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


def _check(function, *arguments):
    error = _Error()
    if function(*arguments, ctypes.byref(error)) != 0:
        raise ValueError(error.text.decode("utf-8", "replace"))


class Tokenizer:
    """The tokenizer in a folder or a file that limn reads."""

    def __init__(self, folder):
        self._library = ctypes.CDLL(library_path())
        self._library.limn_tokenizer_close.argtypes = [ctypes.c_void_p]
        self._library.limn_tokens_deinit.argtypes = [ctypes.POINTER(_Tokens)]
        self._library.limn_batch_deinit.argtypes = [ctypes.POINTER(_Batch)]
        self._library.limn_tokenizer_bytes.argtypes = [
            ctypes.c_void_p,
            ctypes.c_int32,
            ctypes.c_void_p,
        ]
        self._library.limn_tokenizer_bytes.restype = ctypes.c_void_p
        self._handle = ctypes.c_void_p()
        self._call("limn_tokenizer_open", os.fsencode(folder), ctypes.byref(self._handle))

    def _call(self, name, *arguments):
        _check(getattr(self._library, name), *arguments)

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

    def encode_bytes(self, data):
        """The ids of any bytes, as a list."""
        return self.encode(data.decode("utf-8", "surrogateescape"))

    def encode_many(self, texts, cache=1 << 20):
        """The ids of many texts (bytes), as one array, and how many each has."""
        import numpy as np

        data = b"".join(texts)
        sizes = np.fromiter(map(len, texts), np.uint64, len(texts))
        rows = np.empty((len(texts), 2), np.uint64)
        buffer = ctypes.create_string_buffer(data, len(data) + 1)
        rows[:, 0] = ctypes.addressof(buffer) + np.cumsum(sizes) - sizes
        rows[:, 1] = sizes
        batch = _Batch()
        self._call(
            "limn_tokenizer_encode_batch",
            self._handle,
            None,
            rows.ctypes.data_as(ctypes.POINTER(_Text)),
            ctypes.c_size_t(len(texts)),
            0,
            ctypes.c_size_t(cache),
            ctypes.byref(batch),
        )
        starts = np.ctypeslib.as_array(batch.starts, (len(texts) + 1,)).astype(np.int64)
        n = int(starts[-1])
        ids = np.ctypeslib.as_array(batch.ids, (n,)).copy() if n else np.empty(0, np.int32)
        self._library.limn_batch_deinit(ctypes.byref(batch))
        return ids, np.diff(starts)

    def vocab_size(self):
        return self._library.limn_tokenizer_vocab_size(self._handle)

    def bytes_of(self, token):
        """The bytes of a token; None where there is none."""
        n = ctypes.c_size_t()
        at = self._library.limn_tokenizer_bytes(self._handle, token, ctypes.byref(n))
        return ctypes.string_at(at, n.value) if at else None

    def close(self):
        self._library.limn_tokenizer_close(self._handle)
        self._handle = ctypes.c_void_p()


class _TrainerOptions(ctypes.Structure):  # limn_trainer_options of limn/tokenizer_training.h
    _fields_ = [
        ("pattern", ctypes.c_char_p),
        ("vocab_size", ctypes.c_int32),
        ("min_frequency", ctypes.c_int64),
        ("max_token_length", ctypes.c_int32),
        ("is_nfc", ctypes.c_bool),
        ("by_line", ctypes.c_bool),
        ("specials", ctypes.POINTER(ctypes.c_char_p)),
        ("n_specials", ctypes.c_size_t),
        ("pool", ctypes.c_void_p),
        ("progress", ctypes.c_void_p),
        ("user", ctypes.c_void_p),
    ]


class _Merge(ctypes.Structure):  # limn_trained_merge
    _fields_ = [
        ("left", ctypes.c_int32),
        ("right", ctypes.c_int32),
        ("result", ctypes.c_int32),
        ("count", ctypes.c_int64),
    ]


class Trainer:
    """Learns an encoding: feed() texts, learn(), then vocab() and merges(), or write(folder)."""

    def __init__(
        self,
        vocab_size,
        min_frequency=1,
        specials=(),
        by_line=False,
        threads=1,
        pattern="gpt2",
        max_token_length=0,
        is_nfc=False,
    ):
        self._library = ctypes.CDLL(library_path())
        library = self._library
        for name in ("limn_trainer_free", "limn_pool_free", "limn_trainer_n_merges"):
            getattr(library, name).argtypes = [ctypes.c_void_p]
        library.limn_trainer_n_merges.restype = ctypes.c_size_t
        library.limn_trainer_merge.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
        library.limn_trainer_merge.restype = _Merge
        library.limn_trainer_bytes.argtypes = [ctypes.c_void_p, ctypes.c_int32, ctypes.c_void_p]
        library.limn_trainer_bytes.restype = ctypes.c_void_p
        self._pool, self._handle = ctypes.c_void_p(), ctypes.c_void_p()
        _check(library.limn_pool_new, threads, ctypes.byref(self._pool))
        texts = (ctypes.c_char_p * len(specials))(*(s.encode() for s in specials))
        options = _TrainerOptions(
            pattern.encode(),
            vocab_size,
            min_frequency,
            max_token_length,
            is_nfc,
            by_line,
            texts,
            len(specials),
            self._pool,
            None,
            None,
        )
        _check(library.limn_trainer_new, ctypes.byref(options), ctypes.byref(self._handle))

    def feed(self, data, chunk=0):
        """One text, bytes, in chunks of `chunk` bytes."""
        for at in range(0, len(data), chunk or len(data) or 1):
            part = data[at : at + chunk] if chunk else data
            _check(self._library.limn_trainer_feed, self._handle, part, ctypes.c_size_t(len(part)))
        _check(self._library.limn_trainer_end_text, self._handle)

    def learn(self):
        _check(self._library.limn_trainer_learn, self._handle)

    def bytes_of(self, token):
        n = ctypes.c_size_t()
        at = self._library.limn_trainer_bytes(self._handle, token, ctypes.byref(n))
        return ctypes.string_at(at, n.value)

    def merges(self):
        """[(left, right, result)] by rank."""
        found = []
        for i in range(self._library.limn_trainer_n_merges(self._handle)):
            merge = self._library.limn_trainer_merge(self._handle, i)
            found.append((merge.left, merge.right, merge.result))
        return found

    def write(self, folder):
        _check(self._library.limn_trainer_write, self._handle, os.fsencode(folder))

    def close(self):
        self._library.limn_trainer_free(self._handle)
        self._library.limn_pool_free(self._pool)
