package server

import (
	"net/http"
	"net/http/pprof"
	"strings"

	"github.com/go-chi/chi/v5"

	"github.com/tepalhq/tepal/clip"
	"github.com/tepalhq/tepal/model"
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
	mux.NotFound(s.telemetry.Unmatched(http.HandlerFunc(notFound)).ServeHTTP)
	mux.MethodNotAllowed(s.telemetry.Unmatched(methodNotAllowed(mux)).ServeHTTP)
	return s.closeWhileDraining(readOn(s.refuseExtra(shortcut(direct, mux))))
}

// shortcut hands a POST to one of the given paths to its handler at once. The
// router would make a context and a copy of the request for it, which is a
// tenth of all that a small prediction allocates.
func shortcut(direct map[string]http.Handler, router http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			if handler := direct[r.URL.Path]; handler != nil {
				handler.ServeHTTP(w, r)
				return
			}
		}
		router.ServeHTTP(w, r)
	})
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
	mux.NotFound(notFound)
	mux.MethodNotAllowed(methodNotAllowed(mux))
	return s.refuseExtra(mux)
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

func notFound(w http.ResponseWriter, r *http.Request) {
	fail(w, r, &model.Error{Kind: model.KindNotFound, Type: "unknown-path", Detail: "there is nothing at this path"})
}

// methodNotAllowed answers 405 with the methods that the path takes.
func methodNotAllowed(mux *chi.Mux) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		var allowed []string
		for _, method := range []string{http.MethodGet, http.MethodHead, http.MethodPost} {
			if mux.Match(chi.NewRouteContext(), method, r.URL.Path) {
				allowed = append(allowed, method)
			}
		}
		list := strings.Join(allowed, ", ")
		w.Header().Set("Allow", list)
		writeProblem(w, r, http.StatusMethodNotAllowed, "Method not allowed", &model.Error{
			Type: "method-not-allowed", Detail: "the path does not take this method", Expected: list, Got: clip.Text(r.Method, 32),
		})
	}
}
