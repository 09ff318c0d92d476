"""Writes a model of some 540 MB for llama.cpp: random weights, and the vocabulary of a real model.

What it says means nothing, but every token needs every weight, so a server whose memory is too small
for it reads it from storage again with each token. The format is GGUF 3 (ggml's docs/gguf.md). The
weights are Q8_0, which no CPU has repacked into memory of its own.
"""

import argparse
import math
import os
import pathlib
import random
import struct
import sys

sys.dont_write_bytecode = True

from serve import packaged_model  # noqa: E402

WIDTH, HIDDEN, HEADS, KV_HEADS, LAYERS = 2048, 5632, 32, 8, 9
ALIGNMENT = 32
UINT32, FLOAT32, STRING, ARRAY = 4, 6, 8, 9
SIZES = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}
F32, Q8_0 = 0, 8
# A scale of 16 bits, and 32 weights of 8.
BLOCK_WEIGHTS, BLOCK_BYTES = 32, 34


class Reader:
    """The keys and values of a GGUF file, as bytes."""

    def __init__(self, data):
        self.data, self.at = data, 0

    def number(self, form):
        (value,) = struct.unpack_from("<" + form, self.data, self.at)
        self.at += struct.calcsize("<" + form)
        return value

    def string(self):
        length = self.number("Q")
        self.at += length
        return self.data[self.at - length : self.at]

    def skip(self, kind):
        if kind == STRING:
            self.string()
        elif kind == ARRAY:
            inner, count = self.number("I"), self.number("Q")
            for _ in range(count):
                self.skip(inner)
        else:
            self.at += SIZES[kind]

    def pairs(self):
        """Key, and its value with its type before it."""
        assert self.data[:4] == b"GGUF"
        self.at = 4
        _version, _tensors, count = self.number("I"), self.number("Q"), self.number("Q")
        for _ in range(count):
            key, start = self.string(), self.at
            self.skip(self.number("I"))
            yield key.decode(), self.data[start : self.at]


def text(value):
    return struct.pack("<Q", len(value)) + value.encode()


def settings():
    def integer(value):
        return struct.pack("<II", UINT32, value)

    def real(value):
        return struct.pack("<If", FLOAT32, value)

    yield "general.architecture", struct.pack("<I", STRING) + text("llama")
    yield "general.alignment", integer(ALIGNMENT)
    yield "general.file_type", integer(7)
    yield "general.quantization_version", integer(2)
    yield "llama.context_length", integer(4096)
    yield "llama.embedding_length", integer(WIDTH)
    yield "llama.block_count", integer(LAYERS)
    yield "llama.feed_forward_length", integer(HIDDEN)
    yield "llama.attention.head_count", integer(HEADS)
    yield "llama.attention.head_count_kv", integer(KV_HEADS)
    yield "llama.attention.layer_norm_rms_epsilon", real(1e-5)
    yield "llama.rope.dimension_count", integer(WIDTH // HEADS)
    yield "llama.rope.freq_base", real(10000.0)


def tensors(vocabulary):
    """Name, kind, and sides: the innermost first."""
    kv = WIDTH // HEADS * KV_HEADS
    yield "token_embd.weight", Q8_0, (WIDTH, vocabulary)
    yield "output_norm.weight", F32, (WIDTH,)
    for layer in range(LAYERS):
        block = f"blk.{layer}."
        yield block + "attn_norm.weight", F32, (WIDTH,)
        yield block + "attn_q.weight", Q8_0, (WIDTH, WIDTH)
        yield block + "attn_k.weight", Q8_0, (WIDTH, kv)
        yield block + "attn_v.weight", Q8_0, (WIDTH, kv)
        yield block + "attn_output.weight", Q8_0, (WIDTH, WIDTH)
        yield block + "ffn_norm.weight", F32, (WIDTH,)
        yield block + "ffn_gate.weight", Q8_0, (WIDTH, HIDDEN)
        yield block + "ffn_up.weight", Q8_0, (WIDTH, HIDDEN)
        yield block + "ffn_down.weight", Q8_0, (HIDDEN, WIDTH)


def stored(kind, sides):
    weights = math.prod(sides)
    return 4 * weights if kind == F32 else weights // BLOCK_WEIGHTS * BLOCK_BYTES


def blocks(count):
    """Random weights whose spread keeps activations in range."""
    chunk = bytearray(random.Random(1).randbytes(count * BLOCK_BYTES))
    # Uniform bytes have a standard deviation of 73.9.
    scale = struct.pack("<e", 1 / math.sqrt(WIDTH) / 73.9)
    chunk[0::BLOCK_BYTES] = scale[:1] * count
    chunk[1::BLOCK_BYTES] = scale[1:] * count
    return bytes(chunk)


def aligned(size):
    return -size % ALIGNMENT


def write(path):
    reader = Reader(packaged_model().read_bytes())
    kept = {key: value for key, value in reader.pairs() if key.startswith("tokenizer.")}
    _kind, _inner, vocabulary = struct.unpack_from("<IIQ", kept["tokenizer.ggml.tokens"])
    pairs = [*settings(), *kept.items()]
    layout = list(tensors(vocabulary))
    head = b"GGUF" + struct.pack("<IQQ", 3, len(layout), len(pairs))
    head += b"".join(text(key) + value for key, value in pairs)
    offset = 0
    for name, kind, sides in layout:
        head += text(name) + struct.pack("<I", len(sides)) + struct.pack(f"<{len(sides)}Q", *sides)
        head += struct.pack("<IQ", kind, offset)
        offset += stored(kind, sides) + aligned(stored(kind, sides))
    chunk = blocks(1 << 16)
    with open(path, "wb") as file:
        file.write(head + bytes(aligned(len(head))))
        for _name, kind, sides in layout:
            left = stored(kind, sides)
            padding = bytes(aligned(left))
            if kind == F32:
                file.write(struct.pack("<f", 1.0) * sides[0])
                left = 0
            while left > 0:
                left -= file.write(chunk[:left])
            file.write(padding)
        file.flush()
        os.fsync(file.fileno())
        # A page in memory belongs to who brought it there: the server is to bring all of them.
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("path", type=pathlib.Path)
    write(parser.parse_args().path)
