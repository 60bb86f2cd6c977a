package test

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/rhysd/actionlint"
)

// scope is what expressions see: contexts by their dotted names, and how the job stands.
type scope struct {
	values map[string]string
	failed bool
}

var placeholder = regexp.MustCompile(`\$\{\{(.*?)\}\}`)

// expand puts the values of its expressions into a text.
func (s scope) expand(text string) (string, error) {
	var failure error
	expanded := placeholder.ReplaceAllStringFunc(text, func(match string) string {
		value, err := s.evaluate(placeholder.FindStringSubmatch(match)[1])
		if err != nil {
			failure = err
		}
		return value
	})
	return expanded, failure
}

// holds evaluates the condition of a job or a step. One without a status function needs that all went well before.
func (s scope) holds(condition string) (bool, error) {
	if match := placeholder.FindStringSubmatch(condition); match != nil {
		condition = match[1]
	}
	if condition == "" {
		return !s.failed, nil
	}
	value, err := s.evaluate(condition)
	status := regexp.MustCompile(`\b(always|cancelled|failure|success)\(\)`).MatchString(condition)
	return truth(value) && (status || !s.failed), err
}

func (s scope) evaluate(expression string) (string, error) {
	node, parseErr := actionlint.NewExprParser().Parse(actionlint.NewExprLexer(expression + "}}"))
	if parseErr != nil {
		return "", fmt.Errorf("%s: %w", expression, parseErr)
	}
	value, err := s.node(node)
	if err != nil {
		return "", fmt.Errorf("%s: %w", expression, err)
	}
	return value, nil
}

func (s scope) node(node actionlint.ExprNode) (string, error) {
	switch n := node.(type) {
	case *actionlint.StringNode:
		return n.Value, nil
	case *actionlint.ObjectDerefNode:
		name, err := path(n)
		if err != nil {
			return "", err
		}
		value, known := s.values[name]
		if !known && !optional(name) {
			return "", fmt.Errorf("nothing sets %s", name)
		}
		return value, nil
	case *actionlint.NotOpNode:
		value, err := s.node(n.Operand)
		return flag(!truth(value)), err
	case *actionlint.CompareOpNode:
		return s.compare(n)
	case *actionlint.LogicalOpNode:
		left, err := s.node(n.Left)
		if err != nil || truth(left) == (n.Kind == actionlint.LogicalOpNodeKindOr) {
			return left, err
		}
		return s.node(n.Right)
	case *actionlint.FuncCallNode:
		return s.call(n)
	}
	return "", fmt.Errorf("%T is not understood here", node)
}

func (s scope) compare(n *actionlint.CompareOpNode) (string, error) {
	left, err := s.node(n.Left)
	if err != nil {
		return "", err
	}
	right, err := s.node(n.Right)
	switch n.Kind {
	case actionlint.CompareOpNodeKindEq:
		return flag(strings.EqualFold(left, right)), err
	case actionlint.CompareOpNodeKindNotEq:
		return flag(!strings.EqualFold(left, right)), err
	}
	return "", fmt.Errorf("only == and != are understood here")
}

func (s scope) call(n *actionlint.FuncCallNode) (string, error) {
	switch n.Callee {
	case "cancelled":
		return flag(false), nil
	case "always":
		return flag(true), nil
	case "format":
		text, err := s.node(n.Args[0])
		for i, arg := range n.Args[1:] {
			value, argErr := s.node(arg)
			if argErr != nil {
				return "", argErr
			}
			text = strings.ReplaceAll(text, fmt.Sprintf("{%d}", i), value)
		}
		return text, err
	}
	return "", fmt.Errorf("the function %s is not understood here", n.Callee)
}

// optional tells what GitHub takes as empty where it is not set: a setting, or what a step or a job that was left out would say.
func optional(name string) bool {
	context, _, _ := strings.Cut(name, ".")
	return context == "vars" || context == "secrets" || context == "steps" || context == "needs"
}

func path(node actionlint.ExprNode) (string, error) {
	switch n := node.(type) {
	case *actionlint.VariableNode:
		return n.Name, nil
	case *actionlint.ObjectDerefNode:
		receiver, err := path(n.Receiver)
		return receiver + "." + n.Property, err
	}
	return "", fmt.Errorf("%T is no name", node)
}

func truth(value string) bool { return value != "" && value != "false" }

func flag(value bool) string {
	if value {
		return "true"
	}
	return "false"
}
