package spelling

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestNearest(t *testing.T) {
	variables := []string{"TEPAL_DRAIN_DELAY", "TEPAL_HTTP_ADDR", "TEPAL_MODEL", "TEPAL_OPS_ADDR"}
	paths := []string{"/predict", "/models", "/live_check", "/livez"}
	for _, tt := range []struct {
		name       string
		candidates []string
		want       string
	}{
		{"TEPAL_HTTP_ADDRESS", variables, "TEPAL_HTTP_ADDR"},
		{"TEPAL_OP_ADDR", variables, "TEPAL_OPS_ADDR"},
		{"tepal_model", variables, "TEPAL_MODEL"},
		{"/predict/", paths, "/predict"},
		{"/Predict", paths, "/predict"},
		{"/predcit", paths, "/predict"},
		{"/predictions", paths, "/predict"},
		{"/model", paths, "/models"},
		{"/", paths, ""},
		{"/favicon.ico", paths, ""},
		{"/wp-login.php", paths, ""},
		{"/predict" + strings.Repeat("x", 1<<20), paths, ""},
		{"", paths, ""},
		{"x", nil, ""},
	} {
		assert.Equal(t, tt.want, Nearest(tt.name, tt.candidates), "%.40s", tt.name)
	}
}

func TestDistance(t *testing.T) {
	for _, tt := range []struct {
		a, b string
		want int
	}{{"", "", 0}, {"", "abc", 3}, {"kitten", "sitting", 3}, {"flaw", "lawn", 2}} {
		assert.Equal(t, tt.want, distance(tt.a, tt.b), tt.a+" "+tt.b)
	}
}
