package extract

import (
	"fmt"
	"os"
	"runtime"
	"strings"
	"time"
	"unsafe"

	"github.com/landlock-lsm/go-landlock/landlock"
	"golang.org/x/sys/unix"
)

// confine lets go of everything that a child does not need, for ever, and says
// what holds it. The limits of the process must hold; Landlock and the filter of
// system calls do where the kernel has them.
func confine() (string, error) {
	// When memory is short, the kernel is to end this process, not its parent.
	_ = os.WriteFile("/proc/self/oom_score_adj", []byte("1000"), 0) // a wish
	held := []string{"limits"}
	if abi, _, e := unix.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET, 0, 0, unix.LANDLOCK_CREATE_RULESET_VERSION); e == 0 {
		// Without a rule nothing is allowed: no path, no port, no signal to others.
		if err := landlock.V8.BestEffort().Restrict(); err != nil {
			return "", fmt.Errorf("landlock: %w", err)
		}
		held = append(held, fmt.Sprintf("landlock %d", abi))
	}
	if err := limitProcess(); err != nil {
		return "", err
	}
	if err := filter(); err == nil {
		held = append(held, "seccomp")
	}
	return strings.Join(held, ", "), nil
}

// limitProcess sets the limits of the process. No descriptor can be opened any
// more, which is also no file, socket, pipe and timer.
func limitProcess() error {
	for _, l := range []struct {
		what int
		name string
		max  uint64
	}{
		{unix.RLIMIT_DATA, "data", dataLimit},
		{unix.RLIMIT_CPU, "cpu", lifetime},
		{unix.RLIMIT_FSIZE, "fsize", 0},
		{unix.RLIMIT_CORE, "core", 0},
		{unix.RLIMIT_NOFILE, "nofile", 0},
	} {
		if err := unix.Setrlimit(l.what, &unix.Rlimit{Cur: l.max, Max: l.max}); err != nil {
			return fmt.Errorf("limit %s: %w", l.name, err)
		}
	}
	return nil
}

// processorTime returns how long this process has been computing.
func processorTime() time.Duration {
	var u unix.Rusage
	if unix.Getrusage(unix.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

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
	if arch == 0 {
		return unix.ENOSYS
	}
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
