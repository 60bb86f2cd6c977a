package onnx

import (
	"encoding/json"
	"fmt"
	"strconv"

	"github.com/tepalhq/tepal/model"
)

// Format is the version of the metadata that this package writes. A reader
// takes every version up to its own and refuses a newer one. Keys and members
// that a reader does not know are ignored; what an older reader must not
// ignore raises the version.
const Format = 1

// The keys of metadata_props. Values are JSON, but for the first three.
const (
	keyFormat   = "tepal.format"
	keyName     = "tepal.name"
	keyVersion  = "tepal.version"
	keySchema   = "tepal.schema"
	keyMetrics  = "tepal.metrics"
	keyTraining = "tepal.training"
	keyGolden   = "tepal.golden"
)

// Metadata is what Tepal keeps in an ONNX file beside the graph. Every part is
// optional.
type Metadata struct {
	// Name is what clients call the model by.
	Name string
	// Version is the model's version, from 1; 0 when there is none.
	Version  int64
	Schema   *Schema
	Metrics  *model.Metrics
	Training *model.Training
	Golden   *model.Golden
}

// Schema is the part of a model's schema that a graph does not tell.
type Schema struct {
	Task model.Task `json:"task"`
	// Features name the columns of the graph's inputs, in their order.
	Features []model.Feature `json:"features"`
	Classes  *model.Classes  `json:"classes,omitempty"`
	// Outputs say what the graph's outputs mean; those left out are inferred.
	Outputs []model.Output `json:"outputs,omitempty"`
}

// SetMetadata writes md into the file's metadata_props, in a fixed order,
// in place of what Tepal kept there before. Other properties stay.
func (m *Model) SetMetadata(md *Metadata) error {
	properties := []Property{{keyFormat, strconv.Itoa(Format)}}
	if md.Name != "" {
		properties = append(properties, Property{keyName, md.Name})
	}
	if md.Version != 0 {
		properties = append(properties, Property{keyVersion, strconv.FormatInt(md.Version, 10)})
	}
	for _, part := range md.parts() {
		if part.absent() {
			continue
		}
		text, err := json.Marshal(part.value)
		if err != nil {
			return fmt.Errorf("metadata %s: %w", part.key, err)
		}
		properties = append(properties, Property{part.key, string(text)})
	}
	for _, p := range m.Metadata {
		if !ours(p.Key) {
			properties = append(properties, p)
		}
	}
	m.Metadata = properties
	return nil
}

func ours(key string) bool {
	switch key {
	case keyFormat, keyName, keyVersion, keySchema, keyMetrics, keyTraining, keyGolden:
		return true
	}
	return false
}

// part is one key whose value is JSON; value is a pointer to a field.
type part struct {
	key    string
	value  any
	absent func() bool
}

func (md *Metadata) parts() []part {
	return []part{
		{keySchema, &md.Schema, func() bool { return md.Schema == nil }},
		{keyMetrics, &md.Metrics, func() bool { return md.Metrics == nil }},
		{keyTraining, &md.Training, func() bool { return md.Training == nil }},
		{keyGolden, &md.Golden, func() bool { return md.Golden == nil }},
	}
}

// ReadMetadata reads what Tepal keeps in the file. A file that Tepal never
// wrote to gives an empty Metadata.
func (m *Model) ReadMetadata() (*Metadata, error) {
	values := make(map[string]string, len(m.Metadata))
	for _, p := range m.Metadata {
		if _, twice := values[p.Key]; twice && ours(p.Key) {
			return nil, fmt.Errorf("metadata %s stands twice", p.Key)
		}
		values[p.Key] = p.Value
	}
	md := &Metadata{Name: values[keyName]}
	if err := checkFormat(values); err != nil {
		return nil, err
	}
	if text, ok := values[keyVersion]; ok {
		v, err := strconv.ParseInt(text, 10, 64)
		if err != nil || v < 1 {
			return nil, fmt.Errorf("metadata %s is %q, which is no version from 1", keyVersion, text)
		}
		md.Version = v
	}
	for _, part := range md.parts() {
		text, ok := values[part.key]
		if !ok {
			continue
		}
		if err := json.Unmarshal([]byte(text), part.value); err != nil {
			return nil, fmt.Errorf("metadata %s: %w", part.key, err)
		}
	}
	return md, nil
}

func checkFormat(values map[string]string) error {
	text, ok := values[keyFormat]
	if !ok {
		return nil
	}
	v, err := strconv.Atoi(text)
	switch {
	case err != nil || v < 1:
		return fmt.Errorf("metadata %s is %q, which is no version from 1", keyFormat, text)
	case v > Format:
		return fmt.Errorf("metadata %s is %d and this program reads up to %d: use a newer tepal", keyFormat, v, Format)
	}
	return nil
}
