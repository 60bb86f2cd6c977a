package server

import (
	"cmp"
	"net/http"
	"net/http/pprof"
	"net/url"
	"strings"

	"github.com/go-chi/chi/v5"

	"github.com/tepalhq/tepal/clip"
	"github.com/tepalhq/tepal/model"
	"github.com/tepalhq/tepal/spelling"
)

// routes is the public handler: every route with its telemetry, and health
// beside them, which is neither logged nor traced nor counted.
func (s *Server) routes() http.Handler {
	mux := chi.NewRouter()
	direct := make(map[string]http.Handler)
	for _, route := range []struct {
		method, pattern string
		handler         http.HandlerFunc
	}{
		{http.MethodPost, "/predict", s.predict},
		{http.MethodGet, "/models", s.listModels},
		{http.MethodGet, "/models/{name}", s.showModel},
		{http.MethodGet, "/models/{name}/drift", s.showDrift},
	} {
		handler := s.telemetry.Route(route.method, route.pattern, route.handler)
		mux.Method(route.method, route.pattern, handler)
		if route.method == http.MethodGet {
			mux.Method(http.MethodHead, route.pattern, handler)
		}
		if route.method == http.MethodPost {
			direct[route.pattern] = handler
		}
	}
	s.addHealth(mux)
	mux.NotFound(s.telemetry.Unmatched(notFound(mux)).ServeHTTP)
	mux.MethodNotAllowed(s.telemetry.Unmatched(methodNotAllowed(mux)).ServeHTTP)
	return s.closeWhileDraining(readOn(s.refuseExtra(shortcut(direct, canonical(mux)))))
}

// shortcut hands a POST to one of the given paths to its handler at once. The
// router would make a context and a copy of the request for it, which is a
// tenth of all that a small prediction allocates.
func shortcut(direct map[string]http.Handler, router http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			if handler := direct[r.URL.EscapedPath()]; handler != nil {
				handler.ServeHTTP(w, r)
				return
			}
		}
		router.ServeHTTP(w, r)
	})
}

// canonical hands requests to the router by one form of the path, so that the
// same rule holds for all routes: each segment is what its percent-encoding
// stands for, and an encoded slash is part of a segment. /%70redict is /predict
// (RFC 3986, section 6.2.2.2), and /models%2Firis is no model.
func canonical(router http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		escaped := r.URL.EscapedPath()
		if !strings.Contains(escaped, "%") {
			router.ServeHTTP(w, r)
			return
		}
		segments := strings.Split(escaped, "/")
		for i, segment := range segments {
			if text, err := url.PathUnescape(segment); err == nil {
				segments[i] = url.PathEscape(text)
			}
		}
		to := *r
		to.URL = new(url.URL)
		*to.URL = *r.URL
		to.URL.RawPath = strings.Join(segments, "/") // which the router prefers
		router.ServeHTTP(w, &to)
	})
}

// routed is the path that the router goes by.
func routed(r *http.Request) string { return cmp.Or(r.URL.RawPath, r.URL.Path) }

// pathValue is the text of a segment of the path that a pattern names.
func pathValue(r *http.Request, name string) string {
	value := chi.URLParam(r, name)
	if text, err := url.PathUnescape(value); err == nil && r.URL.RawPath != "" {
		return text
	}
	return value
}

// opsRoutes is the handler of the ops address, which is never public.
func (s *Server) opsRoutes() http.Handler {
	mux := chi.NewRouter()
	mux.Method(http.MethodGet, "/metrics", s.telemetry.MetricsHandler())
	mux.Get("/debug/pprof/*", pprof.Index)
	mux.Get("/debug/pprof/cmdline", pprof.Cmdline)
	mux.Get("/debug/pprof/profile", pprof.Profile)
	mux.Get("/debug/pprof/symbol", pprof.Symbol)
	mux.Post("/debug/pprof/symbol", pprof.Symbol)
	mux.Get("/debug/pprof/trace", pprof.Trace)
	s.addHealth(mux)
	mux.NotFound(notFound(mux))
	mux.MethodNotAllowed(methodNotAllowed(mux))
	return s.refuseExtra(canonical(mux))
}

// closeWhileDraining asks clients to come back on a new connection, which a
// load balancer that has turned away will bring elsewhere.
func (s *Server) closeWhileDraining(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if s.draining.Load() {
			w.Header()["Connection"] = closeConnection
		}
		next.ServeHTTP(w, r)
	})
}

// closeConnection is the value of the header Connection. It is never written to.
var closeConnection = []string{"close"}

// notFound answers 404, with the path that is likely meant where there is one.
func notFound(mux *chi.Mux) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		e := &model.Error{Kind: model.KindNotFound, Type: "unknown-path", Detail: "there is nothing at this path"}
		var paths []string
		for _, route := range mux.Routes() {
			if !strings.ContainsAny(route.Pattern, "{*") {
				paths = append(paths, route.Pattern)
			}
		}
		path := routed(r)
		if slashless := strings.TrimRight(path, "/"); slashless != path && len(methods(mux, slashless)) > 0 {
			e.Expected = slashless
		} else {
			e.Expected = spelling.Nearest(path, paths)
		}
		fail(w, r, e)
	}
}

// methods are those that a path takes.
func methods(mux *chi.Mux, path string) []string {
	var taken []string
	for _, method := range []string{http.MethodGet, http.MethodHead, http.MethodPost} {
		if mux.Match(chi.NewRouteContext(), method, path) {
			taken = append(taken, method)
		}
	}
	return taken
}

// methodNotAllowed answers 405 with the methods that the path takes.
func methodNotAllowed(mux *chi.Mux) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		list := strings.Join(methods(mux, routed(r)), ", ")
		w.Header().Set("Allow", list)
		writeProblem(w, r, http.StatusMethodNotAllowed, "Method not allowed", &model.Error{
			Type: "method-not-allowed", Detail: "the path does not take this method", Expected: list, Got: clip.Text(r.Method, 32),
		})
	}
}
