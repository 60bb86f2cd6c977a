package model

import "regexp"

var validName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$`)

// ValidName reports whether a model may be called name: 1 to 128 ASCII
// letters, digits, '.', '_' and '-', of which the first is a letter or digit.
// Such a name is fit for a URL path, a metric's label and a file name.
func ValidName(name string) bool { return validName.MatchString(name) }
