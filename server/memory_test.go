package server

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

// The expected values are 16 MiB by what is alive, in percent.
func TestGCPercent(t *testing.T) {
	assert.Equal(t, 400, GCPercent(0), "16 of 4 MiB")
	assert.Equal(t, 200, GCPercent(1<<20), "16 of 8 MiB")
	assert.Equal(t, 100, GCPercent(3<<20), "16 of 16 MiB")
	assert.Equal(t, 100, GCPercent(1<<40), "never below Go's own")
}
