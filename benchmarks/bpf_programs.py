"""How often BPF programs ran and for how long, as the kernel counts while asked to (BPF_ENABLE_STATS)."""

import contextlib
import ctypes
import dataclasses
import os
import pathlib
import platform
import re
import struct

NUMBER = {"x86_64": 321, "aarch64": 280}[platform.machine()]
PROG_GET_FD_BY_ID, OBJ_GET_INFO_BY_FD, ENABLE_STATS = 13, 15, 32
INFO_BYTES, NAME_AT, RUN_TIME_AT = 232, 64, 192  # struct bpf_prog_info


@dataclasses.dataclass(frozen=True)
class Runs:
    count: int
    nanos: int

    def __sub__(self, before):
        return Runs(self.count - before.count, self.nanos - before.nanos)


def _bpf(command, attributes):
    buffer = ctypes.create_string_buffer(attributes, 128)
    result = ctypes.CDLL(None, use_errno=True).syscall(NUMBER, command, buffer, 128)
    if result < 0:
        raise OSError(ctypes.get_errno(), f"bpf command {command}: {os.strerror(ctypes.get_errno())}")
    return result


@contextlib.contextmanager
def counting():
    """While it lasts, every run of every BPF program on the machine is timed, which itself takes time."""
    fd = _bpf(ENABLE_STATS, struct.pack("<I", 0))
    try:
        yield
    finally:
        os.close(fd)


def _info(program):
    fd = _bpf(PROG_GET_FD_BY_ID, struct.pack("<I", program))
    try:
        info = ctypes.create_string_buffer(INFO_BYTES)
        _bpf(OBJ_GET_INFO_BY_FD, struct.pack("<IIQ", fd, INFO_BYTES, ctypes.addressof(info)))
    finally:
        os.close(fd)
    name = info.raw[NAME_AT:NAME_AT + 16].partition(b"\0")[0].decode()
    nanos, count = struct.unpack_from("<QQ", info.raw, RUN_TIME_AT)
    return name, Runs(count, nanos)


def of_process(pid):
    """{name: Runs} of the programs that the process holds."""
    found = {}
    for entry in pathlib.Path(f"/proc/{pid}/fdinfo").iterdir():
        with contextlib.suppress(FileNotFoundError):
            number = re.search(r"^prog_id:\s*(\d+)", entry.read_text(), re.MULTILINE)
            # A link's descriptor names its program too.
            if number and os.readlink(f"/proc/{pid}/fd/{entry.name}") == "anon_inode:bpf-prog":
                name, runs = _info(int(number[1]))
                found[name] = runs
    return found
