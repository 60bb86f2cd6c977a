package server

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tepalhq/tepal/server/memory"
)

// TestDocumentsAreShared: one text serves all who ask while it is good, and its
// memory is given back with the last who takes it.
func TestDocumentsAreShared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const large, small = largeDocument, largeDocument / 4
		s := &Server{memory: memory.NewBudget(5 * large / 2)}
		made := 0
		take := func(d *document, size int, of any, changes bool) *rendering {
			t.Helper()
			text, err := d.take(s, of, changes, func() any { made++; return strings.Repeat("x", size-len("\"\"\n")) })
			require.NoError(t, err)
			return text
		}
		var fixed, changing document
		// What does not change is made once.
		first := take(&fixed, small, 1, false)
		time.Sleep(time.Hour) //nolint:forbidigo // The bubble's clock.
		assert.Same(t, first, take(&fixed, small, 1, false))
		assert.Equal(t, 1, made)
		assert.EqualValues(t, small-smallBytes, s.memory.Used())
		// That of something else takes its place, once nobody takes it.
		other := take(&fixed, small, 2, false)
		assert.EqualValues(t, 2*(small-smallBytes), s.memory.Used())
		fixed.giveBack(first)
		fixed.giveBack(first)
		assert.EqualValues(t, small-smallBytes, s.memory.Used())
		fixed.giveBack(other)
		assert.EqualValues(t, small-smallBytes, s.memory.Used(), "the last one is kept")
		assert.Equal(t, 2, made)

		// What changes is made anew each time while it is small, and else once in a while.
		for range 2 {
			changing.giveBack(take(&changing, small, 1, true))
		}
		assert.Equal(t, 4, made)
		old := take(&changing, large, 1, true)
		assert.Same(t, old, take(&changing, large, 1, true))
		time.Sleep(documentLife + time.Millisecond) //nolint:forbidigo // The bubble's clock.
		assert.NotSame(t, old, take(&changing, large, 1, true))
		assert.Equal(t, 6, made)

		// Two large ones and a small one are taken: there is no room for a third.
		time.Sleep(documentLife + time.Millisecond) //nolint:forbidigo // The bubble's clock.
		_, err := changing.take(s, 1, true, func() any { return strings.Repeat("x", large) })
		require.ErrorIs(t, err, memory.ErrFull)
	})
}
