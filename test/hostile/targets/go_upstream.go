// An API on Go's net/http, whose ServeMux redirects paths that are not clean.
package main

import (
	"log"
	"net/http"
	"os"
)

func served(name string) http.HandlerFunc {
	return func(response http.ResponseWriter, _ *http.Request) {
		response.Header().Set("X-Served", name)
		_, _ = response.Write([]byte("served"))
	}
}

func main() {
	mux := http.NewServeMux()
	mux.HandleFunc("/agent/chat", served("chat"))
	mux.HandleFunc("/free", served("free"))
	mux.HandleFunc("/files/", served("files"))
	mux.HandleFunc("/", served("other"))
	log.Fatal(http.ListenAndServe("127.0.0.1:"+os.Args[1], mux))
}
