//go:build amd64 || arm64

package extract

import (
	"fmt"
	"os"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The parts of a filter for system calls (seccomp(2)).
const (
	dataNumber = 0 // offsets in struct seccomp_data
	dataArch   = 4
	dataArg    = 16 // the low half of the first argument; little endian

	actAllow = 0x7fff0000
	actErrno = 0x00050000
	actKill  = 0x80000000
)

// allowed are the system calls that memory, threads, clocks, signals and pipes
// need.
var allowed = []uint32{
	unix.SYS_READ, unix.SYS_WRITE, unix.SYS_PREAD64, unix.SYS_CLOSE,
	unix.SYS_MMAP, unix.SYS_MUNMAP, unix.SYS_MREMAP, unix.SYS_MPROTECT, unix.SYS_MADVISE, unix.SYS_BRK,
	unix.SYS_FUTEX, unix.SYS_SCHED_YIELD, unix.SYS_SCHED_GETAFFINITY, unix.SYS_SET_ROBUST_LIST, unix.SYS_RSEQ,
	unix.SYS_NANOSLEEP, unix.SYS_CLOCK_NANOSLEEP, unix.SYS_CLOCK_GETTIME, unix.SYS_GETTIMEOFDAY, unix.SYS_RESTART_SYSCALL,
	unix.SYS_RT_SIGACTION, unix.SYS_RT_SIGPROCMASK, unix.SYS_RT_SIGRETURN, unix.SYS_SIGALTSTACK,
	unix.SYS_GETPID, unix.SYS_GETTID, unix.SYS_GETRUSAGE, unix.SYS_GETRANDOM,
	unix.SYS_EPOLL_PWAIT, unix.SYS_EPOLL_CTL,
	unix.SYS_EXIT, unix.SYS_EXIT_GROUP,
}

// filter lets all threads make the allowed system calls, threads of this process
// and signals to them. Every other call fails with EPERM.
func filter() error {
	arch := map[string]uint32{"amd64": unix.AUDIT_ARCH_X86_64, "arm64": unix.AUDIT_ARCH_AARCH64}[runtime.GOARCH]
	load := func(at uint32) unix.SockFilter {
		return unix.SockFilter{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: at}
	}
	ifEqual := func(k uint32, yes, no uint8) unix.SockFilter {
		return unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: k, Jt: yes, Jf: no}
	}
	does := func(act uint32) unix.SockFilter { return unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: act} }
	p := []unix.SockFilter{load(dataArch), ifEqual(arch, 1, 0), does(actKill), load(dataNumber)}
	for _, n := range allowed {
		p = append(p, ifEqual(n, 0, 1), does(actAllow))
	}
	p = append(p,
		// Threads, not processes. What clone3 is asked for cannot be seen, so it is not known.
		ifEqual(unix.SYS_CLONE3, 0, 1), does(actErrno|uint32(unix.ENOSYS)),
		ifEqual(unix.SYS_CLONE, 0, 4), load(dataArg),
		unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JSET | unix.BPF_K, K: unix.CLONE_THREAD, Jt: 0, Jf: 1}, does(actAllow), does(actErrno|uint32(unix.EPERM)),
		ifEqual(unix.SYS_TGKILL, 0, 3), load(dataArg), ifEqual(uint32(os.Getpid()), 0, 1), does(actAllow),
		does(actErrno|uint32(unix.EPERM)),
	)
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("no new privileges: %w", err)
	}
	program := unix.SockFprog{Len: uint16(len(p)), Filter: &p[0]}
	const setFilter, allThreads = 1, 1
	if _, _, e := unix.Syscall(unix.SYS_SECCOMP, setFilter, allThreads, uintptr(unsafe.Pointer(&program))); e != 0 {
		return fmt.Errorf("seccomp: %w", e)
	}
	return nil
}
