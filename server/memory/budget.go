package memory

import (
	"errors"
	"math"
	"math/bits"
	"runtime/debug"
	"sync"
	"sync/atomic"
)

// NoLimitBudget is the default size of a budget where Go has no memory limit, in bytes.
const NoLimitBudget = 256 << 20

// DefaultBudget is the size of a budget that suits the memory limit in force: half of it. The other half is for the
// program, the model, and the garbage between two collections.
func DefaultBudget() int64 {
	limit := debug.SetMemoryLimit(-1)
	if limit == math.MaxInt64 {
		return NoLimitBudget
	}
	return limit / 2
}

// The reasons why a budget gives nothing.
var (
	ErrFull     = errors.New("there is no memory for it now")
	ErrTooLarge = errors.New("it takes more memory than there is")
)

// Budget is memory, in bytes, that many holders share. What would not fit is refused before it is taken. It is safe for
// concurrent use; the leases and buffers made of it are each used by one goroutine at a time.
type Budget struct {
	size int64
	used atomic.Int64
	// pools keep the storage of buffers for the next one, by size: 2^k bytes from smallestKept on.
	pools [1 + largestShift - smallestShift]sync.Pool
}

// Storage of these sizes, 16 KiB to 4 MiB, is kept until the next collection or two.
const (
	smallestShift = 14
	largestShift  = 22
)

// NewBudget returns a budget of that many bytes.
func NewBudget(size int64) *Budget { return &Budget{size: size} }

// Size is what there is in all.
func (b *Budget) Size() int64 { return b.size }

// Used is what is taken.
func (b *Budget) Used() int64 { return b.used.Load() }

// take takes n bytes more, or nothing.
func (b *Budget) take(n int64) error {
	if n > b.size {
		return ErrTooLarge
	}
	for {
		used := b.used.Load()
		if n > b.size-used {
			return ErrFull
		}
		if b.used.CompareAndSwap(used, used+n) {
			return nil
		}
	}
}

// Lease returns a lease of nothing yet.
func (b *Budget) Lease() Lease { return Lease{budget: b} }

// Lease is what one holder has of a budget.
type Lease struct {
	budget *Budget
	held   int64
}

// Set makes the lease n bytes, less or more than it was. When it fails, with ErrFull or ErrTooLarge, the lease is as it was.
func (l *Lease) Set(n int64) error {
	n = max(n, 0)
	if n > l.held {
		if n > l.budget.size {
			return ErrTooLarge
		}
		if err := l.budget.take(n - l.held); err != nil {
			return err
		}
	} else if n < l.held {
		l.budget.used.Add(n - l.held)
	}
	l.held = n
	return nil
}

// storage returns empty storage for n bytes at least.
func (b *Budget) storage(n int) *[]byte {
	if pool := b.pool(n); pool != nil {
		n = 1 << sizeShift(n)
		if kept, ok := pool.Get().(*[]byte); ok {
			return kept
		}
	}
	made := make([]byte, 0, n)
	return &made
}

// pool is where storage of n bytes is kept; nil for what is not kept.
func (b *Budget) pool(n int) *sync.Pool {
	if shift := sizeShift(n); shift <= largestShift {
		return &b.pools[shift-smallestShift]
	}
	return nil
}

func sizeShift(n int) int { return max(bits.Len(uint(n-1)), smallestShift) }

// storageSize is what storage for n bytes takes.
func storageSize(n int) int64 {
	if shift := sizeShift(n); shift <= largestShift {
		return 1 << shift
	}
	return int64(n)
}

// Buffer returns an empty buffer whose first free bytes are not charged to the budget: its owner has paid for them.
func (b *Budget) Buffer(free int) Buffer {
	own := make([]byte, 0, free)
	return Buffer{Bytes: own, own: own, lease: b.Lease()}
}

// Buffer is bytes whose storage is charged to a budget.
type Buffer struct {
	// Bytes is what it holds. It may be replaced by a slice of the same storage.
	Bytes []byte

	own   []byte // storage that is not charged
	more  *[]byte
	lease Lease
}

// Grow makes room for n bytes in all, and keeps those it holds. When it fails, with ErrFull or ErrTooLarge, the buffer is
// as it was. While bytes are moved the old storage and the new one are both charged.
func (b *Buffer) Grow(n int) error {
	if n <= cap(b.Bytes) {
		return nil
	}
	size := storageSize(n)
	if err := b.lease.Set(b.lease.held + size); err != nil {
		return err
	}
	storage := b.lease.budget.storage(n)
	b.Bytes = append((*storage)[:0], b.Bytes...)
	b.keep()
	b.more = storage
	return b.lease.Set(size)
}

// keep gives the charged storage back to its pool.
func (b *Buffer) keep() {
	if b.more == nil {
		return
	}
	if pool := b.lease.budget.pool(cap(*b.more)); pool != nil {
		pool.Put(b.more)
	}
	b.more = nil
}

// Free empties the buffer and gives back all but its own storage.
func (b *Buffer) Free() {
	b.Bytes = b.own
	b.keep()
	_ = b.lease.Set(0)
}

// Shrink moves what the buffer holds to its own storage, where it fits in with room to spare.
func (b *Buffer) Shrink() {
	if b.more == nil || len(b.Bytes) >= cap(b.own) {
		return
	}
	kept := append(b.own, b.Bytes...)
	b.Free()
	b.Bytes = kept
}
