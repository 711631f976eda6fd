// Package limitheaders is a Traefik middleware behind forwardAuth: the limit headers, which forwardAuth copies from
// Tollgate's answer to the request, it sets on the response. Traefik has no option for that.
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
				// In lower case they are apart from the API's own, which the middleware limits-of-api removes.
				// The writer is passed on as it is: behind one of our own, answers would not stream.
				response.Header()[lower] = values
			}
		}
		next.ServeHTTP(response, request)
	}), nil
}
