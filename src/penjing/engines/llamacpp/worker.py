"""The child process that holds one model: `python -m penjing.engines.llamacpp.worker`.

    stdin   one line of `Settings`; it stays open, and its end means that the parent is gone
    stdout  reports, one JSON object a line: `loading`, then `ready` or `failed`
    stderr  the library's own log

Only the standard library and xllamacpp are imported: a cold start counts every millisecond.

Does not know: how its settings were chosen, who talks to it.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn

from penjing.engines.llamacpp.settings import Settings
from penjing.native import spin

HTTP_THREADS = 64
"""Connections beyond the slots that are served at once: waiting requests must not keep /health from answering."""
VERBOSITY = {"error": 1, "warning": 2, "info": 3, "debug": 5}
PR_SET_PDEATHSIG, PR_SET_DUMPABLE = 1, 4
OOM_SCORE = "500"
"""Half the machine's memory on top of what the worker takes, in the kernel's eyes."""


def main() -> int:
    """Load, report, serve until told to stop; the exit status of the process."""
    # Where ggml aborts its last words are the reason, not what a debugger says of attaching (ggml.c: print_backtrace).
    os.environ.setdefault("GGML_NO_BACKTRACE", "1")
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the parent decides when to stop
    die_with_parent()
    die_first()
    reports = take_stdout()
    settings = Settings.decode(sys.stdin.buffer.readline())
    watch_parent()
    if settings.private:
        hide()
    report(reports, event="loading")
    try:
        with spin.bound():
            server = load(settings)
    except (RuntimeError, ImportError, OSError, ValueError, AttributeError) as error:
        report(reports, event="failed", detail=str(error))
        return 1
    stop = stop_signal()
    report(reports, event="ready", address=server.listening_address)
    os.read(stop, 1)
    os._exit(0)  # the library's own end waits for every running answer; who stops a worker has waited already


def take_stdout() -> int:
    """A private descriptor of stdout; what the library prints there goes to stderr from now on."""
    reports = os.dup(1)
    os.dup2(2, 1)
    return reports


def report(descriptor: int, **fields: object) -> None:
    """One line to the parent; a parent that is gone is noticed elsewhere."""
    with suppress(OSError):
        os.write(descriptor, json.dumps(fields).encode() + b"\n")


def die_with_parent() -> None:
    """Ask Linux to kill this process when the parent's thread ends; other systems rely on `watch_parent`."""
    if sys.platform != "linux":
        return
    import ctypes

    parent = os.getppid()
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:  # it ended before the call
        os._exit(1)


def die_first() -> None:
    """When memory runs out, Linux shall end this process, which is started again, and not the one that talks to
    clients (proc(5), oom_score_adj)."""
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text(OOM_SCORE, encoding="ascii")


def hide() -> None:
    """Let no other program of this user read this process's memory (prctl(2)); whoever started it forbade core dumps
    already. As late as that because it makes /proc/self root's, where `die_first` writes."""
    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None).prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)


def watch_parent() -> None:
    """A thread that ends this process when stdin does."""

    def watch() -> NoReturn:
        while os.read(0, 4096):
            pass
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def stop_signal() -> int:
    """A descriptor that can be read once SIGTERM has come. A signal may reach any of the library's threads, which
    would not wake this one; until now it ended the process at once, and there was nothing to end in order."""
    reader, writer = os.pipe()
    if sys.platform != "win32":
        os.set_blocking(writer, False)
        signal.set_wakeup_fd(writer)
        signal.signal(signal.SIGTERM, lambda *_: None)
    return reader


def load(settings: Settings) -> Any:
    """The library's server, loaded and listening."""
    import xllamacpp

    return xllamacpp.Server(parameters(xllamacpp, settings))


def parameters(library: Any, settings: Settings) -> Any:
    """`settings` in the library's own words (llama.cpp's `common_params`)."""
    params = library.CommonParams()
    params.model.path = settings.model
    params.model_alias = {settings.name}
    params.verbosity = VERBOSITY[settings.log_level]
    params.fit_params = False  # everything was fitted by us, with reasons
    memory_parameters(library, params, settings)
    compute_parameters(library, params, settings)
    if settings.mmproj:
        params.mmproj.path, params.mmproj_use_gpu = settings.mmproj, settings.gpu_layers > 0
    server_parameters(library, params, settings)
    return params


def memory_parameters(library: Any, params: Any, settings: Settings) -> None:
    """The KV cache and how the weights are held."""
    params.n_ctx = settings.pool
    params.n_parallel = settings.slots
    params.kv_unified = True
    params.kv_unified_per_slot = settings.context
    params.cache_type_k = params.cache_type_v = getattr(library.ggml_type, f"GGML_TYPE_{settings.kv_type.upper()}")
    params.cache_ram_mib = settings.cache_ram
    params.ctx_shift = settings.shift
    modes = library.llama_load_mode
    params.load_mode = modes.LLAMA_LOAD_MODE_MMAP if settings.mmap else modes.LLAMA_LOAD_MODE_NONE
    if settings.rope_scale != 1:
        params.rope_scaling_type = library.llama_rope_scaling_type.LLAMA_ROPE_SCALING_TYPE_LINEAR
        params.rope_freq_scale = 1 / settings.rope_scale
    if settings.lora:
        params.lora_adapters = [library.CommonAdapterLoraInfo(path, weight) for path, weight in settings.lora]


def compute_parameters(library: Any, params: Any, settings: Settings) -> None:
    """Threads, batches, attention, GPU."""
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = settings.threads
    params.n_batch, params.n_ubatch = settings.batch, settings.ubatch
    flash = {"auto": "AUTO", "on": "ENABLED", "off": "DISABLED"}[settings.flash_attention]
    params.flash_attn_type = getattr(library.llama_flash_attn_type, f"LLAMA_FLASH_ATTN_TYPE_{flash}")
    params.n_gpu_layers = settings.gpu_layers
    if settings.gpu_layers == 0:
        params.no_kv_offload = params.no_op_offload = True


def server_parameters(library: Any, params: Any, settings: Settings) -> None:
    """What is listened on and answered."""
    params.hostnames = [settings.socket or "127.0.0.1"]
    params.port = 0
    params.api_keys = [settings.key] if settings.key else []
    params.n_threads_http = settings.slots + HTTP_THREADS
    params.endpoint_metrics = params.endpoint_slots = True
    params.ui = False
    params.use_jinja = True
    if settings.silent:
        params.default_template_kwargs = {"enable_thinking": "false"}
    # Content is left as the model wrote it, but the empty block by which a template prevents thinking is not its words.
    reasoning = "AUTO" if settings.silent else "NONE"
    params.reasoning_format = getattr(library.common_reasoning_format, f"COMMON_REASONING_FORMAT_{reasoning}")
    params.embedding = settings.embeddings
    if settings.pooling:
        pooling = f"LLAMA_POOLING_TYPE_{settings.pooling.upper()}"
        params.pooling_type = getattr(library.llama_pooling_type, pooling)


if __name__ == "__main__":
    sys.exit(main())
