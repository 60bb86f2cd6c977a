// Package processors sets how many goroutines of a serving process run at once.
//
// It exists because Go's scheduler has one queue. Where every processor computes, a goroutine that has a probe to answer
// or a request to refuse waits until one of those that compute has had its ten milliseconds, at every step of its way. A
// processor more than requests are computed on is free for it, and the operating system, which knows who has slept, lets
// it run at once.
package processors

import (
	"os"
	"runtime"
)

// AddSpare lets one goroutine more run at once than Go would by itself, for the whole process, unless GOMAXPROCS is set.
// The returned function takes it back.
func AddSpare() (undo func()) {
	if os.Getenv("GOMAXPROCS") != "" {
		return func() {}
	}
	before := runtime.GOMAXPROCS(runtime.GOMAXPROCS(0) + 1)
	return func() { runtime.GOMAXPROCS(before) }
}

// ForRequests returns how many processors are left to compute on: all but one, and one at least.
func ForRequests() int { return max(runtime.GOMAXPROCS(0)-1, 1) }
