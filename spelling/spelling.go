// Package spelling finds the name that was meant in place of one that is not known: a path, a variable.
package spelling

import "strings"

// Nearest returns the candidate that name most likely stands for, and "" when none is near: as many edits as a third of
// name's length, whatever its case, are the most. Its work is bounded by the candidates, however long name is.
func Nearest(name string, candidates []string) string {
	best, nearest := len(name)/3+1, ""
	name = strings.ToLower(name)
	for _, candidate := range candidates {
		if difference := len(name) - len(candidate); max(difference, -difference) >= best {
			continue
		}
		if d := distance(name, strings.ToLower(candidate)); d < best {
			best, nearest = d, candidate
		}
	}
	return nearest
}

// distance is the Levenshtein distance of two strings, in bytes.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			substituted := diagonal
			if a[i] != b[j] {
				substituted++
			}
			diagonal = row[j+1]
			row[j+1] = min(substituted, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
