package infra_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"cel.dev/cel-go/cel"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// claims are those of a token of GitHub that the clouds look at, of a job in prod on main. The subject has one of two
// forms: https://docs.github.com/actions/reference/security/oidc#immutable-subject-claims.
func claims(subject string, change map[string]string) map[string]string {
	all := map[string]string{
		"iss": "https://token.actions.githubusercontent.com", "sub": subject, "repository": "octo-org/octo-repo",
		"repository_id": "456789", "repository_owner_id": "123456", "environment": "prod", "ref": "refs/heads/main",
	}
	for name, value := range change {
		all[name] = value
	}
	return all
}

// decode reads the claims of a token as a cloud does, but for the signature.
func decode(t *testing.T, token string) map[string]string {
	t.Helper()
	parts := strings.Split(token, ".")
	require.Len(t, parts, 3)
	text, err := base64.RawURLEncoding.DecodeString(parts[1])
	require.NoError(t, err)
	var all map[string]string
	require.NoError(t, json.Unmarshal(text, &all))
	return all
}

func encode(t *testing.T, all map[string]string) string {
	t.Helper()
	text, err := json.Marshal(all)
	require.NoError(t, err)
	return "e30." + base64.RawURLEncoding.EncodeToString(text) + ".c2ln"
}

const (
	names = "repo:octo-org/octo-repo:environment:prod"
	ids   = "repo:octo-org@123456/octo-repo@456789:environment:prod"
)

// tokens are what might ask to act as somebody, and whom each cloud should take it for: an environment, or nobody.
var tokens = map[string]struct {
	claims          map[string]string
	gcp, aws, azure string
}{
	"a job in prod, of an old repository": {claims(names, nil), "prod", "prod", "prod"},
	"a job in prod, of a new repository":  {claims(ids, nil), "prod", "prod", "prod"},
	"a job in staging": {claims(strings.Replace(ids, "prod", "staging", 1), map[string]string{"environment": "staging"}),
		"staging", "staging", "staging"},
	"a preview, of a pull request": {claims(strings.Replace(ids, "prod", "preview", 1), map[string]string{"environment": "preview", "ref": "refs/pull/7/merge"}),
		"preview", "preview", "preview"},
	// GitHub's own rules for the environment's branches stand before this; Google Cloud asks again.
	"prod from another branch": {claims(ids, map[string]string{"ref": "refs/pull/7/merge"}), "", "prod", "prod"},
	"dev from dev": {claims(strings.Replace(ids, "prod", "dev", 1), map[string]string{"environment": "dev", "ref": "refs/heads/dev"}),
		"dev", "dev", "dev"},
	"no environment":                   {claims("repo:octo-org@123456/octo-repo@456789:ref:refs/heads/main", map[string]string{"environment": ""}), "", "", ""},
	"an environment of somebody's own": {claims(strings.Replace(ids, "prod", "mine", 1), map[string]string{"environment": "mine"}), "", "", ""},
	// Another repository that was given the name: GitHub writes its own ids.
	"the name, given to others": {claims("repo:octo-org@999/octo-repo@888:environment:prod", map[string]string{"repository_id": "888", "repository_owner_id": "999"}),
		"", "", ""},
	// GitHub makes no such token any more. Azure alone could not tell.
	"the name, given to others, in the old form": {claims(names, map[string]string{"repository_id": "888", "repository_owner_id": "999"}),
		"", "", "prod"},
	"another repository of the owner": {claims("repo:octo-org@123456/other@777:environment:prod", map[string]string{"repository": "octo-org/other", "repository_id": "777"}),
		"", "", ""},
	"a longer name": {claims("repo:octo-org/octo-repo:environment:prod2", map[string]string{"environment": "prod2"}), "", "", ""},
}

// trust holds each token to what the plans of the roots say.
func trust(t *testing.T, plans map[string]plan) {
	t.Helper()
	for name, test := range tokens {
		got := decode(t, encode(t, test.claims))
		assert.Equal(t, test.gcp, googleCloud(t, plans["gcp"], got), "Google Cloud: %s", name)
		assert.Equal(t, test.aws, aws(t, plans["aws"], got), "AWS: %s", name)
		assert.Equal(t, test.azure, azure(plans["azure"], got), "Azure: %s", name)
	}
}

// googleCloud evaluates condition and mapping in Google's language, and looks for the account that the subject may act as.
func googleCloud(t *testing.T, p plan, got map[string]string) string {
	t.Helper()
	provider := p["google_iam_workload_identity_pool_provider.github[0]"]
	env, err := cel.NewEnv(cel.Variable("assertion", cel.MapType(cel.StringType, cel.StringType)))
	require.NoError(t, err)
	evaluate := func(expression string) any {
		ast, issues := env.Compile(expression)
		require.NoError(t, issues.Err())
		program, err := env.Program(ast)
		require.NoError(t, err)
		value, _, err := program.Eval(map[string]any{"assertion": got})
		require.NoError(t, err)
		return value.Value()
	}
	if evaluate(provider["attribute_condition"].(string)) != true {
		return ""
	}
	subject := evaluate(provider["attribute_mapping"].(map[string]any)["google.subject"].(string)).(string)
	require.LessOrEqual(t, len(subject), 127, "what Google Cloud takes")
	for address, deployer := range p.all("google_service_account_iam_member.deployer") {
		if strings.HasSuffix(deployer["member"].(string), "/subject/"+subject) {
			return address
		}
	}
	return ""
}

// aws compares the token with the conditions of each role's policy, all of which must hold.
func aws(t *testing.T, p plan, got map[string]string) string {
	t.Helper()
	got["aud"] = "sts.amazonaws.com" // what aws-actions/configure-aws-credentials asks for
	found := ""
	for address, policy := range p.all("data.aws_iam_policy_document.deployer_trust") {
		conditions := policy["statement"].([]any)[0].(map[string]any)["condition"].([]any)
		require.Len(t, conditions, 3)
		holds := true
		for _, condition := range conditions {
			c := condition.(map[string]any)
			require.Equal(t, "StringEquals", c["test"])
			claim := strings.TrimPrefix(c["variable"].(string), "token.actions.githubusercontent.com:")
			holds = holds && slices.Contains(c["values"].([]any), any(got[claim]))
		}
		if holds {
			require.Empty(t, found, "a token is one deployer's")
			found = address
		}
	}
	return found
}

// azure compares the subject with that of each credential.
func azure(p plan, got map[string]string) string {
	for address, credential := range p.all("azurerm_federated_identity_credential.deployer") {
		if credential["subject"] == got["sub"] && credential["issuer"] == got["iss"] {
			environment, _ := cutLast(address, "-")
			return environment
		}
	}
	return ""
}

func cutLast(text, separator string) (before, after string) {
	at := strings.LastIndex(text, separator)
	return text[:at], text[at+1:]
}

// plan is what Terraform would make and read: values by the address, but for those that only a cloud knows.
type plan map[string]map[string]any

// planned takes the plan of a run from the messages of `terraform test -json -verbose`.
func planned(t *testing.T, messages, run string) plan {
	t.Helper()
	p := plan{}
	for line := range strings.Lines(messages) {
		var message struct {
			Run  string `json:"@testrun"`
			Plan struct {
				Changes []struct {
					Address string
					Change  struct{ After map[string]any }
				} `json:"resource_changes"`
			} `json:"test_plan"`
		}
		require.NoError(t, json.Unmarshal([]byte(line), &message))
		if message.Run == run {
			for _, change := range message.Plan.Changes {
				p[change.Address] = change.Change.After
			}
		}
	}
	require.NotEmpty(t, p, "no plan of the run %s", run)
	return p
}

// all are the instances of a resource, by their keys.
func (p plan) all(address string) map[string]map[string]any {
	found := map[string]map[string]any{}
	for name, values := range p {
		if key, ok := strings.CutPrefix(name, address+`["`); ok {
			found[strings.TrimSuffix(key, `"]`)] = values
		}
	}
	if len(found) == 0 {
		panic(fmt.Sprintf("no instance of %s", address))
	}
	return found
}
