// Package memory sets how often the garbage collector of a serving process runs, and what memory it may use.
//
// It exists because Go's defaults suit no small server in a container. A heap of two megabytes is collected a hundred
// times a second, which costs a tenth of what requests do; and a container's limit is unknown to Go, which would go on
// growing its heap until the kernel ends the process.
package memory

import (
	"os"
	"path/filepath"
	"runtime/debug"
	"runtime/metrics"
	"strconv"
	"strings"
)

// GCPercent is the GOGC of a process that sets none, chosen by measurement: docs/performance.md has the table.
const GCPercent = 250

// limitShare is the share of a container's memory that Go may use, in tenths. The rest is for what Go does not count: the
// program itself, and the kernel's part.
const limitShare = 9

// Settings are what the garbage collector goes by.
type Settings struct {
	GCPercent uint64 // growth of the heap between two collections; huge when GOGC is off
	Limit     int64  // of the memory that Go uses, in bytes; math.MaxInt64 when there is none
}

// Set sets both for the whole process, each unless its variable (GOGC, GOMEMLIMIT) does, and returns what is in force. The
// limit is nine tenths of that of the process's control group, which is looked for below root, normally /sys/fs/cgroup.
func Set(root string) Settings {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(GCPercent)
	}
	if limit, ok := groupLimit(root); ok && os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(limit / 10 * limitShare)
	}
	in := []metrics.Sample{{Name: "/gc/gogc:percent"}}
	metrics.Read(in)
	return Settings{GCPercent: in[0].Value.Uint64(), Limit: debug.SetMemoryLimit(-1)}
}

// groupLimit reads the memory limit of a container's control group, of version 2 or 1, in bytes. No limit is written as
// "max" in version 2, and in version 1 as more than any machine has.
func groupLimit(root string) (int64, bool) {
	for _, name := range []string{"memory.max", "memory/memory.limit_in_bytes"} {
		text, err := os.ReadFile(filepath.Join(root, name))
		if err != nil {
			continue
		}
		limit, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64)
		return limit, err == nil && limit > 0 && limit < 1<<60
	}
	return 0, false
}
