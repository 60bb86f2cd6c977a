package main

import (
	"fmt"
	"math"
	"math/rand/v2"

	"github.com/sjwhitworth/golearn/base"
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
// it on the fold left out. source gives the chance of a stream; grown is
// called after each tree.
func crossValidate(c *columns, t *table, s settings, folds int, source func(stream uint64) *rand.Rand, grown func()) (*model.Metrics, error) {
	foldOf := stratifiedFolds(t.labels, t.classes.Len(), folds, source(streamFolds))
	pooled := make(evaluation.ConfusionMatrix)
	var accuracies []float64
	for fold := range folds {
		var kept, held part
		for row, in := range foldOf {
			if in == fold {
				held.add(t, row)
			} else {
				kept.add(t, row)
			}
		}
		f, err := trainForest(c, kept.rows, kept.labels, s, source(streamFolds+1+uint64(fold)), grown)
		if err != nil {
			return nil, fmt.Errorf("fold %d: %w", fold+1, err)
		}
		matrix, err := f.confusion(held)
		if err != nil {
			return nil, fmt.Errorf("fold %d: %w", fold+1, err)
		}
		accuracies = append(accuracies, evaluation.GetAccuracy(matrix))
		pool(pooled, matrix)
	}
	return newMetrics(c, pooled, accuracies), nil
}

// part is some of a table's rows with their labels.
type part struct {
	rows   [][]float64
	labels []int
}

func (p *part) add(t *table, row int) {
	p.rows = append(p.rows, t.rows[row])
	p.labels = append(p.labels, t.labels[row])
}

// confusion counts the part's rows by their label and by the forest's answer,
// with golearn's own evaluation.
func (f *forest) confusion(p part) (matrix evaluation.ConfusionMatrix, err error) {
	votes, err := f.votes(p.rows)
	if err != nil {
		return nil, err
	}
	answers := make([]int, len(votes))
	for i, v := range votes {
		answers[i] = mostVotes(v)
	}
	defer recoverGolearn("comparing answers", &err)
	var grids [2]*base.DenseInstances
	for i, labels := range [][]int{p.labels, answers} {
		if grids[i], err = f.columns.grid(p.rows, labels); err != nil {
			return nil, fmt.Errorf("golearn: %w", err)
		}
	}
	return evaluation.GetConfusionMatrix(grids[0], grids[1])
}

// pool adds the counts of matrix to those of into.
func pool(into, matrix evaluation.ConfusionMatrix) {
	for class, answers := range matrix {
		if into[class] == nil {
			into[class] = make(map[string]int)
		}
		for answer, n := range answers {
			into[class][answer] += n
		}
	}
}

// The names of the figures in model.Metrics.Values.
const (
	accuracyMean    = "accuracy"
	accuracySpread  = "accuracy_standard_deviation"
	accuracyLowest  = "accuracy_lowest_fold"
	accuracyHighest = "accuracy_highest_fold"
)

func newMetrics(c *columns, pooled evaluation.ConfusionMatrix, accuracies []float64) *model.Metrics {
	mean, deviation := meanAndDeviation(accuracies)
	lowest, highest := accuracies[0], accuracies[0]
	for _, a := range accuracies {
		lowest, highest = min(lowest, a), max(highest, a)
	}
	m := &model.Metrics{
		Method: fmt.Sprintf("stratified %d-fold cross-validation: accuracy is the mean of the folds, "+
			"the figures of the classes and the confusion matrix are of all rows, each answered by the forest that was trained without its fold", len(accuracies)),
		Values: map[string]float64{
			accuracyMean: mean, accuracySpread: deviation, accuracyLowest: lowest, accuracyHighest: highest,
		},
	}
	for _, class := range c.classes {
		counts := make([]int64, len(c.classes))
		support := int64(0)
		for i, answer := range c.classes {
			counts[i] = int64(pooled[class][answer])
			support += counts[i]
		}
		m.Confusion = append(m.Confusion, counts)
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

// meanAndDeviation returns the mean and the population's standard deviation.
func meanAndDeviation(values []float64) (mean, deviation float64) {
	for _, v := range values {
		mean += v / float64(len(values))
	}
	for _, v := range values {
		deviation += (v - mean) * (v - mean) / float64(len(values))
	}
	return mean, math.Sqrt(deviation)
}
