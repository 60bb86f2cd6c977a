package docs_test

import (
	"math"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// number reads a figure as pages write it: 1,000 or 0.02.
func number(t *testing.T, text string) float64 {
	t.Helper()
	n, err := strconv.ParseFloat(strings.ReplaceAll(strings.Fields(text)[0], ",", ""), 64)
	require.NoError(t, err, text)
	return n
}

// TestCapacity holds the capacity page to what was measured, and its tables to
// its own arithmetic.
func TestCapacity(t *testing.T) {
	capacity, performance := read(t, "docs/capacity.md"), read(t, "docs/performance.md")
	formula := regexp.MustCompile(`([\d.]+) µs  \+  ([\d.]+) µs × trees  \+  ([\d.]+) µs × features  \+  ([\d.]+) µs × further rows`).
		FindStringSubmatch(capacity.text)
	require.NotNil(t, formula)
	for i, unit := range []string{"tree", "feature", "row"} {
		slope := regexp.MustCompile(`, and ([\d.]+) µs more for each ` + unit + `\.`).FindStringSubmatch(performance.text)
		require.NotNil(t, slope, unit)
		assert.InEpsilon(t, number(t, slope[1]), number(t, formula[i+2]), 0.15, "µs for each "+unit)
	}
	trees := regexp.MustCompile(`takes ([\d.]+) µs of a processor, and [\d.]+ µs more for each tree`).FindStringSubmatch(performance.text)
	require.NotNil(t, trees)
	assert.InEpsilon(t, number(t, trees[1]), number(t, formula[1])+4*number(t, formula[3]), 0.1, "µs without trees, with the four features of Iris")

	measured := make(map[string]float64)
	for _, row := range rows(performance.section(t, "Scale")) {
		if micros := strings.Fields(row[min(4, len(row)-1)]); len(row) == 8 && len(micros) == 2 {
			measured[strings.Trim(row[0], "`")] = number(t, micros[0])
		}
	}
	variants := []string{"trees 70", "trees 1000", "features 128", "rows 100", "rows 1000"}
	costs := rows(capacity.section(t, "What a request costs"))
	require.Len(t, costs, len(variants))
	for i, row := range costs {
		require.Contains(t, measured, variants[i])
		assert.InEpsilon(t, measured[variants[i]], number(t, row[1]), 0.02, row[0])
		assert.InEpsilon(t, 1e6/number(t, row[1]), number(t, row[2]), 0.02, row[0])
	}

	iris, large, batch := number(t, costs[0][1]), number(t, costs[1][1]), number(t, costs[3][1])
	loads := []struct{ rate, micros float64 }{
		{1e3, iris}, {1e4, iris}, {1e5, iris}, {1e6, iris}, {1e6, large}, {1e4, batch},
	}
	traffic := rows(capacity.section(t, "How many cores and replicas"))
	require.Len(t, traffic, len(loads))
	for i, row := range traffic {
		cores := loads[i].rate * loads[i].micros / 1e6
		assert.InEpsilon(t, cores, number(t, row[1]), 0.05, row[0])
		assert.InEpsilon(t, cores/0.6, number(t, row[2]), 0.15, row[0])
		replicas := regexp.MustCompile(`^(\d+) of ([\d.]+) core`).FindStringSubmatch(row[3])
		require.NotNil(t, replicas, row[0])
		needed := math.Ceil(number(t, row[2])/number(t, replicas[2]) - 1e-9)
		assert.InDelta(t, max(needed, 2), number(t, replicas[1]), 0, row[0]) // two at least, for safety
	}
}

// TestPrices holds what `make costs` prints to the page that has the sources, cloud
// by cloud, and the sums of a pause to those prices.
func TestPrices(t *testing.T) {
	cost := read(t, "docs/guide/cost.md")
	names := map[string]string{"gcp": "Google Cloud", "aws": "AWS", "azure": "Azure"}
	prices, cloud := make(map[string]string), ""
	for _, row := range rows(cost.section(t, "What costs")) {
		if row[0] != "" {
			cloud = row[0]
		}
		prices[cloud] += row[2] + "\n"
	}
	list, err := os.ReadFile(filepath.Join(root, "infra", "scripts", "prices.tsv"))
	require.NoError(t, err)
	count := 0
	for line := range strings.Lines(string(list)) {
		column := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		require.Len(t, column, 3, line)
		_, err := regexp.Compile(column[1])
		require.NoError(t, err, line)
		assert.Contains(t, prices[names[column[0]]], column[2], column[0])
		count++
	}
	assert.Greater(t, count, 15)
	dollars := regexp.MustCompile(`\$([\d.]+)`)
	for _, row := range rows(cost.section(t, "What a pause leaves")) {
		var sum float64
		for _, cell := range row[1:5] {
			for _, found := range dollars.FindAllStringSubmatch(cell, -1) {
				sum += number(t, found[1])
			}
		}
		said := dollars.FindAllStringSubmatch(row[5], -1)
		assert.InDelta(t, sum, number(t, said[len(said)-1][1]), 0.01, row[0])
	}
}
