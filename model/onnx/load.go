package onnx

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"

	"github.com/tepalhq/tepal/model"
)

// Load reads an ONNX file and compiles it into a model that can predict. The
// name and version are the file's own where it has Tepal's metadata; otherwise
// name is used, and the file's model_version, or 1. It keeps no reference to
// data. An error says what is wrong with the file: it names the node, the
// operator and the fault, or the metadata key. It is a *model.Refusal of
// CauseCorrupt or CauseUnsupported, or else the file is invalid.
func Load(data []byte, name string) (*model.Model, error) {
	file, err := Parse(data)
	if err != nil {
		return nil, err
	}
	md, err := file.ReadMetadata()
	if err != nil {
		return nil, err
	}
	c, err := compile(file, operators)
	if err != nil {
		return nil, err
	}
	schema, err := c.schema(md.Schema)
	if err != nil {
		return nil, err
	}
	if md.Training != nil {
		if err := md.Training.Validate(); err != nil {
			return nil, fmt.Errorf("metadata %s: %w", keyTraining, err)
		}
	}
	m := &model.Model{
		Name: name, Digest: Digest(data), Size: len(data),
		Schema: *schema, Warnings: c.warnings, Operators: make(map[string]int),
		Metrics: md.Metrics, Training: md.Training, Golden: md.Golden,
		Program: c.program, RowBytes: c.program.rowBytes,
	}
	if md.Name != "" {
		m.Name = md.Name
	}
	m.Version = strconv.FormatInt(cmp.Or(md.Version, max(file.ModelVersion, 1)), 10)
	if !model.ValidName(m.Name) {
		return nil, fmt.Errorf("%q is no name for a model: it takes 1 to 128 letters, digits, '.', '_' and '-', and starts with a letter or digit; rename the file or set tepal.name", m.Name)
	}
	for i := range file.Graph.Nodes {
		m.Operators[operatorName(file.Graph.Nodes[i].Domain, file.Graph.Nodes[i].OpType)]++
	}
	return m, nil
}

// Digest returns the digest of an artifact's bytes, "sha256:" and 64
// hexadecimal digits.
func Digest(data []byte) string {
	sum := sha256.Sum256(data)
	return "sha256:" + hex.EncodeToString(sum[:])
}

// schema joins what the graph tells with what the metadata says, which must
// agree where both speak.
func (c *compiler) schema(md *Schema) (*model.Schema, error) {
	s := &model.Schema{}
	width := 0
	for _, v := range c.program.inputs {
		columns := v.axes.columns()
		if columns == 0 {
			return nil, fmt.Errorf("the width of graph input %q is neither declared nor told by its use", v.name)
		}
		if width += columns; width > maxColumns {
			return nil, fmt.Errorf("the graph takes more than %d values in a row", maxColumns)
		}
		s.Inputs = append(s.Inputs, model.Input{Name: v.name, Type: v.typ, Columns: columns, Vector: len(v.axes) == 1})
	}
	if md == nil {
		md = &Schema{}
	}
	if err := c.bindFeatures(s, md.Features); err != nil {
		return nil, err
	}
	if err := c.describeOutputs(s, md); err != nil {
		return nil, err
	}
	if err := s.Validate(); err != nil {
		return nil, fmt.Errorf("schema: %w", err)
	}
	return s, nil
}

// bindFeatures binds the named features to the inputs' columns in order, and
// names them after the inputs when there are no names.
func (c *compiler) bindFeatures(s *model.Schema, named []model.Feature) error {
	for i, in := range s.Inputs {
		for column := range in.Columns {
			f := model.Feature{Name: in.Name}
			if in.Columns > 1 {
				f.Name = in.Name + "_" + strconv.Itoa(column)
			}
			if at := len(s.Features); at < len(named) {
				f = named[at]
			}
			f.Type, f.Input, f.Column = in.Type, i, column
			s.Features = append(s.Features, f)
		}
	}
	if len(named) > 0 && len(named) != len(s.Features) {
		return fmt.Errorf("the schema names %d features and the graph takes %d", len(named), len(s.Features))
	}
	return nil
}

func (c *compiler) describeOutputs(s *model.Schema, md *Schema) error {
	said, taken := make(map[string]model.Role), make(map[model.Role]bool)
	for _, o := range md.Outputs {
		v := c.values[o.Name]
		if slices.Contains(c.unaligned, v) {
			if o.Role != model.RoleOther {
				return unsupported("the schema gives the output %q the role %s, and its shape is %v, which is no row for each instance", o.Name, o.Role, v.axes)
			}
			continue
		}
		if !slices.Contains(c.program.outputs, v) {
			return fmt.Errorf("the schema describes the output %q, which the graph does not have", o.Name)
		}
		if taken[o.Role] && o.Role != model.RoleOther {
			return fmt.Errorf("the schema gives two outputs the role %s", o.Role)
		}
		said[o.Name], taken[o.Role] = o.Role, true
	}
	for _, v := range c.program.outputs {
		o := model.Output{Name: v.name, Type: v.typ, Columns: v.axes.columns()}
		var ok bool
		if o.Role, ok = said[v.name]; !ok {
			o.Role = c.role(v)
			if taken[o.Role] {
				o.Role = model.RoleOther
			}
			taken[o.Role] = true
		}
		if err := checkRole(&o, v); err != nil {
			return err
		}
		adoptClasses(s, v, o.Role)
		s.Outputs = append(s.Outputs, o)
	}
	s.Task = model.Regression
	if taken[model.RoleLabel] || taken[model.RoleProbabilities] || taken[model.RoleScores] {
		s.Task = model.Classification
	}
	return agree(s, md)
}

// role is what an output means where the metadata does not say: what its
// operators say, and else what its type suggests.
func (c *compiler) role(v *value) model.Role {
	switch {
	case v.role != "":
		return v.role
	case v.typ.IsFloat():
		return model.RoleValue
	case (v.typ == model.String || v.typ == model.Int64) && v.axes.columns() == 1:
		return model.RoleLabel
	default:
		return model.RoleOther
	}
}

// roles are the types that an output of each role can have; any, where there
// are none. It is never written to.
var roles = map[model.Role][]model.Type{
	model.RoleLabel:         {model.String, model.Int64},
	model.RoleProbabilities: {model.Float32, model.Float64},
	model.RoleScores:        {model.Float32, model.Float64},
	model.RoleValue:         {model.Float32, model.Float64},
	model.RoleOther:         nil,
}

func checkRole(o *model.Output, v *value) error {
	types, known := roles[o.Role]
	switch {
	case !known:
		return fmt.Errorf("output %q has the unknown role %q", o.Name, o.Role)
	case types != nil && !slices.Contains(types, o.Type):
		return fmt.Errorf("output %q is of type %v, which cannot be a %s", o.Name, o.Type, o.Role)
	case o.Role == model.RoleLabel && o.Columns > 1:
		return fmt.Errorf("output %q has %d columns, which cannot be a label", o.Name, o.Columns)
	case o.Role == model.RoleProbabilities && !v.fractional():
		return fmt.Errorf("output %q is said to be probabilities, and its numbers may be outside 0 to 1; its role is scores", o.Name)
	}
	return nil
}

// adoptClasses takes the classes of the probabilities or scores, whose columns
// they name, and else those of the label.
func adoptClasses(s *model.Schema, v *value, r model.Role) {
	if v.classes == nil {
		return
	}
	if r.ByClass() || r == model.RoleLabel && s.Classes.Len() == 0 {
		s.Classes = *v.classes
	}
}

// agree holds the metadata's word on task and classes against the graph's, and
// sees to it that every column of the probabilities or scores has a class.
func agree(s *model.Schema, md *Schema) error {
	if md.Task != "" && md.Task != s.Task {
		return fmt.Errorf("the schema says %s and the graph's outputs make it a %s", md.Task, s.Task)
	}
	if md.Classes != nil {
		if label, twice := md.Classes.Repeated(); twice {
			return fmt.Errorf("the schema's class %q stands twice", label)
		}
		if s.Classes.Len() == 0 {
			s.Classes = *md.Classes
		}
		if !s.Classes.Equal(*md.Classes) {
			return fmt.Errorf("the schema's classes %v are not the graph's %v", md.Classes.Texts(), s.Classes.Texts())
		}
	}
	for _, o := range s.Outputs {
		if !o.Role.ByClass() {
			continue
		}
		if s.Classes.Len() == 0 {
			for i := range o.Columns {
				s.Classes.Ints = append(s.Classes.Ints, int64(i))
			}
		}
		if o.Columns == 0 || o.Columns != s.Classes.Len() {
			return fmt.Errorf("output %q has %d columns for %d classes", o.Name, o.Columns, s.Classes.Len())
		}
	}
	return nil
}
