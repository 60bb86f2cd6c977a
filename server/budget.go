package server

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"strconv"
	"syscall"

	"github.com/tepalhq/tepal/model"
	"github.com/tepalhq/tepal/model/repository"
	"github.com/tepalhq/tepal/server/memory"
	"github.com/tepalhq/tepal/telemetry"
)

// What is paid for in advance, so that small requests are never refused on account of large ones. docs/capacity.md has
// the arithmetic.
const (
	// connectionBytes is what a connection takes: net/http's buffers, its goroutines, and what is known of its request.
	connectionBytes = 24 << 10
	// smallBytes of a body, and as much of an answer, belong to the connection.
	smallBytes = 8 << 10
	// slotBytes of what is decoded and computed belong to the slot.
	slotBytes = 64 << 10
	// keepBytes is the most working memory that is kept for the next request.
	keepBytes = 1 << 20
	// minShared is the least that must be left for larger requests.
	minShared = 1 << 20
)

// The largest settings that are taken, far beyond what there is a use for.
const (
	mostConcurrency = 1 << 16
	mostConnections = 1 << 20
)

// openFiles is how many files the process may have open, connections included.
func openFiles() int64 {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return mostConnections
	}
	return int64(min(limit.Cur, mostConnections))
}

// seatBytes is what is set aside for each connection.
const seatBytes = connectionBytes + 2*smallBytes

// setAside is the part of the memory budget that is for connections and slots.
func (c Config) setAside() int64 {
	connections := int64(c.MaxConnections)*seatBytes + int64(spareConnections(c.MaxConnections)+opsConnections+spareConnections(opsConnections))*connectionBytes
	return connections + int64(c.MaxConcurrency)*slotBytes
}

// shared is the part of the memory budget that large bodies, batches, answers and documents share.
func (c Config) shared() int64 { return c.MemoryBudgetBytes - c.setAside() }

// memoryStats is what of the budget is in use now.
func (s *Server) memoryStats() telemetry.MemoryStats {
	connections := s.connections()
	return telemetry.MemoryStats{
		Budget: s.config.MemoryBudgetBytes, Used: s.memory.Used() + int64(connections)*seatBytes,
		Connections: connections, MaxConnections: s.config.MaxConnections,
	}
}

// withMemory settles what depends on how much memory there is.
func (c Config) withMemory() Config {
	c.MemoryBudgetBytes = cmp.Or(c.MemoryBudgetBytes, memory.DefaultBudget())
	if c.MaxConnections == 0 {
		c.MaxConnections = int(max(16, min(c.MemoryBudgetBytes/2/seatBytes, openFiles()*9/10)))
	}
	// While a body grows there are two copies of it.
	if c.shared() >= minShared {
		c.MaxBodyBytes = min(c.MaxBodyBytes, c.shared()/2)
	}
	return c
}

// validateMemory names what does not go together with the memory there is. The defaults are in place.
func (c Config) validateMemory() error {
	if c.shared() < minShared {
		return fmt.Errorf("memory-budget-bytes: %d is too little: %d connections and %d requests at once take %d, and %d must be left for what they share",
			c.MemoryBudgetBytes, c.MaxConnections, c.MaxConcurrency, c.setAside(), minShared)
	}
	return nil
}

// noMemory is the error for a caller whose request there is no memory for: one to try again later.
func (s *Server) noMemory(reason telemetry.ShedReason, what string) error {
	return s.admission.shed(reason, "overloaded", "the server has no memory left for "+what)
}

// charge takes the memory for the answer to what was decoded, before any of it is computed: for the batch, for what the
// program makes of it, and for the text of the answer. Only what could never be answered is too large.
func (s *Server) charge(served *repository.Served, x *exchange, body int) error {
	batch := &x.work.request.Batch
	perRow, besides := served.Codec.AnswerBytes(&x.work.request, body)
	rows, computed := int64(batch.Rows), served.Codec.RowBytes()+served.RowBytes
	answer := saturate(rows, perRow, besides)
	work := saturate(rows, computed, 2*int64(body))
	if size := s.memory.Size(); answer > size-min(work, size) {
		err := batchTooLarge()
		err.Expected = fmt.Sprintf("at most %d instances", max(0, size-besides-2*int64(body))/saturate(1, perRow, computed))
		err.Got = strconv.Itoa(batch.Rows)
		return err
	}
	if err := x.work.take(work); err != nil {
		return s.noMemory(telemetry.ShedBatchMemory, "the batch")
	}
	if err := x.out.Grow(len(x.out.Bytes) + int(answer)); err != nil {
		return s.noMemory(telemetry.ShedAnswerMemory, "the answer")
	}
	return nil
}

func batchTooLarge() *model.Error {
	return &model.Error{
		Kind: model.KindTooLarge, Type: "batch-too-large", Detail: "the batch and its answer would take more memory than the server has for them",
		Expected: "fewer instances",
	}
}

// saturate returns rows × each + besides, or the largest number there is.
func saturate(rows, each, besides int64) int64 {
	if each > 0 && rows > (math.MaxInt64-besides)/each {
		return math.MaxInt64
	}
	return rows*each + besides
}

// isFull reports whether memory that is taken now may be free later.
func isFull(err error) bool { return errors.Is(err, memory.ErrFull) }
