package model

// Document is what a page, a load test or a person needs to know of a model.
// GET /models/{name} and tepal inspect --json both print it.
type Document struct {
	Name      string         `json:"name"`
	Version   string         `json:"version"`
	Digest    string         `json:"digest"`
	Size      int            `json:"size_bytes"`
	Task      Task           `json:"task"`
	Schema    SchemaDocument `json:"schema"`
	Classes   *Classes       `json:"classes,omitempty"`
	Warnings  []string       `json:"warnings,omitempty"`
	Operators map[string]int `json:"operators"`
	Metrics   *Metrics       `json:"metrics,omitempty"`
	Training  *Training      `json:"training,omitempty"`
	Golden    GoldenDocument `json:"golden"`
}

// SchemaDocument is the part of a Document that says what a model takes and
// answers.
type SchemaDocument struct {
	Features []FeatureDocument `json:"features"`
	Outputs  []Output          `json:"outputs"`
}

// FeatureDocument is a Feature with the JSON type that it takes.
type FeatureDocument struct {
	Feature
	// JSONType is number, integer, boolean or string.
	JSONType string `json:"type"`
}

// GoldenStatus says how far a model has proved its answers.
type GoldenStatus string

// The golden statuses.
const (
	// GoldenProven: every golden row was replayed and answered as expected.
	GoldenProven GoldenStatus = "proven"
	// GoldenUnproven: the artifact carries no golden rows; it was only seen to answer.
	GoldenUnproven GoldenStatus = "unproven"
	// GoldenFailed: there was no answer, or not the expected one, or the golden
	// rows cannot be replayed.
	GoldenFailed GoldenStatus = "failed"
)

// GoldenDocument is the outcome of replaying the golden rows.
type GoldenDocument struct {
	Status GoldenStatus `json:"status"`
	// Rows is how many there are.
	Rows int `json:"rows"`
	// Reason is the first difference found.
	Reason string `json:"reason,omitempty"`
}

// Document describes the model; golden is the outcome of its proof.
func (m *Model) Document(golden GoldenDocument) Document {
	d := Document{
		Name: m.Name, Version: m.Version, Digest: m.Digest, Size: m.Size,
		Task:      m.Schema.Task,
		Schema:    SchemaDocument{Outputs: m.Schema.Outputs},
		Warnings:  m.Warnings,
		Operators: m.Operators,
		Metrics:   m.Metrics, Training: m.Training, Golden: golden,
	}
	if m.Schema.Classes.Len() > 0 {
		d.Classes = &m.Schema.Classes
	}
	for _, f := range m.Schema.Features {
		d.Schema.Features = append(d.Schema.Features, FeatureDocument{Feature: f, JSONType: f.Type.JSON()})
	}
	return d
}

// JSON returns the JSON type that carries a value of this type.
func (t Type) JSON() string {
	switch t {
	case Int32, Int64:
		return "integer"
	case Bool:
		return "boolean"
	case String:
		return "string"
	default:
		return "number"
	}
}
