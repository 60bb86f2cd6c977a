package drift

import "sync"

// bufferValues bounds the numbers that wait to be folded, 4 MiB of them; a block has blockValues, or a single row where
// that is wider. A batch of 10,000 rows of 30 features fits in.
const (
	bufferValues = 1 << 19
	blockValues  = 1 << 13
)

// block is a piece of the buffer. Whoever has acquired it has it alone.
type block struct {
	values []float64
	rows   int
}

// buffer holds rows that are not folded yet. Its lock is held for as long as it takes to move a pointer: rows are copied
// into a block by its holder, so requests that are observed at once do not wait for each other.
type buffer struct {
	// width is the numbers in a row, rows the rows in a block.
	width, rows int
	// wake gets a token when a block is full.
	wake chan struct{}

	mu                  sync.Mutex
	free, partial, full []*block
	// taken is the storage of drain, which is called by one goroutine at a time.
	taken []*block
}

func newBuffer(width int) *buffer {
	width = max(width, 1)
	b := &buffer{width: width, rows: max(blockValues/width, 1), wake: make(chan struct{}, 1)}
	n := max(bufferValues/max(blockValues, width), 1)
	list := func() []*block { return make([]*block, 0, n) }
	b.free, b.partial, b.full, b.taken = list(), list(), list(), list()
	for range n {
		b.free = append(b.free, new(block))
	}
	return b
}

// acquire returns a block with room for a row at least, or nil when there is none. A block gets its memory when it is
// first used, so that a quiet server has one of them.
func (b *buffer) acquire() *block {
	b.mu.Lock()
	k := pop(&b.partial)
	if k == nil {
		k = pop(&b.free)
	}
	b.mu.Unlock()
	if k != nil && k.values == nil {
		k.values = make([]float64, b.rows*b.width)
	}
	return k
}

func pop(list *[]*block) *block {
	last := len(*list) - 1
	if last < 0 {
		return nil
	}
	k := (*list)[last]
	*list = (*list)[:last]
	return k
}

// release gives an acquired block back, filled.
func (b *buffer) release(k *block) {
	b.mu.Lock()
	full := k.rows == b.rows
	if full {
		b.full = append(b.full, k)
	} else {
		b.partial = append(b.partial, k)
	}
	b.mu.Unlock()
	if full {
		select {
		case b.wake <- struct{}{}:
		default:
		}
	}
}

// drain hands every row of the blocks that are not acquired to fold, and frees them.
func (b *buffer) drain(fold func(values []float64)) {
	b.mu.Lock()
	b.taken = append(append(b.taken[:0], b.full...), b.partial...)
	b.full, b.partial = b.full[:0], b.partial[:0]
	b.mu.Unlock()
	for _, k := range b.taken {
		fold(k.values[:k.rows*b.width])
		k.rows = 0
		b.mu.Lock()
		b.free = append(b.free, k)
		b.mu.Unlock()
	}
}
