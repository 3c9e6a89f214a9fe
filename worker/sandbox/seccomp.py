"""seccomp: system calls that a process which computes has no need of answer "not permitted"."""

import ctypes
import os
import platform
import struct

# Name → number on x86-64 and on 64-bit ARM, which lacks some. Everything that opens a socket, starts a process, reaches
# into another one, changes a file's owner, mode or times (which Landlock does not cover), or the machine.
_REFUSED: dict[str, tuple[int | None, int | None]] = {
    "socket": (41, 198),
    "socketpair": (53, 199),
    "connect": (42, 203),
    "bind": (49, 200),
    "listen": (50, 201),
    "accept": (43, 202),
    "accept4": (288, 242),
    "io_uring_setup": (425, 425),
    "io_uring_enter": (426, 426),
    "io_uring_register": (427, 427),
    "fork": (57, None),
    "vfork": (58, None),
    "execve": (59, 221),
    "execveat": (322, 281),
    "ptrace": (101, 117),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "process_madvise": (440, 440),
    "kcmp": (312, 272),
    "pidfd_open": (434, 434),
    "pidfd_send_signal": (424, 424),
    "pidfd_getfd": (438, 438),
    "tkill": (200, 130),
    "rt_sigqueueinfo": (129, 138),
    "rt_tgsigqueueinfo": (297, 240),
    "chmod": (90, None),
    "fchmod": (91, 52),
    "fchmodat": (268, 53),
    "fchmodat2": (452, 452),
    "chown": (92, None),
    "lchown": (94, None),
    "fchown": (93, 55),
    "fchownat": (260, 54),
    "utime": (132, None),
    "utimes": (235, None),
    "futimesat": (261, None),
    "utimensat": (280, 88),
    "setxattr": (188, 5),
    "lsetxattr": (189, 6),
    "fsetxattr": (190, 7),
    "removexattr": (197, 14),
    "lremovexattr": (198, 15),
    "fremovexattr": (199, 16),
    "mount": (165, 40),
    "umount2": (166, 39),
    "mount_setattr": (442, 442),
    "move_mount": (429, 429),
    "open_tree": (428, 428),
    "fsopen": (430, 430),
    "fsconfig": (431, 431),
    "fsmount": (432, 432),
    "fspick": (433, 433),
    "pivot_root": (155, 41),
    "chroot": (161, 51),
    "unshare": (272, 97),
    "setns": (308, 268),
    "bpf": (321, 280),
    "perf_event_open": (298, 241),
    "userfaultfd": (323, 282),
    "keyctl": (250, 219),
    "add_key": (248, 217),
    "request_key": (249, 218),
    "name_to_handle_at": (303, None),
    "open_by_handle_at": (304, None),
    "init_module": (175, 105),
    "finit_module": (313, 273),
    "delete_module": (176, 106),
    "kexec_load": (246, 104),
    "kexec_file_load": (320, 294),
    "reboot": (169, 142),
    "swapon": (167, 224),
    "swapoff": (168, 225),
    "acct": (163, 89),
    "quotactl": (179, 60),
    "syslog": (103, 116),
    "sethostname": (170, 161),
    "setdomainname": (171, 162),
    "settimeofday": (164, 170),
    "clock_settime": (227, 112),
    "adjtimex": (159, 171),
    "clock_adjtime": (305, 266),
    "mq_open": (240, 180),
    "msgget": (68, 186),
    "semget": (64, 190),
    "shmget": (29, 194),
    "memfd_secret": (447, 447),
    "setsid": (112, 157),
    "setpgid": (109, 154),
}
_CLONE, _CLONE3, _KILL, _TGKILL, _PRLIMIT64 = (56, 220), (435, 435), (62, 129), (234, 131), (302, 261)
_ARCHITECTURES = {"x86_64": (0, 0xC000003E), "aarch64": (1, 0xC00000B7)}
_CLONE_THREAD = 0x10000
_X32 = 0x40000000

_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06  # of the classic BPF machine
_ALLOW, _KILL_PROCESS, _ERRNO = 0x7FFF0000, 0x80000000, 0x00050000
_EPERM, _ENOSYS = _ERRNO | 1, _ERRNO | 38
_NUMBER, _ARCHITECTURE, _FIRST = 0, 4, 16  # offsets in what the filter sees

_PR_SET_SECCOMP, _MODE_FILTER = 22, 2


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_char_p))


def refuse_calls() -> bool:
    """Refuse them to this process for good; False where the kernel or the architecture has no such filter."""
    if platform.machine() not in _ARCHITECTURES:
        return False
    column, architecture = _ARCHITECTURES[platform.machine()]
    program = b"".join(_filter(column, architecture, os.getpid()))
    libc = ctypes.CDLL(None, use_errno=True)
    return bool(
        libc.prctl(_PR_SET_SECCOMP, _MODE_FILTER, ctypes.byref(_Program(len(program) // 8, program)), 0, 0) == 0
    )


def _filter(column: int, architecture: int, own_pid: int) -> list[bytes]:
    def step(code: int, value: int, if_true: int = 0, if_false: int = 0) -> bytes:
        return struct.pack("=HBBI", code, if_true, if_false, value)

    def when(number: int, *then: bytes) -> list[bytes]:
        return [step(_EQUAL, number, 0, len(then)), *then]

    def own_only(number: int, offset: int, *allowed: int) -> list[bytes]:
        """Allow a call whose argument is one of some values."""
        tests = [step(_EQUAL, value, len(allowed) - place, 0) for place, value in enumerate(allowed)]
        return when(number, step(_LOAD, offset), *tests, step(_RETURN, _EPERM), step(_RETURN, _ALLOW))

    steps = [
        step(_LOAD, _ARCHITECTURE),
        step(_EQUAL, architecture, 1, 0),
        step(_RETURN, _KILL_PROCESS),
        step(_LOAD, _NUMBER),
        step(_AT_LEAST, _X32, 0, 1),
        step(_RETURN, _ENOSYS),
        *when(_CLONE3[column], step(_RETURN, _ENOSYS)),  # the C library then uses clone, whose flags can be seen
        *when(
            _CLONE[column],
            step(_LOAD, _FIRST),
            step(_ANY_BIT, _CLONE_THREAD, 0, 1),
            step(_RETURN, _ALLOW),
            step(_RETURN, _EPERM),
        ),
        *own_only(_KILL[column], _FIRST, own_pid),
        *own_only(_TGKILL[column], _FIRST, own_pid),
        *own_only(_PRLIMIT64[column], _FIRST, 0, own_pid),
    ]
    for numbers in _REFUSED.values():
        number = numbers[column]
        if number is not None:
            steps += when(number, step(_RETURN, _EPERM))
    return [*steps, step(_RETURN, _ALLOW)]
