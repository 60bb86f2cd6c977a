package memory

import (
	"math"
	"os"
	"path/filepath"
	"runtime/debug"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestSet(t *testing.T) {
	const none = math.MaxInt64
	for _, test := range []struct {
		name, gogc, limit string
		files             map[string]string
		want              Settings
	}{
		{"no group", "", "", nil, Settings{250, none}},
		{"version 2", "", "", map[string]string{"memory.max": "134217728\n"}, Settings{250, 120795948}},
		{"version 2, no limit", "", "", map[string]string{"memory.max": "max\n"}, Settings{250, none}},
		{"version 1", "", "", map[string]string{"memory/memory.limit_in_bytes": "134217728\n"}, Settings{250, 120795948}},
		{"version 1, no limit", "", "", map[string]string{"memory/memory.limit_in_bytes": "9223372036854771712\n"}, Settings{250, none}},
		{"version 2 first", "", "", map[string]string{"memory.max": "max\n", "memory/memory.limit_in_bytes": "134217728\n"}, Settings{250, none}},
		{"neither", "", "", map[string]string{"memory.max": "much\n"}, Settings{250, none}},
		{"variables win", "100", "1GiB", map[string]string{"memory.max": "134217728\n"}, Settings{100, none}},
	} {
		t.Run(test.name, func(t *testing.T) {
			// The variables were read when the process started, so what they say is set here as Go would have.
			percent, limit := debug.SetGCPercent(100), debug.SetMemoryLimit(none)
			defer func() {
				debug.SetGCPercent(percent)
				debug.SetMemoryLimit(limit)
			}()
			t.Setenv("GOGC", test.gogc)
			t.Setenv("GOMEMLIMIT", test.limit)
			root := t.TempDir()
			for name, text := range test.files {
				path := filepath.Join(root, name)
				require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o700))
				require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
			}
			assert.Equal(t, test.want, Set(root))
		})
	}
}
