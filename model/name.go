package model

// maxName is the most bytes in a model's name.
const maxName = 128

// ValidName reports whether a model may be called name: 1 to 128 ASCII
// letters, digits, '.', '_' and '-', of which the first is a letter or digit.
// Such a name is fit for a URL path, a metric's label and a file name.
func ValidName(name string) bool {
	if name == "" || len(name) > maxName {
		return false
	}
	for i := range len(name) {
		switch c := name[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		case i > 0 && (c == '.' || c == '_' || c == '-'):
		default:
			return false
		}
	}
	return true
}
