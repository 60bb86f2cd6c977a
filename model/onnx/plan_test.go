package onnx

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tepalhq/tepal/model"
)

// chain adds C to X so many times, or divides X by it.
func chain(op string, nodes int, constant Tensor, columns int64) *Model {
	g := Graph{Initializers: []Tensor{constant}, Inputs: []ValueInfo{rowsOf("X", constant.Type, columns)}}
	last := "X"
	for i := range nodes {
		name := fmt.Sprint("v", i)
		g.Nodes = append(g.Nodes, operation(op, []string{last, "C"}, []string{name}))
		last = name
	}
	g.Outputs = []ValueInfo{{Name: last}}
	return fileOf(g)
}

// TestRowBytes has the memory of a row by hand: of each type what is needed at
// once.
func TestRowBytes(t *testing.T) {
	c := float32Tensor("C", []int{}, 1)
	for _, test := range []struct {
		name string
		file *Model
		want int64
	}{
		{"one result", chain("Add", 1, c, 7), 7 * 4},
		{"results in place", chain("Add", 40, c, 7), 7 * 4},
		{"quotients in place", chain("Div", 40, float64Tensor("C", []int{}, 2), 7), 7 * 8},
		{"integers: one on the way", chain("Div", 2, int64Tensor("C", []int{}, 2), 7), 2 * 7 * 8},
		{"two in turns, and the output", chain("Div", 3, int64Tensor("C", []int{}, 2), 7), 3 * 7 * 8},
		{"more in turns", chain("Div", 40, int64Tensor("C", []int{}, 2), 7), 3 * 7 * 8},
		{"a column that becomes wider", chain("Add", 3, zeros("C", 1, 9), 1), 9 * 4},
		{"scores of three classes, a text, and the index of a class", classifierFile(), 3*4 + 16 + 8},
		{"two targets", regressorFile(), 2 * 4},
	} {
		require.Equal(t, test.want, load(t, test.file).RowBytes, test.name)
	}
	m := load(t, chain("Add", 40, c, 7))
	require.Equal(t, []float32{41, 42, 43, 44, 45, 46, 47}, run(t, m, float32Rows(7, 1, 2, 3, 4, 5, 6, 7))[0].Float32s)
	m = load(t, chain("Div", 4, int64Tensor("C", []int{}, 2), 1))
	require.Equal(t, []int64{6, -6}, run(t, m, int64Tensor("", []int{2, 1}, 100, -100).Tensor)[0].Int64s)
}

// TestSharedSlots evaluates random graphs of sums, and of other names for values,
// by hand: no value is lost while a later node or an output needs it.
func TestSharedSlots(t *testing.T) {
	r := rand.New(rand.NewPCG(4, 7))
	for range 300 {
		g := Graph{Inputs: []ValueInfo{rowsOf("0", model.Int64, 1), rowsOf("1", model.Int64, 1)}}
		want := [][2]int64{{1, -2}, {30, 4}}
		for i := range 2 + r.IntN(20) {
			a, b := r.IntN(len(want)), r.IntN(len(want))
			if r.IntN(3) > 0 { // mostly what has just been made
				a = len(want) - 1
			}
			name := []string{fmt.Sprint(i + 2)}
			if r.IntN(5) == 0 {
				g.Nodes = append(g.Nodes, operation("Identity", []string{fmt.Sprint(a)}, name))
				want = append(want, want[a])
				continue
			}
			g.Nodes = append(g.Nodes, operation("Add", []string{fmt.Sprint(a), fmt.Sprint(b)}, name))
			want = append(want, [2]int64{want[a][0] + want[b][0], want[a][1] + want[b][1]})
		}
		places := r.Perm(len(want))[:1+r.IntN(4)]
		for _, i := range places {
			g.Outputs = append(g.Outputs, ValueInfo{Name: fmt.Sprint(i)})
		}
		m := load(t, fileOf(g))
		inputs := []model.Tensor{int64Tensor("", []int{2, 1}, want[0][:]...).Tensor, int64Tensor("", []int{2, 1}, want[1][:]...).Tensor}
		for i, out := range run(t, m, inputs...) {
			require.Equal(t, want[places[i]][:], out.Int64s, "%v of %+v", places[i], g.Nodes)
		}
	}
}

// TestFrameBytes: a frame counts all the memory that it holds, also what it got
// from a caller for an output, and not its
// constants.
func TestFrameBytes(t *testing.T) {
	compiled, err := compile(chain("Div", 3, int64Tensor("C", []int{}, 2), 1), operators)
	require.NoError(t, err)
	p := compiled.program
	f := p.newFrame()
	require.Zero(t, p.frameBytes(f))
	for _, slot := range p.owned {
		f.values[slot] = model.Tensor{Float32s: make([]float32, 5, 1000)}
	}
	require.Equal(t, int64(3*1000*4), p.frameBytes(f))
	f.values[p.owned[0]] = model.Tensor{Float64s: make([]float64, 0, 50), Bools: make([]bool, 9)}
	require.Equal(t, int64(2*1000*4+50*8+9), p.frameBytes(f))
}
