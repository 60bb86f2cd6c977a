package tree

// finishMany adds the base values and picks the class of the highest score,
// the first of equals; a class that no tree voted for is no candidate.
func (e *ensemble[F]) finishMany(s *scratch[F]) int64 {
	scores, scored := s.scores, s.scored
	for j, v := range e.base {
		scores[j] += v
		scored[j] = true
	}
	best := -1
	for j, v := range scores {
		if scored[j] && (best < 0 || v > scores[best]) {
			best = j
		}
	}
	apply(e.transform, scores)
	return int64(max(best, 0))
}

// finishTwo follows ONNX Runtime, down to its oddities, where the specification
// leaves two classes open. Exporters give one class's column of weights and
// mean the score of the second class by it; its complement is the first's.
func (e *ensemble[F]) finishTwo(s *scratch[F]) int64 {
	scores := s.scores
	second := e.targets == 2 && s.scored[1]
	single := !second
	switch {
	case len(e.base) == 2 && second:
		scores[1] = e.base[1] + scores[0]
		scores[0] = -scores[1]
	case len(e.base) == 2:
		scores[0] += e.base[0]
		scores[1] += e.base[1]
		single = false
	case len(e.base) == 1:
		scores[0] += e.base[0]
	}
	decisive := scores[0]
	if second {
		decisive = scores[1]
	}
	limit := F(0)
	if e.oneColumn && e.positive {
		limit = 0.5
	}
	if single {
		e.complete(scores)
	} else {
		s.mute()
		apply(e.transform, scores)
	}
	if decisive > limit {
		return int64(e.targets - 1)
	}
	return 0
}

// complete turns the only score of two classes into both.
func (e *ensemble[F]) complete(scores []F) {
	v := scores[0]
	switch {
	case len(scores) == 1:
		if e.transform == probit {
			apply(probit, scores)
		}
	case e.transform == logistic:
		scores[0], scores[1] = F(sigmoid(float32(-v))), F(sigmoid(float32(v)))
	case e.oneColumn && e.positive:
		scores[0], scores[1] = 1-v, v
	default:
		scores[0], scores[1] = -v, v
	}
}
