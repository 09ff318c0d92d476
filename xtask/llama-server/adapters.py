"""Writes LoRA adapters for the packaged model: random weights, so that each makes it say other things.

The format is GGUF 3 (ggml's docs/gguf.md), with the keys and names of llama.cpp's
convert_lora_to_gguf.py: for each adapted weight `.lora_a` (input to rank) and `.lora_b` (rank to
output).
"""

import argparse
import array
import pathlib
import random
import struct
import sys

sys.dont_write_bytecode = True

from big_model import ALIGNMENT, FLOAT32, STRING, UINT32, Reader, aligned, text  # noqa: E402
from serve import packaged_model  # noqa: E402

RANK = 16
ADAPTED = ("attn_q.weight", "attn_v.weight")
F32 = 0
# Small beside the model's own weights, and large enough to be heard.
SPREAD = 0.05


def sides(reader):
    """Names of the weights to adapt, with their inputs and outputs."""
    list(reader.pairs())
    (count,) = struct.unpack_from("<Q", reader.data, 8)
    for _ in range(count):
        name, dimensions = reader.string().decode(), reader.number("I")
        lengths = [reader.number("Q") for _ in range(dimensions)]
        reader.number("I"), reader.number("Q")
        if name.endswith(ADAPTED):
            yield name, *lengths


def settings():
    yield "general.architecture", struct.pack("<I", STRING) + text("llama")
    yield "general.type", struct.pack("<I", STRING) + text("adapter")
    yield "general.alignment", struct.pack("<II", UINT32, ALIGNMENT)
    yield "adapter.type", struct.pack("<I", STRING) + text("lora")
    yield "adapter.lora.alpha", struct.pack("<If", FLOAT32, float(RANK))


def write(path, weights, seed):
    layout = []
    for name, inputs, outputs in weights:
        layout.append((f"{name}.lora_a", (inputs, RANK)))
        layout.append((f"{name}.lora_b", (RANK, outputs)))
    pairs = list(settings())
    head = b"GGUF" + struct.pack("<IQQ", 3, len(layout), len(pairs))
    head += b"".join(text(key) + value for key, value in pairs)
    offset = 0
    for name, (inner, outer) in layout:
        head += text(name) + struct.pack("<IQQIQ", 2, inner, outer, F32, offset)
        offset += 4 * inner * outer + aligned(4 * inner * outer)
    draw = random.Random(seed)
    with open(path, "wb") as file:
        file.write(head + bytes(aligned(len(head))))
        for _name, (inner, outer) in layout:
            values = array.array("f", (draw.gauss(0, SPREAD) for _ in range(inner * outer)))
            data = values.tobytes()
            file.write(data + bytes(aligned(len(data))))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("paths", type=pathlib.Path, nargs="+")
    adapted = list(sides(Reader(packaged_model().read_bytes())))
    for number, path in enumerate(parser.parse_args().paths, start=1):
        write(path, adapted, number)
