package onnx

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

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

// ownKeys are all of them. It is never written to.
var ownKeys = []string{keyFormat, keyName, keyVersion, keySchema, keyMetrics, keyTraining, keyGolden}

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
	for _, d := range md.documents() {
		text, err := json.Marshal(d.value)
		if err != nil {
			return fmt.Errorf("metadata %s: %w", d.key, err)
		}
		if string(text) != "null" {
			properties = append(properties, Property{d.key, string(text)})
		}
	}
	for _, p := range m.Metadata {
		if !slices.Contains(ownKeys, p.Key) {
			properties = append(properties, p)
		}
	}
	m.Metadata = properties
	return nil
}

// document is a property whose value is the JSON of a part of the metadata.
type document struct {
	key   string
	value any
}

func (md *Metadata) documents() []document {
	return []document{{keySchema, &md.Schema}, {keyMetrics, &md.Metrics}, {keyTraining, &md.Training}, {keyGolden, &md.Golden}}
}

// ReadMetadata reads what Tepal keeps in the file. A file that Tepal never
// wrote to gives an empty Metadata.
func (m *Model) ReadMetadata() (*Metadata, error) {
	values := make(map[string]string, len(m.Metadata))
	for _, p := range m.Metadata {
		if _, twice := values[p.Key]; twice && slices.Contains(ownKeys, p.Key) {
			return nil, fmt.Errorf("metadata %s stands twice", p.Key)
		}
		values[p.Key] = p.Value
	}
	md := &Metadata{Name: values[keyName]}
	format, err := versionIn(values, keyFormat)
	if err != nil {
		return nil, err
	}
	if format > Format {
		return nil, unsupported("metadata %s is %d and this program reads up to %d: use a newer tepal", keyFormat, format, Format)
	}
	if md.Version, err = versionIn(values, keyVersion); err != nil {
		return nil, err
	}
	for _, d := range md.documents() {
		if text, ok := values[d.key]; ok {
			if err := readDocument(text, d.value); err != nil {
				return nil, fmt.Errorf("metadata %s: %w", d.key, err)
			}
		}
	}
	return md, nil
}

// readDocument reads a JSON value. A name that stands twice is refused: of two
// expectations of one golden row, one would go unread.
func readDocument(text string, into any) error {
	if err := json.Unmarshal([]byte(text), into); err != nil {
		return err
	}
	_, err := jsontext.NewDecoder(strings.NewReader(text)).ReadValue()
	return err
}

// versionIn reads a version, from 1; 0 stands for none.
func versionIn(values map[string]string, key string) (int64, error) {
	text, ok := values[key]
	if !ok {
		return 0, nil
	}
	v, err := strconv.ParseInt(text, 10, 64)
	if err != nil || v < 1 {
		return 0, fmt.Errorf("metadata %s is %q, which is no version from 1", key, text)
	}
	return v, nil
}
