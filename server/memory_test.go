package server

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

// The expected values are 8 MiB by what is alive, in percent.
func TestGCPercent(t *testing.T) {
	assert.Equal(t, 200, GCPercent(0), "8 of 4 MiB")
	assert.Equal(t, 160, GCPercent(1<<18), "8 of 5 MiB")
	assert.Equal(t, 100, GCPercent(1<<20), "8 of 8 MiB")
	assert.Equal(t, 100, GCPercent(1<<40), "never below Go's own")
}
