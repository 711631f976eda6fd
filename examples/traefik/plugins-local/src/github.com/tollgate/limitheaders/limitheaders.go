// Package limitheaders is a Traefik middleware that follows forwardAuth. forwardAuth copies the limit headers from
// Tollgate's response to the request; this middleware copies them to the response. Traefik has no option for that.
package limitheaders

import (
	"context"
	"net/http"
	"strings"
)

// Config has no options.
type Config struct{}

// CreateConfig is called by Traefik.
func CreateConfig() *Config {
	return &Config{}
}

// New is called by Traefik.
func New(_ context.Context, next http.Handler, _ *Config, _ string) (http.Handler, error) {
	return http.HandlerFunc(func(response http.ResponseWriter, request *http.Request) {
		for name, values := range request.Header {
			lower := strings.ToLower(name)
			if strings.HasPrefix(lower, "x-ratelimit-") || strings.HasPrefix(lower, "ratelimit") || lower == "x-tollgate-decision" {
				// The lower case distinguishes them from the API's own headers, which the middleware limits-of-api removes.
				// The response writer is not wrapped, because a wrapped writer would prevent streaming.
				response.Header()[lower] = values
			}
		}
		next.ServeHTTP(response, request)
	}), nil
}
