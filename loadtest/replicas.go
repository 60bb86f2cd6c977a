package loadtest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os/exec"
	"time"
)

// Replicas is the state of a HorizontalPodAutoscaler at a moment of the run.
type Replicas struct {
	At      Seconds `json:"at_seconds"`
	Current int     `json:"current"`
	Desired int     `json:"desired"`
	// CPU is the use of it that the autoscaler sees, in per cent of what the
	// pods request; nil when it sees none.
	CPU *int `json:"cpu_percent"`
}

func (r Replicas) cpu() float64 {
	if r.CPU == nil {
		return math.NaN()
	}
	return float64(*r.CPU)
}

// Kubectl returns a function that asks kubectl for the autoscaler of a
// deployment, in the current context of its configuration.
func Kubectl(namespace, deployment string) func(context.Context) (Replicas, error) {
	return func(ctx context.Context) (Replicas, error) {
		ctx, cancel := context.WithTimeout(ctx, patience)
		defer cancel()
		args := []string{"get", "hpa", "--output", "json"}
		if namespace != "" {
			args = append(args, "--namespace", namespace)
		}
		out, err := exec.CommandContext(ctx, "kubectl", args...).Output()
		if exit, ok := errors.AsType[*exec.ExitError](err); ok {
			err = fmt.Errorf("%w: %s", err, bytes.TrimSpace(exit.Stderr))
		}
		if err != nil {
			return Replicas{}, fmt.Errorf("kubectl get hpa: %w", err)
		}
		return parseReplicas(out, deployment)
	}
}

// parseReplicas finds the autoscaler of a deployment in a list (autoscaling/v2).
func parseReplicas(list []byte, deployment string) (Replicas, error) {
	var hpas struct {
		Items []struct {
			Spec struct {
				ScaleTargetRef struct{ Kind, Name string }
			}
			Status struct {
				CurrentReplicas, DesiredReplicas int
				CurrentMetrics                   []struct {
					Resource struct {
						Name    string
						Current struct{ AverageUtilization *int }
					}
				}
			}
		}
	}
	if err := json.Unmarshal(list, &hpas); err != nil {
		return Replicas{}, fmt.Errorf("kubectl get hpa: %w", err)
	}
	for _, hpa := range hpas.Items {
		if ref := hpa.Spec.ScaleTargetRef; ref.Kind != "Deployment" || ref.Name != deployment {
			continue
		}
		r := Replicas{Current: hpa.Status.CurrentReplicas, Desired: hpa.Status.DesiredReplicas}
		for _, m := range hpa.Status.CurrentMetrics {
			if m.Resource.Name == "cpu" {
				r.CPU = m.Resource.Current.AverageUtilization
			}
		}
		return r, nil
	}
	return Replicas{}, fmt.Errorf("no autoscaler scales the deployment %s", deployment)
}

// watch asks every five seconds until the context ends. No cluster is no failure.
func (r *runner) watch(ctx context.Context) {
	every := time.NewTicker(5 * time.Second)
	defer every.Stop()
	for {
		seen, err := r.Replicas(ctx)
		switch seen.At = (Seconds{time.Since(r.start)}); {
		case ctx.Err() != nil:
			return
		case err != nil:
			r.trouble = err.Error()
		default:
			r.replicas = append(r.replicas, seen)
		}
		select {
		case <-every.C:
		case <-ctx.Done():
			return
		}
	}
}
