package tree

// finishClasses turns the votes into a score for each class and returns the
// class of the highest one, the first of equals. Scores are compared as the
// float32 that they leave as: a vote of 0.1 is a rounded number, and five of
// ten such votes are no more than one half.
func (e *ensemble[F]) finishClasses(scores []F) int64 {
	if e.column >= 0 {
		return e.finishColumn(scores)
	}
	for j, v := range e.base {
		scores[j] += v
	}
	class := highest(scores)
	apply(e.transform, scores)
	if e.transform == softmaxZero {
		// It leaves out scores of zero, which may have been the highest.
		class = highest(scores)
	}
	return class
}

// highest is the place of the highest score, the first of equals.
func highest[F float](scores []F) int64 {
	best := 0
	for j, v := range scores {
		if float32(v) > float32(scores[best]) {
			best = j
		}
	}
	return int64(best)
}

// finishColumn completes two classes of which one has all the weights: their
// sum v is the score of the second class, whichever class they are listed for,
// since exporters write binary models so. The first class's score is what is
// left to 1 where v is a probability, and the opposite of v where it is a
// margin.
func (e *ensemble[F]) finishColumn(scores []F) int64 {
	v := scores[e.column]
	if len(e.base) > 0 {
		v += e.base[0]
	}
	limit := float32(0)
	switch {
	case e.transform == none && e.positive:
		scores[0], scores[1], limit = 1-v, v, 0.5
	case e.transform == probit:
		// The quantiles of v and of 1 - v are opposites.
		v = quantile(v)
		scores[0], scores[1] = -v, v
	default:
		scores[0], scores[1] = -v, v
		apply(e.transform, scores)
	}
	if float32(v) > limit {
		return 1
	}
	return 0
}
