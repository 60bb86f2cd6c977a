package server

import (
	"errors"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tepalhq/tepal/model"
	"github.com/tepalhq/tepal/model/repository"
	"github.com/tepalhq/tepal/model/rows"
)

// wide is a model of one number that answers columns of them.
func wide(columns int) *repository.Served {
	m := &model.Model{
		Name: "wide", Version: "1",
		Schema: model.Schema{
			Features: []model.Feature{{Name: "x", Type: model.Float32}},
			Inputs:   []model.Input{{Name: "x", Type: model.Float32, Columns: 1}},
			Outputs:  []model.Output{{Name: "y", Role: model.RoleValue, Type: model.Float32, Columns: columns}},
		},
		RowBytes: 4 * int64(columns),
	}
	return &repository.Served{Model: m, Codec: rows.New(m)}
}

// TestAnswersAreBoundedBeforeTheyAreComputed: what could never be answered is
// too large, what cannot be answered now is to be tried again, and both are
// known when the batch is read.
func TestAnswersAreBoundedBeforeTheyAreComputed(t *testing.T) {
	const columns = 10_000
	// A row takes 26 bytes of text and 4 of memory for each of its columns, and some 100 bytes besides.
	const row = columns * 30
	s := start(t, setup{config: Config{MaxConnections: 16, MaxConcurrency: 1, MemoryBudgetBytes: 12 << 20}}, false)
	fit := int(s.memory.Size() / row)
	decode := func(count int) error {
		x := s.newExchange()
		defer s.recycle(x)
		_, err := s.enter(t.Context(), caller{}, x)
		require.NoError(t, err)
		defer s.leave(x)
		err = s.decode(wide(columns), x, []byte("["+strings.Repeat("[1],", count-1)+"[1]]"))
		if err == nil {
			assert.GreaterOrEqual(t, cap(x.out.Bytes), count*columns*len("-1.234567e-38,"))
		}
		return err
	}
	require.NoError(t, decode(1))
	require.NoError(t, decode(fit-1))
	tooLarge, ok := errors.AsType[*model.Error](decode(fit + 1))
	require.True(t, ok)
	assert.Equal(t, model.KindTooLarge, tooLarge.Kind)
	assert.Equal(t, "batch-too-large", tooLarge.Type)
	assert.Contains(t, []string{"at most " + strconv.Itoa(fit) + " instances", "at most " + strconv.Itoa(fit-1) + " instances"}, tooLarge.Expected)

	others := s.memory.Lease()
	require.NoError(t, others.Set(s.memory.Size()-row))
	assert.Equal(t, model.KindOverloaded, model.KindOf(decode(fit-1)))
	require.NoError(t, others.Set(s.memory.Size()))
	// One that is small takes nothing of what is shared.
	status, body := post(t, s.url+"/predict", setosa)
	assert.Equal(t, http.StatusOK, status, body)
	require.NoError(t, others.Set(0))
	assert.Zero(t, s.memory.Used())
	_, metrics := get(t, s.ops+"/metrics")
	assert.Contains(t, metrics, `tepal_admission_shed_total{reason="batch-memory"} 1`)
}

// TestTextsOfProblemsAreBounded: names in a file are as long as its author likes.
func TestTextsOfProblemsAreBounded(t *testing.T) {
	long := strings.Repeat("é", 1<<20)
	p := newProblem(http.StatusUnprocessableEntity, "", &model.Error{Detail: long, Pointer: "/" + long, Expected: long, Got: long})
	for _, text := range []string{p.Detail, p.Pointer, p.Expected, p.Got, p.Error} {
		assert.LessOrEqual(t, len(text), mostText+len("…"))
		assert.True(t, strings.HasSuffix(text, "é…"))
	}
	r := repository.New()
	r.Refuse(errors.New(long))
	assert.Less(t, len(r.Reason()), 1100)
}
