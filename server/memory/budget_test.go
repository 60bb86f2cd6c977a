package memory

import (
	"math"
	"runtime/debug"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestDefaultBudget(t *testing.T) {
	before := debug.SetMemoryLimit(-1)
	defer debug.SetMemoryLimit(before)
	debug.SetMemoryLimit(100 << 20)
	assert.EqualValues(t, 50<<20, DefaultBudget())
	debug.SetMemoryLimit(math.MaxInt64)
	assert.EqualValues(t, 256<<20, DefaultBudget())
}

func TestLease(t *testing.T) {
	b := NewBudget(100)
	one, two := b.Lease(), b.Lease()
	require.NoError(t, one.Set(60))
	require.NoError(t, two.Set(40))
	require.ErrorIs(t, two.Set(41), ErrFull)
	require.ErrorIs(t, two.Set(101), ErrTooLarge)
	require.ErrorIs(t, two.Set(math.MaxInt64), ErrTooLarge)
	assert.EqualValues(t, 100, b.Used(), "what was refused changed nothing")
	require.NoError(t, one.Set(-5))
	require.NoError(t, two.Set(100))
	require.NoError(t, two.Set(0))
	assert.Zero(t, b.Used())
}

// TestBudgetIsNeverOverdrawn: whoever comes at once, what is taken stays within
// the size, and all of it comes back.
func TestBudgetIsNeverOverdrawn(t *testing.T) {
	b := NewBudget(100)
	var callers sync.WaitGroup
	for range 8 {
		callers.Go(func() {
			l := b.Lease()
			for n := range int64(5000) {
				_ = l.Set(n % 40)
				assert.LessOrEqual(t, b.Used(), b.Size())
			}
			_ = l.Set(0)
		})
	}
	callers.Wait()
	assert.Zero(t, b.Used())
}

func TestBuffer(t *testing.T) {
	b := NewBudget(1 << 20)
	x := b.Buffer(100)
	x.Bytes = append(x.Bytes, "kept"...)
	for _, step := range []struct {
		grow int
		held int64
	}{
		{100, 0},
		{101, 16 << 10},
		{16 << 10, 16 << 10},
		{16<<10 + 1, 32 << 10},
		{300_000, 512 << 10},
	} {
		require.NoError(t, x.Grow(step.grow))
		assert.GreaterOrEqual(t, cap(x.Bytes), step.grow)
		assert.Equal(t, step.held, b.Used(), step.grow)
		assert.Equal(t, "kept", string(x.Bytes))
	}
	require.Error(t, x.Grow(600_000), "the old storage and the new one are more than there is")
	assert.EqualValues(t, 512<<10, b.Used())
	x.Shrink()
	assert.Zero(t, b.Used())
	assert.Equal(t, "kept", string(x.Bytes))

	require.NoError(t, x.Grow(200))
	x.Bytes = append(x.Bytes, strings.Repeat("x", 200)...)
	x.Shrink()
	assert.EqualValues(t, 16<<10, b.Used(), "it does not fit in")
	x.Free()
	assert.Zero(t, b.Used())
	assert.Empty(t, x.Bytes)
	require.ErrorIs(t, x.Grow(1<<20+1), ErrTooLarge)
}
