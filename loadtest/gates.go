package loadtest

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Gates are what a run must hold; those that are nil or 0 are not asked.
type Gates struct {
	MaxP95    time.Duration `name:"max-p95" group:"Gates:" placeholder:"TIME" help:"Greatest 95th percentile of latencies."`
	MaxP99    time.Duration `name:"max-p99" group:"Gates:" placeholder:"TIME" help:"Greatest 99th percentile of latencies."`
	MaxErrors *Share        `group:"Gates:" placeholder:"SHARE" help:"Greatest share of requests that fail or are answered wrongly, such as 0.1%."`
	MinRate   *MinRate      `group:"Gates:" placeholder:"RATE" help:"Least rate of right answers: a share of the one asked, such as 95%, or an absolute one, such as 900/s."`
}

// Share is a part of a whole, from 0 to 1.
type Share float64

// UnmarshalText reads 0.01 or 1%.
func (s *Share) UnmarshalText(text []byte) error {
	number, isPercent := strings.CutSuffix(string(text), "%")
	v, err := strconv.ParseFloat(number, 64)
	if isPercent {
		v /= 100
	}
	if err != nil || !(v >= 0 && v <= 1) {
		return fmt.Errorf("%q is no share such as 0.01 or 1%%", text)
	}
	*s = Share(v)
	return nil
}

func (s Share) String() string { return fmt.Sprintf("%.3g%%", float64(s)*100) }

// MinRate is a rate: a share of the one asked, or so many right answers a second.
type MinRate struct {
	Share    Share
	Absolute Rate
}

// UnmarshalText reads 95% or 900/s.
func (m *MinRate) UnmarshalText(text []byte) error {
	if strings.HasSuffix(string(text), "%") {
		return m.Share.UnmarshalText(text)
	}
	return m.Absolute.UnmarshalText(text)
}

func (m MinRate) String() string {
	if m.Absolute > 0 {
		return perSecond(float64(m.Absolute))
	}
	return m.Share.String() + " of the rate asked"
}

func perSecond(rate float64) string { return fmt.Sprintf("%.5g/s", rate) }

// Verdict says whether a gate held.
type Verdict struct {
	Gate  string `json:"gate"`
	Limit string `json:"limit"`
	Got   string `json:"got"`
	Held  bool   `json:"held"`
}

func (v Verdict) String() string { return fmt.Sprintf("%s is %s, limit %s", v.Gate, v.Got, v.Limit) }

// judge holds what came of a load to the gates. A load of no request has shown
// nothing, and holds none on errors and rates.
func (g Gates) judge(s Summary) (list []Verdict) {
	if g.MaxP95 > 0 {
		list = append(list, Verdict{"--max-p95", g.MaxP95.String(), s.P95.String(), s.P95.Duration <= g.MaxP95})
	}
	if g.MaxP99 > 0 {
		list = append(list, Verdict{"--max-p99", g.MaxP99.String(), s.P99.String(), s.P99.Duration <= g.MaxP99})
	}
	if g.MaxErrors != nil {
		list = append(list, Verdict{"--max-errors", g.MaxErrors.String(), s.ErrorShare.String(), s.Requests > 0 && s.ErrorShare <= *g.MaxErrors})
	}
	if m := g.MinRate; m != nil {
		least := max(float64(m.Absolute), float64(m.Share)*s.AskedRate)
		list = append(list, Verdict{"--min-rate", m.String(), perSecond(s.RightRate), s.Requests > 0 && s.RightRate >= least})
	}
	return list
}

// kneeShare is the share of the rate asked below which a step is not held.
const kneeShare = 0.95

// ofStep returns the gates of a step: one always asks for a share of its rate.
// What is asked for in requests a second is for the knee.
func (g Gates) ofStep() Gates {
	if g.MinRate == nil || g.MinRate.Absolute > 0 {
		g.MinRate = &MinRate{Share: kneeShare}
	}
	return g
}

// ofSearch returns the verdicts of a search for the knee. What ended it is a
// failure only when no step was held; a rate in requests a second is asked of
// the last that was.
func (g Gates) ofSearch(held *Summary, last []Verdict) []Verdict {
	switch {
	case held == nil:
		return last
	case g.MinRate == nil || g.MinRate.Absolute == 0:
		return nil
	}
	return Gates{MinRate: g.MinRate}.judge(*held)
}

// broken returns the verdicts on gates that did not hold.
func broken(list []Verdict) []Verdict {
	return slices.DeleteFunc(slices.Clone(list), func(v Verdict) bool { return v.Held })
}
