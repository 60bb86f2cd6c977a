// Command google prints what the Terraform provider google takes, as infra/schema/schemas.json has it, from the provider's
// own source, which it reads and does not run:
//
//	google CHECKOUT RESOURCE…
//
// A resource's arguments stand in its source as a literal, in which a call or a name stands for a literal elsewhere.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// block is a body: arguments with their types, blocks, and what can only be read. See infra/test/schema_test.go.
type block struct {
	Kind      string            `json:"kind,omitempty"`
	Arguments map[string]string `json:"arguments"`
	Blocks    map[string]*block `json:"blocks,omitempty"`
	Computed  []string          `json:"computed,omitempty"`
}

// source is the provider's: what a name or a function of any package stands for, and the call or literal that makes a resource.
type source struct {
	values    map[string]ast.Expr
	resources map[string]ast.Expr
}

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "google:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) < 2 {
		return errors.New("usage: google CHECKOUT RESOURCE…")
	}
	s := source{map[string]ast.Expr{}, map[string]ast.Expr{}}
	for _, folder := range []string{"google/services/*", "google/tpgiamresource", "google/provider"} {
		files, err := filepath.Glob(filepath.Join(args[0], folder, "*.go"))
		if err != nil {
			return err
		}
		for _, file := range files {
			if err := s.read(file); err != nil {
				return err
			}
		}
	}
	all := map[string]*block{"provider": s.resource(s.values["provider.Provider"], "provider")}
	for _, name := range args[1:] {
		made, known := s.resources[name]
		if !known {
			return fmt.Errorf("no resource %s", name)
		}
		all[name] = s.resource(made, name)
		all[name].Computed = append(all[name].Computed, "id")
		slices.Sort(all[name].Computed)
	}
	return json.NewEncoder(os.Stdout).Encode(all)
}

// read takes the names, functions and registrations of a file.
func (s *source) read(file string) error {
	if strings.HasSuffix(file, "_test.go") || strings.Contains(file, "_migrate") {
		return nil
	}
	parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
	if err != nil {
		return err
	}
	in := parsed.Name.Name + "."
	ast.Inspect(parsed, func(node ast.Node) bool {
		switch n := node.(type) {
		case *ast.FuncDecl:
			if n.Recv == nil && n.Body != nil {
				s.values[in+n.Name.Name] = returned(n.Body)
			}
		case *ast.ValueSpec:
			for i, name := range n.Names {
				if i < len(n.Values) {
					s.values[in+name.Name] = n.Values[i]
				}
			}
		case *ast.CompositeLit:
			if selector, ok := n.Type.(*ast.SelectorExpr); ok && selector.Sel.Name == "Schema" && text(field(n, "Type")) != "" {
				if kind := text(field(n, "Type")); kind == "SchemaTypeResource" || kind == "SchemaTypeIAMResource" {
					s.resources[text(field(n, "Name"))] = qualified(in, field(n, "Schema"))
				}
			}
		}
		return true
	})
	return nil
}

// returned is what a function makes: what it returns, or the literal that a variable was given which it returns.
func returned(body *ast.BlockStmt) ast.Expr {
	var result ast.Expr
	made := map[string]ast.Expr{}
	for _, statement := range body.List {
		switch st := statement.(type) {
		case *ast.AssignStmt:
			if name, ok := st.Lhs[0].(*ast.Ident); ok && st.Tok == token.DEFINE {
				made[name.Name] = st.Rhs[0]
			}
		case *ast.ReturnStmt:
			if len(st.Results) > 0 {
				result = st.Results[0]
			}
		}
	}
	if name, ok := result.(*ast.Ident); ok && made[name.Name] != nil {
		return made[name.Name]
	}
	return result
}

// qualified keeps with a call of a package's own function which package that is.
func qualified(in string, expression ast.Expr) ast.Expr {
	if call, ok := expression.(*ast.CallExpr); ok {
		if name, ok := call.Fun.(*ast.Ident); ok {
			return &ast.CallExpr{Fun: &ast.SelectorExpr{X: ast.NewIdent(strings.TrimSuffix(in, ".")), Sel: name}, Args: call.Args}
		}
		if len(call.Args) > 0 {
			if name, ok := call.Args[0].(*ast.Ident); ok {
				args := slices.Clone(call.Args)
				args[0] = &ast.SelectorExpr{X: ast.NewIdent(strings.TrimSuffix(in, ".")), Sel: name}
				return &ast.CallExpr{Fun: call.Fun, Args: args}
			}
		}
	}
	return expression
}

// literal follows names and calls to the literal that they stand for, and says in which package it is.
func (s *source) literal(expression ast.Expr, in string) (*ast.CompositeLit, string) {
	switch e := expression.(type) {
	case *ast.CompositeLit:
		return e, in
	case *ast.UnaryExpr:
		return s.literal(e.X, in)
	case *ast.Ident:
		return s.literal(s.values[in+e.Name], in)
	case *ast.SelectorExpr:
		other := text(e.X) + "."
		return s.literal(s.values[other+e.Sel.Name], other)
	case *ast.CallExpr:
		return s.literal(e.Fun, in)
	}
	return nil, in
}

// resource reads what makes one: a literal with a field Schema, or a call that puts an IAM's part beside the resource's own.
func (s *source) resource(made ast.Expr, name string) *block {
	b := &block{Arguments: map[string]string{}, Blocks: map[string]*block{}}
	if call, ok := made.(*ast.CallExpr); ok {
		// A resource's own function may call the IAM's.
		if selector, ok := call.Fun.(*ast.SelectorExpr); ok {
			in := text(selector.X) + "."
			if inner, ok := qualified(in, s.values[in+selector.Sel.Name]).(*ast.CallExpr); ok {
				made = inner
			}
		}
	}
	if call, ok := made.(*ast.CallExpr); ok && text(call.Fun) == "ResourceIamMember" {
		s.schemas(b, s.values["tpgiamresource.IamMemberBaseSchema"], "tpgiamresource.")
		s.schemas(b, call.Args[0], "")
		return b
	}
	literal, in := s.literal(made, "provider.")
	if literal == nil {
		panic("nothing makes " + name)
	}
	s.schemas(b, field(literal, "Schema"), in)
	if timeouts, _ := s.literal(field(literal, "Timeouts"), in); timeouts != nil {
		t := &block{Kind: "one", Arguments: map[string]string{}}
		for _, element := range timeouts.Elts {
			t.Arguments[strings.ToLower(text(element.(*ast.KeyValueExpr).Key))] = "string"
		}
		b.Blocks["timeouts"] = t
	}
	return b
}

// schemas adds those of a map, which may be merged of several.
func (s *source) schemas(b *block, expression ast.Expr, in string) {
	if call, ok := expression.(*ast.CallExpr); ok && text(call.Fun) == "MergeSchemas" {
		for _, arg := range call.Args {
			s.schemas(b, arg, in)
		}
		return
	}
	literal, in := s.literal(expression, in)
	for _, element := range literal.Elts {
		pair := element.(*ast.KeyValueExpr)
		if one, in := s.literal(pair.Value, in); one != nil {
			s.schema(b, text(pair.Key), one, in)
		}
	}
}

// schema adds one, by the rules of the SDK: what has a body is a block, unless it can only be read.
func (s *source) schema(b *block, name string, literal *ast.CompositeLit, in string) {
	optional, required := text(field(literal, "Optional")) == "true", text(field(literal, "Required")) == "true"
	if !optional && !required {
		b.Computed = append(b.Computed, name)
		slices.Sort(b.Computed)
		return
	}
	must := ""
	if required {
		must = "!"
	}
	kind := strings.ToLower(strings.TrimPrefix(text(field(literal, "Type")), "Type"))
	element, elementIn := s.literal(field(literal, "Elem"), in)
	if element != nil && text(element.Type) == "Resource" && text(field(literal, "ConfigMode")) != "SchemaConfigModeAttr" {
		nested := &block{Kind: "many" + must, Arguments: map[string]string{}, Blocks: map[string]*block{}}
		if text(field(literal, "MaxItems")) == "1" {
			nested.Kind = "one" + must
		}
		s.schemas(nested, field(element, "Schema"), elementIn)
		b.Blocks[name] = nested
		return
	}
	b.Arguments[name] = typeOf(kind, element) + must
}

// typeOf is a type as Terraform calls it; a set is taken for a list, as everywhere in the document.
func typeOf(kind string, element *ast.CompositeLit) string {
	kind = map[string]string{"int": "number", "float": "number", "set": "list"}[kind] + map[string]string{"string": "string", "bool": "bool", "list": "list", "map": "map"}[kind]
	if kind != "list" && kind != "map" {
		return kind
	}
	if element != nil && text(element.Type) == "Resource" {
		return kind + "(object)"
	}
	inner := "string"
	if element != nil {
		inner = typeOf(strings.ToLower(strings.TrimPrefix(text(field(element, "Type")), "Type")), nil)
	}
	return kind + "(" + inner + ")"
}

// field is the value of a literal's field.
func field(literal *ast.CompositeLit, name string) ast.Expr {
	for _, element := range literal.Elts {
		if pair, ok := element.(*ast.KeyValueExpr); ok && text(pair.Key) == name {
			return pair.Value
		}
	}
	return nil
}

// text is a name without its package, or what a literal says.
func text(expression ast.Expr) string {
	switch e := expression.(type) {
	case *ast.Ident:
		return e.Name
	case *ast.SelectorExpr:
		return e.Sel.Name
	case *ast.BasicLit:
		if value, err := strconv.Unquote(e.Value); err == nil {
			return value
		}
		return e.Value
	case *ast.CallExpr:
		return text(e.Fun)
	}
	return ""
}
