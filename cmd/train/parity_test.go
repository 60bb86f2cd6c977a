package main

import (
	"context"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"

	"github.com/sjwhitworth/golearn/trees"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tepalhq/tepal/model"
	"github.com/tepalhq/tepal/model/onnx"
)

const randomRows = 10_000

// parityRows are the training rows and random ones: values in and around the
// training range, of which every fourth is exactly a split of the forest.
func parityRows(t *table, f *forest, random *rand.Rand) [][]float64 {
	rows := append([][]float64{}, t.rows...)
	splits := f.splits()
	for range randomRows {
		row := make([]float64, len(t.features))
		for i, s := range splits {
			a, b := t.rows[random.IntN(len(t.rows))][i], t.rows[random.IntN(len(t.rows))][i]
			row[i] = a + (b-a)*(3*random.Float64()-1)
			if random.IntN(4) == 0 && len(s) > 0 {
				row[i] = s[random.IntN(len(s))]
			}
		}
		rows = append(rows, row)
	}
	return rows
}

// answers returns the index of the class that golearn's Predict gives each
// row, tree by tree: answers[tree][row]. Two goroutines share the trees.
func answers(f *forest, rows [][]float64) [][]int {
	answers := make([][]int, len(f.trees))
	half := len(f.trees) / 2
	var wait sync.WaitGroup
	for _, part := range [][2]int{{0, half}, {half, len(f.trees)}} {
		wait.Go(func() {
			for i := part[0]; i < part[1]; i++ {
				alone := &forest{columns: f.columns, trees: f.trees[i : i+1]}
				for _, votes := range alone.votes(rows) {
					answers[i] = append(answers[i], slices.Index(votes, 1))
				}
			}
		})
	}
	wait.Wait()
	return answers
}

// predict loads a forest as the server does and evaluates it with Tepal's own
// evaluator. It returns the index of each row's class.
func predict(t *testing.T, f *forest, classes model.Classes, rows [][]float64) ([]int, *model.Predictions) {
	t.Helper()
	file := f.export("parity", classes)
	m, err := onnx.Load(file.Marshal(), "parity")
	require.NoError(t, err)
	var batch model.Batch
	batch.Reset(&m.Schema)
	for range rows {
		batch.Append(&m.Schema)
	}
	for i, row := range rows {
		copy(batch.Inputs[0].Float64s[i*len(row):], row)
	}
	p := &model.Predictions{}
	require.NoError(t, m.Predict(context.Background(), &batch, p))
	labels := make([]int, len(rows))
	for i := range rows {
		labels[i] = p.Class(i)
	}
	return labels, p
}

// What golearn's own Predict answers is what the exported trees say, read by
// a walker that knows only ONNX's specification, and what Tepal's evaluator
// answers: tree by tree, and as a majority in which ties go to the first class.
func TestParityWithGolearn(t *testing.T) {
	iris := readIris(t)
	three := *iris
	two := table{
		features: iris.features, label: iris.label,
		rows: iris.rows[50:], classes: model.Classes{Strings: iris.classes.Strings[1:]},
	}
	for _, label := range iris.labels[50:] {
		two.labels = append(two.labels, label-1)
	}
	integers := *iris
	integers.classes = model.Classes{Ints: []int64{-4, 0, 9}}

	for _, test := range []struct {
		name  string
		from  *table
		trees int
		// random is how many of the random rows are used.
		random int
	}{
		{"iris", &three, 70, randomRows},
		{"two classes, even", &two, 6, 1000},
		{"two classes, odd", &two, 5, 1000},
		{"two classes, one tree", &two, 1, 1000},
		{"integer classes", &integers, 4, 1000},
	} {
		t.Run(test.name, func(t *testing.T) {
			f := grow(t, test.from, settings{Trees: test.trees, Depth: 6, Features: 2, MinLeaf: 1}, 1)
			rows := parityRows(test.from, f, rand.New(rand.NewPCG(7, 0)))[:len(test.from.rows)+test.random]
			golearn := answers(f, rows)
			checkTrees(t, f, test.from.classes, rows, golearn)
			checkForest(t, f, test.from.classes, rows, golearn)
		})
	}
}

func checkTrees(t *testing.T, f *forest, classes model.Classes, rows [][]float64, answers [][]int) {
	t.Helper()
	for i, tree := range f.trees {
		alone := &forest{columns: f.columns, trees: []*trees.DecisionTreeNode{tree}}
		file := alone.export("parity", classes)
		w := newWalker(t, file)
		walked := make([]int, len(rows))
		for j, row := range rows {
			walked[j] = w.class(0, row)
		}
		require.Equal(t, answers[i], walked, "tree %d, walked", i)
		evaluated, _ := predict(t, alone, classes, rows)
		require.Equal(t, answers[i], evaluated, "tree %d, evaluated", i)
	}
}

func checkForest(t *testing.T, f *forest, classes model.Classes, rows [][]float64, answers [][]int) {
	t.Helper()
	labels, p := predict(t, f, classes, rows)
	probabilities := p.Probabilities()
	require.Equal(t, classes.Len(), probabilities.Width())
	majority, ties := make([]int, len(rows)), 0
	for i := range rows {
		votes := make([]int, classes.Len())
		for _, tree := range answers {
			votes[tree[i]]++
		}
		majority[i] = mostVotes(votes)
		if margin(votes) == 0 {
			ties++
		}
		for class, n := range votes {
			want := float32(n) / float32(len(f.trees))
			if got := probabilities.Float32s[i*classes.Len()+class]; got != want {
				require.Fail(t, "probability", "row %d (%v), class %d: %v, want %v", i, rows[i], class, got, want)
			}
		}
	}
	require.Equal(t, majority, labels)
	if len(f.trees)%2 == 0 {
		assert.Positive(t, ties, "%d trees: the rows are to hold ties", len(f.trees))
	}
}
