package main

import (
	"math"
	"os"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tepalhq/tepal/model"
)

// readIris reads the data that the project ships.
func readIris(t *testing.T) *table {
	t.Helper()
	const file = "../../data/iris.csv"
	data, err := os.ReadFile(file)
	require.NoError(t, err)
	iris, err := readTable(file, data, "")
	require.NoError(t, err)
	return iris
}

// readText reads a table from CSV text, whose label stands last.
func readText(t *testing.T, text string) *table {
	t.Helper()
	read, err := readTable("t.csv", []byte(text), "")
	require.NoError(t, err)
	return read
}

func TestReadTable(t *testing.T) {
	for _, test := range []struct {
		name, text, label string
		want              table
	}{
		{
			name: "the last column is the label",
			text: "x,y,kind\n1,2,b\n3,4.5,a\n-5,6e-1,b\n7,8,a\n",
			want: table{
				features: []string{"x", "y"}, label: "kind",
				rows:    [][]float64{{1, 2}, {3, 4.5}, {-5, 0.6}, {7, 8}},
				labels:  []int{1, 0, 1, 0},
				classes: model.Classes{Strings: []string{"a", "b"}},
			},
		},
		{
			name:  "a label named, in front",
			text:  "kind,x\na,1\nb,2\na,3\nb,4\n",
			label: "kind",
			want: table{
				features: []string{"x"}, label: "kind",
				rows:    [][]float64{{1}, {2}, {3}, {4}},
				labels:  []int{0, 1, 0, 1},
				classes: model.Classes{Strings: []string{"a", "b"}},
			},
		},
		{
			name: "a byte order mark, spaces, quotes, empty lines and no last line end",
			text: "\uFEFFx, y,kind\r\n 1 , 2,\"b, c\"\r\n\r\n3,4,a\r\n1,2,\"b, c\"\r\n3,4,a",
			want: table{
				features: []string{"x", "y"}, label: "kind",
				rows:    [][]float64{{1, 2}, {3, 4}, {1, 2}, {3, 4}},
				labels:  []int{1, 0, 1, 0},
				classes: model.Classes{Strings: []string{"a", "b, c"}},
			},
		},
		{
			name:  "white space around names, numbers and labels, inside quotes too",
			text:  " x ,\"y \",kind \n1 ,\t2,no\n3,\" 4 \", no \n5,6,yes\t\n7,8,\" yes\"\n",
			label: "kind",
			want: table{
				features: []string{"x", "y"}, label: "kind",
				rows:    [][]float64{{1, 2}, {3, 4}, {5, 6}, {7, 8}},
				labels:  []int{0, 0, 1, 1},
				classes: model.Classes{Strings: []string{"no", "yes"}},
			},
		},
		{
			name: "integer labels, in numerical order",
			text: "x,kind\n1,10\n2,9\n3,-1\n4,10\n5,9\n6,-1\n",
			want: table{
				features: []string{"x"}, label: "kind",
				rows:    [][]float64{{1}, {2}, {3}, {4}, {5}, {6}},
				labels:  []int{2, 1, 0, 2, 1, 0},
				classes: model.Classes{Ints: []int64{-1, 9, 10}},
			},
		},
		{
			name: "labels that would not come back as they are stay text",
			text: "x,kind\n1,7\n2,007\n3,7\n4,007\n",
			want: table{
				features: []string{"x"}, label: "kind",
				rows:    [][]float64{{1}, {2}, {3}, {4}},
				labels:  []int{1, 0, 1, 0},
				classes: model.Classes{Strings: []string{"007", "7"}},
			},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := readTable("t.csv", []byte(test.text), test.label)
			require.NoError(t, err)
			test.want.file, test.want.digest = "t.csv", got.digest
			assert.Equal(t, &test.want, got)
		})
	}
}

// The digest is that of the file as it lies on disk, by sha256sum.
func TestReadTableDigest(t *testing.T) {
	iris := readIris(t)
	assert.Equal(t, "sha256:9cc1c345c71bcc9b486b74cbf6063fa66f4bb5e0f603a4b3c3471ec2e5e8e355", iris.digest)
	assert.Len(t, iris.rows, 150)
	assert.Equal(t, []string{"setosa", "versicolor", "virginica"}, iris.classes.Strings)
}

func TestReadTableFaults(t *testing.T) {
	for _, test := range []struct{ name, text, label, want string }{
		{
			name: "empty file",
			want: "t.csv:1:1: the file is empty: it needs a header with the columns' names and a row for each example",
		},
		{
			name: "nothing but a byte order mark",
			text: "\uFEFF",
			want: "t.csv:1:1: the file is empty: it needs a header with the columns' names and a row for each example",
		},
		{
			name: "header only",
			text: "x,kind\n",
			want: "t.csv:1:1: there is a header and no row below it",
		},
		{
			name: "no such column", label: "species",
			text: "x,y,kind\n1,2,a\n",
			want: `t.csv:1:1: there is no column "species" for the label; the columns are x, y, kind`,
		},
		{
			name: "no feature",
			text: "kind\na\nb\n",
			want: `t.csv:1:1: "kind" is the only column: a model needs a column for the label and at least one feature`,
		},
		{
			name: "duplicate column",
			text: "x,kind,x\n1,a,1\n",
			want: `t.csv:1:8: columns 1 and 3 are both called "x"`,
		},
		{
			name: "duplicate column but for white space",
			text: "x,kind,x \n1,a,1\n",
			want: `t.csv:1:8: columns 1 and 3 are both called "x"`,
		},
		{
			name: "label of white space",
			text: "x,kind\n1,\" \"\n",
			want: `t.csv:2:3: column "kind": the label is empty`,
		},
		{
			name: "column without a name",
			text: "x,,kind\n1,2,a\n",
			want: "t.csv:1:3: column 2 has no name",
		},
		{
			name: "text for a number",
			text: "x,y,kind\n1,2,a\n1,high,b\n",
			want: `t.csv:3:3: column "y": "high" is no number`,
		},
		{
			name: "no value",
			text: "x,y,kind\n,2,a\n",
			want: `t.csv:2:1: column "x": the cell is empty, and a feature needs a number in every row`,
		},
		{
			name: "not a number",
			text: "x,y,kind\n1,NaN,a\n",
			want: `t.csv:2:3: column "y": "NaN" is no number`,
		},
		{
			name: "infinity",
			text: "x,y,kind\n1,-inf,a\n",
			want: `t.csv:2:3: column "y": "-inf" is no number`,
		},
		{
			name: "a number that the server would not read",
			text: "x,y,kind\n1,0x1p-2,a\n",
			want: `t.csv:2:3: column "y": "0x1p-2" is no number`,
		},
		{
			name: "beyond a double",
			text: "x,y,kind\n1,1e400,a\n",
			want: `t.csv:2:3: column "y": "1e400" is out of the range of a 64-bit float`,
		},
		{
			name: "lines are counted as an editor does",
			text: "x,y,kind\n\n1,2,\"a\nb\"\n1,two,b\n",
			want: `t.csv:5:3: column "y": "two" is no number`,
		},
		{
			name: "row too short",
			text: "x,y,kind\n1,2,a\n1,22\n",
			want: "t.csv:3:3: the row has 2 cells and the header 3",
		},
		{
			name: "row of one cell",
			text: "x,y,kind\nend\n",
			want: "t.csv:2:1: the row has 1 cell and the header 3",
		},
		{
			name: "row too long",
			text: "x,y,kind\n1,2,a,5\n",
			want: "t.csv:2:7: the row has 4 cells and the header 3",
		},
		{
			name: "stray quote",
			text: "x,y,kind\n1,2\",a\n",
			want: `t.csv:2:4: bare " in non-quoted-field`,
		},
		{
			name: "no label",
			text: "x,y,kind\n1,2,\n",
			want: `t.csv:2:5: column "kind": the label is empty`,
		},
		{
			name: "not UTF-8",
			text: "x,kind\n1,caf\xe9\n",
			want: `t.csv:2:3: the cell "caf\xe9" is no valid UTF-8`,
		},
		{
			name: "one class",
			text: "x,kind\n1,a\n2,a\n3,a\n",
			want: `t.csv:2:3: "a" is the label of every row, and a classifier needs two classes at least`,
		},
		{
			name: "more classes than rows support",
			text: "x,kind\n1,a\n2,b\n3,c\n4,a\n5,d\n",
			want: `t.csv:2:3: column "kind" has 4 classes in 5 rows, and a class needs two rows at least: is it the label?`,
		},
		{
			name: "a class of one row",
			text: "x,kind\n1,a\n2,b\n3,c\n4,a\n5,b\n6,a\n",
			want: `t.csv:4:3: this is the only row of class "c", and a class needs two at least: one to learn from and one to check with`,
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := readTable("t.csv", []byte(test.text), test.label)
			require.EqualError(t, err, test.want)
		})
	}
}

func FuzzReadTable(f *testing.F) {
	for _, text := range []string{
		"x,y,kind\n1,2,b\n3,4.5,a\n-5,6e-1,b\n7,8,a\n",
		"\uFEFFkind,x\r\n\"b, c\",1\r\n\r\n1,2\r\n\"b, c\",3\r\n1,4",
		"x,kind\n1,7\n2,7\n3,8\n4,8\n",
		"x,kind\n1,\"a\n", "", "\n", "x", "x,\xff\n1,\xff\n", "x,kind\nNaN,a\n0x1p-2,b\n",
	} {
		f.Add([]byte(text), "kind")
		f.Add([]byte(text), "")
	}
	f.Fuzz(func(t *testing.T, data []byte, label string) {
		read, err := readTable("t.csv", data, label)
		if err != nil {
			require.Regexp(t, `^t\.csv:[1-9]\d*:[1-9]\d*: `, err.Error())
			return
		}
		require.Len(t, read.labels, len(read.rows))
		rows := make([]int, read.classes.Len())
		for i, row := range read.rows {
			require.Len(t, row, len(read.features))
			for _, v := range row {
				require.False(t, math.IsNaN(v) || math.IsInf(v, 0))
			}
			rows[read.labels[i]]++
		}
		for class, n := range rows {
			require.GreaterOrEqual(t, n, 2, "class %q", read.classes.Text(class))
		}
		_, twice := read.classes.Repeated()
		require.False(t, twice)
	})
}
