package main

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"

	"github.com/sjwhitworth/golearn/evaluation"

	"github.com/tepalhq/tepal/model"
)

// stratifiedFolds deals the rows out to folds so that each class, and all
// rows, are spread as evenly as they can be. It returns the fold of each row.
func stratifiedFolds(labels []int, classes, folds int, random *rand.Rand) []int {
	byClass := make([][]int, classes)
	for row, label := range labels {
		byClass[label] = append(byClass[label], row)
	}
	foldOf := make([]int, len(labels))
	next := 0
	for _, rows := range byClass {
		random.Shuffle(len(rows), func(i, j int) { rows[i], rows[j] = rows[j], rows[i] })
		for _, row := range rows {
			foldOf[row] = next % folds
			next++
		}
	}
	return foldOf
}

// crossValidate trains a forest on all folds but one, for each, and measures
// it on the fold left out. grown is called after each tree.
func crossValidate(t *table, s settings, folds int, grown func()) *model.Metrics {
	foldOf := stratifiedFolds(t.labels, t.classes.Len(), folds, s.chance(streamFolds))
	var matrices []evaluation.ConfusionMatrix
	for fold := range folds {
		kept := t.where(func(row int) bool { return foldOf[row] != fold })
		held := t.where(func(row int) bool { return foldOf[row] == fold })
		f := trainForest(kept, s, streamFolds+1+uint64(fold), grown)
		matrices = append(matrices, f.confusion(held))
	}
	return newMetrics(t.classes.Texts(), matrices)
}

// where returns the table with only those rows that keep says.
func (t *table) where(keep func(row int) bool) *table {
	part := *t
	part.rows, part.labels = nil, nil
	for i, row := range t.rows {
		if keep(i) {
			part.rows = append(part.rows, row)
			part.labels = append(part.labels, t.labels[i])
		}
	}
	return &part
}

// confusion counts the table's rows by their label and by the forest's answer.
func (f *forest) confusion(t *table) evaluation.ConfusionMatrix {
	matrix := make(evaluation.ConfusionMatrix)
	for _, class := range f.columns.classes {
		matrix[class] = make(map[string]int)
	}
	votes := f.votes(t.rows)
	for i, label := range t.labels {
		matrix[t.classes.Text(label)][t.classes.Text(mostVotes(votes[i]))]++
	}
	return matrix
}

// The names of the figures in model.Metrics.Values.
const (
	accuracyMean    = "accuracy"
	accuracySpread  = "accuracy_standard_deviation"
	accuracyLowest  = "accuracy_lowest_fold"
	accuracyHighest = "accuracy_highest_fold"
)

// newMetrics has golearn work out the figures of the folds' confusion matrices.
func newMetrics(classes []string, folds []evaluation.ConfusionMatrix) *model.Metrics {
	var accuracies []float64
	for _, matrix := range folds {
		accuracies = append(accuracies, evaluation.GetAccuracy(matrix))
	}
	mean, variance := evaluation.GetCrossValidatedMetric(folds, evaluation.GetAccuracy)
	m := &model.Metrics{
		Method: fmt.Sprintf("stratified %d-fold cross-validation: accuracy is the mean of the folds, "+
			"the figures of the classes and the confusion matrix are of all rows, each answered by the forest that was trained without its fold", len(folds)),
		Values: map[string]float64{
			accuracyMean: mean, accuracySpread: math.Sqrt(variance),
			accuracyLowest: slices.Min(accuracies), accuracyHighest: slices.Max(accuracies),
		},
	}
	pooled := make(evaluation.ConfusionMatrix)
	for _, class := range classes {
		pooled[class] = make(map[string]int)
		counts := make([]int64, len(classes))
		for i, answer := range classes {
			for _, matrix := range folds {
				pooled[class][answer] += matrix[class][answer]
			}
			counts[i] = int64(pooled[class][answer])
		}
		m.Confusion = append(m.Confusion, counts)
	}
	for i, class := range classes {
		support := int64(0)
		for _, n := range m.Confusion[i] {
			support += n
		}
		m.Classes = append(m.Classes, model.ClassMetrics{
			Class:     class,
			Precision: defined(evaluation.GetPrecision(class, pooled)),
			Recall:    defined(evaluation.GetRecall(class, pooled)),
			F1:        defined(evaluation.GetF1Score(class, pooled)),
			Support:   support,
		})
	}
	return m
}

// defined returns 0 for the NaN that golearn gives a class that was never
// answered: its precision is 0/0, and JSON has no NaN.
func defined(v float64) float64 {
	if math.IsNaN(v) {
		return 0
	}
	return v
}
