package model

import (
	"encoding/json"
	"math"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestExpected: a number alone is a list of one, and null expects nothing.
func TestExpected(t *testing.T) {
	nan := math.NaN()
	for _, c := range []struct {
		text string
		want Expected
		any  bool
		back string
	}{
		{`[1,2.5]`, Expected{1, 2.5}, true, `[1,2.5]`},
		{`3`, Expected{3}, true, `[3]`},
		{`0`, Expected{0}, true, `[0]`},
		{`[null,1]`, Expected{nan, 1}, true, `[null,1]`},
		{`[null]`, Expected{nan}, false, `[null]`},
		{`[]`, nil, false, `[]`},
		{`null`, nil, false, `[]`},
	} {
		var got Expected
		require.NoError(t, json.Unmarshal([]byte(c.text), &got), c.text)
		require.Len(t, got, len(c.want), c.text)
		for i := range got {
			require.True(t, got[i] == c.want[i] || math.IsNaN(got[i]) && math.IsNaN(c.want[i]), c.text)
		}
		require.Equal(t, c.any, got.Any(), c.text)
		back, err := json.Marshal(got)
		require.NoError(t, err)
		require.Equal(t, c.back, string(back))
	}
	for _, text := range []string{`"1"`, `{}`, `["1"]`, `[true]`, `[[1]]`} {
		var got Expected
		require.EqualError(t, json.Unmarshal([]byte(text), &got), "what is expected is neither a number nor an array of numbers and nulls", text)
	}
}
