package extract

import (
	"fmt"
	"time"
	"unsafe"

	"golang.org/x/sys/windows"
)

// confine puts the process into a job of its own: so much memory, no other
// process. What it may open is not limited here.
func confine() (string, error) {
	job, err := windows.CreateJobObject(nil, nil)
	if err != nil {
		return "", fmt.Errorf("job: %w", err)
	}
	var limit windows.JOBOBJECT_EXTENDED_LIMIT_INFORMATION
	limit.BasicLimitInformation.LimitFlags = windows.JOB_OBJECT_LIMIT_PROCESS_MEMORY | windows.JOB_OBJECT_LIMIT_ACTIVE_PROCESS |
		windows.JOB_OBJECT_LIMIT_PROCESS_TIME | windows.JOB_OBJECT_LIMIT_DIE_ON_UNHANDLED_EXCEPTION
	limit.BasicLimitInformation.ActiveProcessLimit = 1
	limit.BasicLimitInformation.PerProcessUserTimeLimit = lifetime * int64(time.Second/100)
	limit.ProcessMemoryLimit = dataLimit
	_, err = windows.SetInformationJobObject(job, windows.JobObjectExtendedLimitInformation, uintptr(unsafe.Pointer(&limit)), uint32(unsafe.Sizeof(limit)))
	if err == nil {
		err = windows.AssignProcessToJobObject(job, windows.CurrentProcess())
	}
	if err != nil {
		return "", fmt.Errorf("limits of the job: %w", err)
	}
	return "job", nil
}

// processorTime returns how long this process has been computing.
func processorTime() time.Duration {
	var created, exited, kernel, user windows.Filetime
	if windows.GetProcessTimes(windows.CurrentProcess(), &created, &exited, &kernel, &user) != nil {
		return 0
	}
	ticks := func(t windows.Filetime) int64 { return int64(t.HighDateTime)<<32 | int64(t.LowDateTime) }
	return time.Duration(100 * (ticks(kernel) + ticks(user)))
}
