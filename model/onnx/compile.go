package onnx

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/tepalhq/tepal/model"
	"github.com/tepalhq/tepal/model/tree"
)

// value is what the compiler knows of one value of the graph.
type value struct {
	name string
	typ  model.Type
	// axes are its dimensions.
	axes axes
	// open marks a graph input that leaves its width to its use.
	open bool
	// slot is where the value stands in a frame. Values that are the same by
	// another name share one.
	slot int
	// constant is set where the numbers are known when the file is loaded.
	constant *model.Tensor
	// input is the graph input that this value has the rows and columns of.
	input *value
	// shared marks a graph output that is also an input or another output, and
	// is copied; any other is handed over.
	shared bool
	// role and classes say what the value means, where an operator tells.
	role    model.Role
	classes *model.Classes
	// bounds are what the numbers keep to, but for rounding; nil when they are
	// not known.
	bounds *tree.Bounds
}

// need notes that a row of the value must have at least n columns, which
// widens a graph input that leaves its width open.
func (v *value) need(n int) error {
	if v.input != nil && v.input.open {
		v.input.axes = axes{rowsAxis, max(v.input.axes[1], axis(n))}
		return nil
	}
	if columns := v.axes.columns(); columns > 0 && columns < n {
		return fmt.Errorf("input %q has %d columns where %d are needed", v.name, columns, n)
	}
	return nil
}

// hold makes the value a constant.
func (v *value) hold(t *model.Tensor) {
	v.typ, v.axes, v.constant, v.bounds = t.Type, fixedAxes(t.Shape), t, boundsOf(t)
}

// node is a graph node while it is compiled: an operator's builder reads its
// inputs and attributes, and describes its outputs.
type node struct {
	*Node
	place   int
	version int64
	inputs  []*value
	outputs []*value
	// scratch is working memory that the kernel gets after its outputs.
	scratch []*value
	attributes
	warnings []string
}

func (n *node) operator() string { return operatorName(n.Domain, n.OpType) }

// operatorName is how an operator is called in documents and errors: with its
// domain, but for ai.onnx.
func operatorName(domain, op string) string {
	if domain == "" || domain == "ai.onnx" {
		return op
	}
	return domain + "." + op
}

func (n *node) String() string { return fmt.Sprintf("node %d %q (%s)", n.place, n.Name, n.operator()) }

// operator is one operator that can be compiled.
type operator struct {
	// since and until are the versions of its domain's operator set that it is
	// built for. An operator whose meaning changes between them asks node.version.
	since, until int64
	// inputs and outputs are how many it may have. Those after the least may be
	// left out, by an empty name too; an input that is left out is nil for
	// build, and for the kernel.
	inputs, outputs arity
	// build checks the node, describes its outputs and returns its kernel. It
	// returns nil when each output is an input under another name (rename), or
	// is known now (value.hold). A node all of whose inputs are constants is run
	// once, when it is compiled.
	build func(n *node) (kernel, error)
}

// arity is the least and the most of something.
type arity struct{ least, most int }

// check holds a number of inputs or outputs, whatever they are, to the arity.
func (a arity) check(n int, what string) error {
	switch {
	case n >= a.least && n <= a.most:
		return nil
	case a.least == a.most:
		return fmt.Errorf("it has %d %s where %d are needed", n, what, a.least)
	default:
		return fmt.Errorf("it has %d %s where %d to %d are possible", n, what, a.least, a.most)
	}
}

// The newest operator sets that the operators are known in: those of ONNX 1.23.
const (
	newest   = 28
	newestML = 5
)

// operators is every operator there is, by name. It is never written to.
var operators = map[string]operator{
	"Add":                               {7, newest, arity{2, 2}, arity{1, 1}, buildAdd},
	"Cast":                              {6, newest, arity{1, 1}, arity{1, 1}, buildCast},
	"Constant":                          {1, newest, arity{0, 0}, arity{1, 1}, buildConstant},
	"Div":                               {7, newest, arity{2, 2}, arity{1, 1}, buildDiv},
	"Identity":                          {1, newest, arity{1, 1}, arity{1, 1}, buildIdentity},
	"ai.onnx.ml.TreeEnsembleClassifier": {1, newestML, arity{1, 1}, arity{1, 2}, buildTreeClassifier},
	"ai.onnx.ml.TreeEnsembleRegressor":  {1, newestML, arity{1, 1}, arity{1, 1}, buildTreeRegressor},
	"ai.onnx.ml.ZipMap":                 {1, newestML, arity{1, 1}, arity{1, 1}, buildZipMap},
}

// compiler turns a graph into a program.
type compiler struct {
	graph     *Graph
	operators map[string]operator
	versions  map[string]int64
	values    map[string]*value
	program   *program
	// folding is how many values may still be computed from constants.
	folding budget
	// unaligned are the outputs that have no row for each instance.
	unaligned []*value
	warnings  []string
}

// compile checks the whole graph and returns its program, of the operators that
// are given, with what it learned of the graph's inputs and outputs.
func compile(m *Model, operators map[string]operator) (*compiler, error) {
	c := &compiler{
		graph:     &m.Graph,
		operators: operators,
		versions:  make(map[string]int64),
		values:    make(map[string]*value),
		program:   &program{},
		folding:   budget{maxFolded},
	}
	for _, s := range m.OperatorSets {
		c.versions[operatorName(s.Domain, "")] = s.Version
	}
	for _, step := range []func() error{c.checkOperators, c.addConstants, c.addInputs, c.addNodes, c.addOutputs} {
		if err := step(); err != nil {
			return nil, err
		}
	}
	c.program.dropUnused()
	c.program.shareSlots()
	return c, nil
}

// maxListed bounds the operators that an error names.
const maxListed = 16

// checkOperators names all operators that are not there at once, so that
// whoever exports the model learns of them in one go.
func (c *compiler) checkOperators() error {
	unknown := make(map[string]bool)
	for i := range c.graph.Nodes {
		n := &c.graph.Nodes[i]
		if name := operatorName(n.Domain, n.OpType); c.operators[name].build == nil {
			unknown[name] = true
		}
	}
	if len(unknown) == 0 {
		return nil
	}
	names := slices.Sorted(maps.Keys(unknown))
	more := ""
	if len(names) > maxListed {
		more = fmt.Sprintf(" and %d more", len(names)-maxListed)
		names = names[:maxListed]
	}
	for i, name := range names {
		names[i] = fmt.Sprintf("%.64q", name)
	}
	return unsupported("operators that are not supported: %s%s; supported are %s",
		strings.Join(names, ", "), more, strings.Join(slices.Sorted(maps.Keys(c.operators)), ", "))
}

// define gives a value its name, which no other may have.
func (c *compiler) define(v *value) error {
	if v.name == "" {
		return errors.New("a value has no name")
	}
	if _, twice := c.values[v.name]; twice {
		return fmt.Errorf("the value %q is defined twice", v.name)
	}
	c.values[v.name] = v
	return nil
}

func (c *compiler) slot(holds model.Tensor) int {
	c.program.slots = append(c.program.slots, holds)
	return len(c.program.slots) - 1
}

func (c *compiler) addConstants() error {
	for i := range c.graph.Initializers {
		t := &c.graph.Initializers[i]
		if t.Type == model.Invalid {
			return fmt.Errorf("initializer %.64q: %w", t.Name, elementError(t.Element))
		}
		v := &value{name: t.Name, slot: c.slot(t.Tensor)}
		v.hold(&t.Tensor)
		if err := c.define(v); err != nil {
			return fmt.Errorf("initializer %d: %w", i, err)
		}
	}
	return nil
}

// addInputs takes every graph input that is not a constant: older files list
// their initializers as inputs too.
func (c *compiler) addInputs() error {
	for _, info := range c.graph.Inputs {
		if v, ok := c.values[info.Name]; ok && v.constant != nil {
			continue
		}
		v, err := inputValue(&info)
		if err == nil {
			v.slot = c.slot(model.Tensor{})
			err = c.define(v)
		}
		if err != nil {
			return fmt.Errorf("graph input %q: %w", info.Name, err)
		}
		c.program.inputs = append(c.program.inputs, v)
	}
	if len(c.program.inputs) == 0 {
		return errors.New("the graph has no inputs")
	}
	return nil
}

// maxColumns bounds the width of an input, and of all inputs together, so that
// one row and its schema stay small whatever a file claims.
const maxColumns = 1 << 16

func inputValue(info *ValueInfo) (*value, error) {
	t := info.Type
	if t.Element != 0 {
		return nil, elementError(t.Element)
	}
	if t.Tensor == model.Invalid {
		return nil, unsupported("it is not a tensor of a supported type")
	}
	// Whatever the file says of the first dimension, a request may have any number of rows.
	v := &value{name: info.Name, typ: t.Tensor, axes: axes{rowsAxis}}
	switch len(t.Dims) {
	case 1:
	case 2:
		n := t.Dims[1].Value
		if n < 0 || n > maxColumns {
			return nil, unsupported("its width %d is outside 1 to %d", n, maxColumns)
		}
		v.axes = append(v.axes, axis(n))
		if v.open = n == 0; v.open {
			v.axes[1] = openAxis
		}
	default:
		return nil, unsupported("it has %d dimensions; [rows] and [rows, columns] are supported", len(t.Dims))
	}
	v.input = v
	return v, nil
}

func (c *compiler) addNodes() error {
	for i := range c.graph.Nodes {
		n := &node{Node: &c.graph.Nodes[i], place: i}
		if err := c.addNode(n); err != nil {
			return fmt.Errorf("%v: %w", n, err)
		}
	}
	return nil
}

func (c *compiler) addNode(n *node) error {
	op, err := c.lookUp(n)
	if err != nil {
		return err
	}
	for i, name := range n.Inputs {
		v, ok := c.values[name]
		if !ok && (name != "" || i < op.inputs.least) {
			return c.undefined(name)
		}
		n.inputs = append(n.inputs, v)
	}
	for _, name := range n.Outputs {
		n.outputs = append(n.outputs, &value{name: name, slot: c.slot(model.Tensor{})})
	}
	if err := n.index(n.Attributes); err != nil {
		return err
	}
	k, err := op.build(n)
	if err == nil {
		err = n.finish()
	}
	folded := false
	if err == nil && k != nil {
		folded, err = c.fold(n, k)
	}
	if err != nil {
		return err
	}
	for _, v := range n.outputs {
		if v.constant != nil {
			c.program.slots[v.slot] = *v.constant
		}
		// An output with no name is one that nobody wants.
		if v.name == "" {
			continue
		}
		if err := c.define(v); err != nil {
			return err
		}
	}
	for _, text := range n.warnings {
		c.warn("%v: %s", n, text)
	}
	if k != nil && !folded {
		for _, v := range n.scratch {
			v.slot = c.slot(model.Tensor{})
		}
		c.program.steps = append(c.program.steps, step{n.String(), k, n.inputs, slices.Concat(n.outputs, n.scratch)})
	}
	return nil
}

// maxFolded bounds the values that are computed from constants while a file is
// loaded.
const maxFolded = 1 << 18

// fold runs a node whose inputs are all constants, so that its outputs are
// constants too. It reports whether it has.
func (c *compiler) fold(n *node, k kernel) (bool, error) {
	var in, out []*model.Tensor
	for _, v := range n.inputs {
		if v == nil {
			in = append(in, nil)
			continue
		}
		if v.constant == nil {
			return false, nil
		}
		in = append(in, v.constant)
	}
	for range len(n.outputs) + len(n.scratch) {
		out = append(out, &model.Tensor{})
	}
	if err := k.run(&c.folding, in, out); err != nil {
		return false, fmt.Errorf("all its inputs are constants: %w", err)
	}
	for i, v := range n.outputs {
		v.hold(out[i])
	}
	return true, nil
}

// lookUp finds the node's operator, which is known to be there, and checks its
// version and the number of inputs and outputs.
func (c *compiler) lookUp(n *node) (operator, error) {
	op, ok := c.operators[n.operator()], false
	n.version, ok = c.versions[operatorName(n.Domain, "")]
	if !ok {
		return op, errors.New("the file imports no operator set of its domain")
	}
	if n.version < op.since || n.version > op.until {
		return op, unsupported("version %d of its operator set is not supported; versions %d to %d are", n.version, op.since, op.until)
	}
	return op, cmp.Or(op.inputs.check(len(n.Inputs), "inputs"), op.outputs.check(len(n.Outputs), "outputs"))
}

// undefined tells a value that comes too late from one that never comes.
func (c *compiler) undefined(name string) error {
	for i := range c.graph.Nodes {
		if slices.Contains(c.graph.Nodes[i].Outputs, name) && name != "" {
			return fmt.Errorf("input %q comes from node %d, which does not stand before it: the graph has a cycle or is not sorted", name, i)
		}
	}
	return fmt.Errorf("input %q is not defined", name)
}

func (c *compiler) addOutputs() error {
	if len(c.graph.Outputs) == 0 {
		return errors.New("the graph has no outputs")
	}
	seen := make(map[string]bool)
	for _, info := range c.graph.Outputs {
		v, ok := c.values[info.Name]
		if !ok {
			return fmt.Errorf("graph output %q is not defined", info.Name)
		}
		if seen[info.Name] {
			return fmt.Errorf("graph output %q stands twice", info.Name)
		}
		seen[info.Name] = true
		if err := checkOutput(&info.Type, v); err != nil {
			return fmt.Errorf("graph output %q: %w", info.Name, err)
		}
		if v.axes.eachRow() {
			c.program.outputs = append(c.program.outputs, v)
		} else {
			c.unaligned = append(c.unaligned, v)
		}
	}
	if err := c.leaveOut(); err != nil {
		return err
	}
	// Backwards, so that a slot is handed over only by the last output that has it.
	taken := make(map[int]bool)
	for _, v := range slices.Backward(c.program.outputs) {
		v.shared = taken[v.slot] || v.input != nil && v.input.slot == v.slot
		taken[v.slot] = true
	}
	return nil
}

// leaveOut leaves out the outputs that have no row for each instance: an
// exporter can add the list of classes, which no answer shows. One that is an
// answer is an error.
func (c *compiler) leaveOut() error {
	for _, v := range c.unaligned {
		if v.role != "" || len(c.program.outputs) == 0 {
			return unsupported("graph output %q has the shape %v, which is no row for each instance", v.name, v.axes)
		}
		c.warn("graph output %.64q is left out: its shape is %v, which is no row for each instance", v.name, v.axes)
	}
	return nil
}

// The warnings of a file, and the length of each, are bounded.
const (
	maxWarnings = 16
	maxWarning  = 400
)

func (c *compiler) warn(format string, args ...any) {
	if len(c.warnings) < maxWarnings {
		text := fmt.Sprintf(format, args...)
		c.warnings = append(c.warnings, strings.ToValidUTF8(text[:min(len(text), maxWarning)], ""))
	}
}

// checkOutput holds the file's word on an output against what its operators
// make of it; a type that is left out is no word.
func checkOutput(t *ValueType, v *value) error {
	want := t.Tensor
	if t.MapKey != model.Invalid {
		want = t.MapValue
		if v.classes == nil {
			return fmt.Errorf("it is declared as a map and computed as %v without classes", v.typ)
		}
		if key := labelType(v.classes); t.MapKey != key {
			return fmt.Errorf("its keys are declared as %v and computed as %v", t.MapKey, key)
		}
	}
	if want == model.Invalid || want == v.typ {
		return nil
	}
	hint := ""
	if want == model.Float64 && v.typ == model.Float32 {
		// Exporters declare what goes in; the operators of ai.onnx.ml give float32.
		hint = "; export the model with float32 inputs"
	}
	return fmt.Errorf("it is declared as %v and computed as %v%s", want, v.typ, hint)
}
