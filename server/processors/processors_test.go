package processors

import (
	"os"
	"runtime"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestAddSpare(t *testing.T) {
	before := runtime.GOMAXPROCS(0)
	t.Cleanup(func() { runtime.GOMAXPROCS(before) })

	t.Setenv("GOMAXPROCS", "3")
	AddSpare()()
	assert.Equal(t, before, runtime.GOMAXPROCS(0), "what is set stays")

	require.NoError(t, os.Unsetenv("GOMAXPROCS"))
	undo := AddSpare()
	assert.Equal(t, before+1, runtime.GOMAXPROCS(0))
	assert.Equal(t, before, ForRequests())
	undo()
	assert.Equal(t, before, runtime.GOMAXPROCS(0))

	runtime.GOMAXPROCS(1)
	assert.Equal(t, 1, ForRequests(), "of one processor there is none to spare")
}
